"""Flags are refused by the sources alone, in the words of a session, and only where they leave no doubt."""

from __future__ import annotations

import pytest

from pytest_exprun.running.executors.inprocess import InProcess
from pytest_exprun.running.executors.reading import Reading
from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.model import RunSpec, Variant

PARSER = """
import argparse
def build_parser():
    parser = argparse.ArgumentParser()
    for_all = [parser.add_argument(each) for each in ()]
    parser.add_argument("--seed", type=int)
    parser.add_argument("--train_tokens", type=int)
    parser.add_argument("--output_dir")
    parser.add_argument("--rope", action="store_true")
    return parser
def main(argv):
    return build_parser().parse_args(argv)
""".replace("    for_all = [parser.add_argument(each) for each in ()]\n", "")
KEYWORDS = "def main(seed, train_tokens, rope=False, lr=0.1): return 1.0\n"


def answers(folder, source, *flags, **said):
    """Return what the sources say, and what the trainer itself does."""
    (folder / "lab_of_reading.py").write_text(source)
    settings = Settings.read(said or {"trainer": "lab_of_reading:main"}, folder)
    spec = RunSpec(Variant(flags), 1)
    return Reading(settings).rejects([spec])[0], settings, spec


@pytest.mark.parametrize("source", [PARSER, KEYWORDS])
@pytest.mark.parametrize("flags", [("--rope",), ("--no_rope",), ("--ropee",), ("--no-such",)])
def test_the_answer_is_that_of_the_trainer(tmp_path, monkeypatch, source, flags):
    """Word for word where both refuse; what a parser would refuse besides, the session says."""
    monkeypatch.syspath_prepend(str(tmp_path))
    read, settings, spec = answers(tmp_path, source, *flags)
    asked = InProcess(settings, None).rejects([spec])[0]
    assert read == asked or (source is PARSER and flags == ("--no_rope",))


@pytest.mark.parametrize(
    "source", ["def main(**flags): return 1.0\n", PARSER + "extend(build_parser())\n", "raise Oh\n", "def ("]
)
def test_without_certainty_nothing_is_refused(tmp_path, source):
    """A function that collects keywords, a parser that others extend, a source that tells nothing."""
    assert answers(tmp_path, source, "--ropee")[0] is None


def test_a_command_is_asked_as_ever(tmp_path):
    """It reads its script, too."""
    text = PARSER.replace("def main(argv):\n    return ", "args = ").replace("(argv)", "()")
    words = "python lab_of_reading.py --seed={seed} --train_tokens={train_tokens} --output_dir={output_dir} {flags}"
    assert "has no option --ropee" in answers(tmp_path, text, "--ropee", command=words)[0]


def test_it_performs_nothing(tmp_path):
    """A plan trains no run."""
    assert list(Reading(Settings.read({}, tmp_path)).run([], lambda *_: None)) == []
