"""The nouns: identities, names, argument lists, JSON both ways."""

from __future__ import annotations

import json

import pytest

from pytest_exprun.terms.model import (
    RESERVED,
    Budget,
    Diff,
    Experiment,
    RunSpec,
    Tree,
    Variant,
    baseline_seeds,
    lower_is_better,
    slugify,
)


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        (("--a", "--b"), ("--b", "--a"), True),
        (("--lr-scale=2",), ("--lr_scale=2",), True),
        (("--a", "1", "--b"), ("--b", "--a", "1"), True),
        (("--x=1", "--x=2"), ("--x=2", "--x=1"), False),
        (("--rope", "--no_rope"), ("--no_rope", "--rope"), False),
        (("--a",), ("--b",), False),
        (("--a=x-y",), ("--a=x_y",), False),
        ((), (), True),
    ],
)
def test_identity_of_a_variant(one, two, same):
    """Order and dashes do not matter, except between settings of the same option, where the last one wins."""
    assert (Variant(one).identity == Variant(two).identity) is same


def test_argv_is_the_protocols():
    """The plugin's options, common arguments, the flags as written, the output directory."""
    spec = RunSpec(Variant(("--rope", "--base", "5")), 42, Budget(20_000), ("--size", "nano"))
    assert spec.argv("out") == (
        ["--train_tokens", "20000", "--seed", "42", "--size", "nano", "--rope", "--base", "5", "--output_dir", "out"]
    )


@pytest.mark.parametrize("unit", ["tokens", "steps", "seconds"])
def test_the_budgets_option_is_named_after_its_unit(unit):
    """A number of steps must never be taken for a number of tokens; nobody else may set the option."""
    assert RunSpec(Variant(), 42, Budget(300, unit)).argv("out")[:2] == [f"--train_{unit}", "300"]
    assert f"train_{unit}" in RESERVED


@pytest.mark.parametrize(
    ("tokens", "suffix", "standard"),
    [
        (1_000_000, "1M", True),
        (8_000_000, "8M", False),
        (20_000, "20K", False),
        (1_500_000, "1500K", False),
        (123, "123", False),
    ],
)
def test_budget_suffix(tokens, suffix, standard):
    """Whole millions, whole thousands, else digits; one budget is the standard scale."""
    assert Budget(tokens).suffix == suffix
    assert Budget(tokens).is_standard is standard


@pytest.mark.parametrize(
    ("text", "slug"),
    [
        ("Rope!", "rope"),
        ("lr_scale=0.5", "lr_scale-0.5"),
        ("../x", "x"),
        ("é", ""),
        ("a" * 99, "a" * 64),
        ("CON", "con"),
    ],
)
def test_slugify(text, slug):
    """Lower case, nothing that could leave a folder, at most 64 characters."""
    assert slugify(text) == slug


def test_further_baseline_seeds_are_documented_doublings():
    """The first five are the protocol's; each further one is the double of the one before."""
    assert baseline_seeds(8) == (42, 137, 256, 512, 1024, 2048, 4096, 8192)
    assert len(set(baseline_seeds(40))) == 40


@pytest.mark.parametrize(
    ("metric", "declared", "lower"),
    [
        ("val_loss", {}, True),
        ("wall_time", {}, True),
        ("val_bpb", {}, True),
        ("top1_acc", {}, False),
        ("tokens_per_second", {}, False),
        ("sentiment", {}, None),
        ("accuracy_loss", {}, None),
        ("val_loss", {"val_loss": False}, False),
        ("score", {"score": True}, True),
    ],
)
def test_direction_of_a_metric(metric, declared, lower):
    """Known words decide, a declaration overrides them, anything else is unknown."""
    assert lower_is_better(metric, declared) is lower


def test_declaration_goes_through_json():
    """An xdist message and a report hold the whole declaration."""
    declaration = Experiment(
        "a", Variant(("--b", "--a")), Variant(("--b",)), directions=(("score", False),), nodeids=("x",)
    )
    again = Experiment.from_json(json.loads(json.dumps(declaration.to_json())))
    assert again == declaration
    assert again.change == ("--a",)
    assert again.comparison_id == declaration.comparison_id


def test_comparison_id_is_the_question():
    """Name, gate and test do not change the question; control, metric, rule and budget do."""
    one = Experiment("a", Variant(("--x", "--y")))
    assert one.comparison_id == Experiment("b", Variant(("--y", "--x")), gate="winner", nodeids=("n",)).comparison_id
    for other in (
        Experiment("a", Variant(("--x", "--y")), Variant(("--x",))),
        Experiment("a", Variant(("--x", "--y")), metric="wall_time"),
        Experiment("a", Variant(("--x", "--y")), rule="tested"),
        Experiment("a", Variant(("--x", "--y")), budget=Budget(1)),
    ):
        assert other.comparison_id != one.comparison_id


TREE, OTHER = Tree("a" * 40, "idea/one"), Tree("b" * 40)


def test_a_tree_is_its_id_whatever_it_is_called():
    """The name is for people: without one they see the beginning of the id."""
    assert Tree("a" * 40) == TREE
    assert (str(TREE), str(OTHER)) == ("idea/one", "bbbbbbb")


def test_variants_that_differ_in_the_tree_alone_are_two():
    """In their identity, in the comparison that they make, in reports; the folder in the store is one: keys hold content."""
    here, one, other = (Variant(("--x",), tree) for tree in (None, TREE, OTHER))
    assert len({here.identity, one.identity, other.identity}) == 3
    assert here.tokens == one.tokens == ("--x",)
    assert here.slug == one.slug == "x"
    assert [each.label for each in (here, one, other)] == ["x", "idea-one-x", "bbbbbbb-x"]
    assert Variant((), TREE).label == "idea-one"
    assert str(one) == "idea/one --x"
    assert str(Variant((), TREE)) == "idea/one"
    ids = {
        Experiment("a", variant, control).comparison_id
        for variant in (one, other)
        for control in (Variant(), here, Variant((), OTHER))
    }
    assert len(ids) == 6


def test_trees_and_diffs_go_through_json():
    """What was written before there were trees is read as the files of the root; what has none is written as before."""
    diff = Diff("c" * 40, "d" * 40, uncommitted=True, files=(("a.py", 3, 1), ("b.bin", -1, -1)), patch="e" * 64)
    declared = Experiment("a", Variant(("--x",), TREE), Variant((), OTHER), diff=diff)
    again = Experiment.from_json(json.loads(json.dumps(declared.to_json())))
    assert again == declared
    assert (again.variant.tree.name, again.diff) == ("idea/one", diff)
    assert (str(diff), declared.what) == ("2 files, +3 -1", "--x 2 files, +3 -1")
    assert Variant.from_json({"flags": ["--x"], "ref": None}) == Variant(("--x",))
    assert Variant(("--x",)).to_json() == {"flags": ["--x"], "ref": None}
    spec = RunSpec(Variant(("--x",), TREE), 42)
    assert RunSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
