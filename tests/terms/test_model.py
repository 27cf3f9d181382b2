"""The nouns: identities, names, argument lists, JSON both ways."""

from __future__ import annotations

import json

import pytest

from pytest_exprun.terms.model import (
    RESERVED,
    Budget,
    Experiment,
    RunSpec,
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
