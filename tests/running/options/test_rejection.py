"""What only the plugin sets is refused in every spelling that a parser would take, and flags in two spellings are not two experiments."""

from __future__ import annotations

import argparse
import sys

import pytest

from pytest_exprun.running.options.rejection import options_in, rejection
from pytest_exprun.running.training.trainers import CallableTrainer
from pytest_exprun.terms.model import Budget, RunSpec, Variant

ALONE = """
def main(argv):
    import argparse
    parser = argparse.ArgumentParser()
    for name in {names}:
        parser.add_argument("--" + name)
    return {{"val_loss": 1.0}}
"""


def parser():
    """Return one with short and second names of what the plugin sets."""
    found = argparse.ArgumentParser()
    found.add_argument("-s", "--seed", "--random_seed", type=int)
    found.add_argument("--rng", dest="seed", type=int)
    found.add_argument("-o", "--output-dir")
    found.add_argument("--train_tokens", type=int)
    found.add_argument("--train-tok-kind")
    found.add_argument("--rope", action=argparse.BooleanOptionalAction)
    return found


def spec(*flags, args=()):
    """Return a run with these flags."""
    return RunSpec(Variant(flags), 42, Budget(7), args)


@pytest.mark.parametrize(
    "flag",
    [
        "--train_t=9",
        "--train-toke=9",
        "--see=3",
        "--s=3",
        "--no_see",
        "--output=x",
        "--out=x",
        "--see 3",
        "--train_tokens_=9",
    ],
)
@pytest.mark.parametrize("where", ["flags", "args"])
def test_the_beginning_of_a_reserved_option_is_refused(flag, where):
    """argparse takes it for the whole; in the arguments of every run it makes one run of five."""
    given = spec(flag) if where == "flags" else spec(args=(flag,))
    why = rejection(parser(), given, "train:main") or ""
    if flag == "--train_tokens_=9":
        assert "has no option --train_tokens_=9" in why
    else:
        assert "which is reserved: write the option that is meant in full" in why
    assert "\n" not in why


@pytest.mark.parametrize(
    "flags", [("-s", "3"), ("-s3",), ("--random_seed=3",), ("--random-seed", "3"), ("--rng=3",), ("-ox",)]
)
def test_another_name_of_a_reserved_option_is_refused(flags):
    """A letter, a second name, an option with the same destination."""
    assert (rejection(parser(), spec("--rope", *flags), "train:main") or "").endswith("which is reserved: take it out")


def test_abbreviations_are_refused_and_full_names_are_not():
    """One flag in two spellings would be two experiments; dashes and underscores are one spelling."""
    assert rejection(parser(), spec("--ro"), "train:main") == "train:main has no option --ro; did you mean --rope?"
    assert rejection(parser(), spec("--rope", "--train_tok_kind=a"), "train:main") is None
    assert rejection(parser(), spec("--no-rope"), "train:main") is None


def test_an_option_that_begins_like_a_reserved_one_is_meant_where_there_is_one():
    """`--output` is the trainer's own if it has it."""
    own = parser()
    own.add_argument("--output")
    assert rejection(own, spec("--output=x"), "train:main") is None


def test_options_of_subcommands_are_written_in_full_too():
    """Their parsers are asked as well."""
    outer = argparse.ArgumentParser()
    outer.add_argument("--seed")
    outer.add_argument("--train_tokens")
    inner = outer.add_subparsers().add_parser("fit")
    inner.add_argument("--rope", action="store_true")
    inner.add_argument("--output_dir")
    assert rejection(outer, spec("--rope", args=("fit",)), "train:main") is None
    assert "no option --ro" in (rejection(outer, spec("--ro", args=("fit",)), "train:main") or "")


@pytest.mark.parametrize(("option", "flag"), [("--no_see", "--no_see"), ("--see", "--no-see"), ("--see", "--see 3")])
def test_an_option_of_exactly_that_name_is_meant_however_it_is_negated(option, flag):
    """`--no_see` may be an option of its own, or the other side of `--see`; a value may follow a blank."""
    own = parser()
    own.add_argument(option)
    assert "which is reserved" not in (rejection(own, spec(flag), "train:main") or "")


@pytest.mark.parametrize("flag", ["--see=s3cr3t", "--see s3cr3t"])
def test_only_the_name_of_a_refused_option_is_said(flag):
    """Its value is nobody's business."""
    assert (rejection(parser(), spec(flag), "train:main") or "").startswith("--see may be read as --seed, which is")


def test_what_the_parser_says_is_passed_on(capsys):
    """A wrong value, and what ends the program; nothing of it is printed here."""
    own = parser()
    own.add_argument("--lr", type=float)
    assert (
        rejection(own, spec("--lr=big"), "train:main")
        == "train:main refuses it: argument --lr: invalid float value: 'big'"
    )
    assert rejection(parser(), spec("--help"), "train:main") == "train:main stops at once when given it"
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("flag", ["--ro=1", "--roep", "--roep=1"])
def test_an_unknown_option_brings_a_suggestion(flag):
    """The one that it begins, or one that looks like it."""
    assert (rejection(parser(), spec(flag), "train:main") or "").endswith("; did you mean --rope?")


def test_the_beginning_of_a_long_name_brings_a_suggestion():
    """However little the two look alike."""
    own = parser()
    own.add_argument("--optimizer_of_the_embedding")
    assert (rejection(own, spec("--opt=adam"), "train:main") or "").endswith(
        "; did you mean --optimizer_of_the_embedding?"
    )


def test_another_name_in_the_arguments_of_every_run_is_refused():
    """All five seeds would be one."""
    assert (rejection(parser(), spec(args=("-s", "3")), "train:main") or "").endswith("which is reserved: take it out")


def test_one_dash_and_a_long_name_are_no_long_option():
    """A parser takes it for letters, or for nothing."""
    assert "has no option -random_seed=3" in (rejection(parser(), spec("-random_seed=3"), "train:main") or "")


def test_dashes_stand_for_underscores():
    """Whichever the parser has."""
    own = parser()
    own.add_argument("--weight_decay")
    assert rejection(own, spec("--weight-decay=1"), "train:main") is None


def test_options_of_subcommands_of_subcommands_are_known():
    """And suggested."""
    outer = argparse.ArgumentParser()
    for name in ("--seed", "--train_tokens"):
        outer.add_argument(name)
    middle = outer.add_subparsers().add_parser("fit")
    inner = middle.add_subparsers().add_parser("gpt")
    inner.add_argument("--output_dir")
    inner.add_argument("--rope", action="store_true")
    assert rejection(outer, spec("--rope", args=("fit", "gpt")), "train:main") is None
    assert (rejection(outer, spec("--ro", args=("fit", "gpt")), "train:main") or "").endswith("did you mean --rope?")


def test_what_is_no_source_has_no_options(tmp_path):
    """Other files of the closure, and sources that nobody can read."""
    texts = {"a.txt": "p.add_argument('--see')", "broken.py": "def (", "b.py": "p.add_argument('--lr')"}
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert options_in(None, [tmp_path / name for name in texts]) == {"lr"}


@pytest.mark.parametrize("flag", ["--train_tok=9", "--see=3", "--output=x"])
def test_a_trainer_without_a_parser_to_ask_is_read(tmp_path, monkeypatch, flag):
    """Its sources say whether there is an option of exactly that name; if they do not, it is refused."""
    name = f"alone_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(ALONE.format(names=["seed"]), encoding="utf-8")
    trainer = CallableTrainer(f"{name}:main", tmp_path)
    assert "may be read as --" in (trainer.rejects(spec(flag)) or "")
    option = flag[2:].partition("=")[0]
    (tmp_path / f"{name}.py").write_text(f"import extra_{name}\n{ALONE.format(names=['seed'])}", encoding="utf-8")
    (tmp_path / f"extra_{name}.py").write_text(f"def add(p): p.add_argument('--{option}')", encoding="utf-8")
    monkeypatch.delitem(sys.modules, name)
    assert CallableTrainer(f"{name}:main", tmp_path).rejects(spec(flag)) is None


def test_a_function_with_keywords_abbreviates_nothing(tmp_path):
    """Its parameters have one name each."""
    name = f"words_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text("def train(seed, train_tokens, output=None, **more): ...", encoding="utf-8")
    trainer = CallableTrainer(f"{name}:train", tmp_path)
    assert trainer.rejects(spec("--output=x", "--see=3")) is None


def test_a_main_file_that_tells_all_its_options_has_no_others(tmp_path):
    """Names in other files count only where the parser is not there to be read."""
    main, other = tmp_path / "main.py", tmp_path / "other.py"
    main.write_text("import argparse\np = argparse.ArgumentParser()\np.add_argument('--lr')\na = p.parse_args()")
    other.write_text("p.add_argument('--see')")
    assert options_in(main, [main, other]) == {"lr"}
    main.write_text("import other")
    assert options_in(main, [main, other]) == {"see"}
