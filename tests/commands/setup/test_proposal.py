"""A proposal begins with what the sources are."""

from __future__ import annotations

from pathlib import Path

from pytest_exprun.commands.setup.given import Given
from pytest_exprun.commands.setup.proposal import Proposal, amount
from pytest_exprun.running.options.script_options import Option, read_script


def test_imported_files_of_the_folder_are_sources(tmp_path, monkeypatch):
    """And the variables that they take a seed from are known."""
    monkeypatch.chdir(tmp_path)
    Path("train.py").write_text("import json, lab\n\ndef go(seed=1, lr=2): return lr\n")
    Path("lab.py").write_text("import os\nSEED = os.environ['MY_SEED']\n")
    given = Given(Path("train.py"))
    made = Proposal.of(given, read_script(given.script))
    assert list(made.sources.trees) == [Path("train.py"), Path("lab.py")]
    assert (made.path, made.variables) == (Path("train.py"), ["MY_SEED"])
    made.let_call(made.functions()[0])
    assert list(made.script.options) == ["lr"]


def test_an_amount_is_a_guess_where_none_is_written():
    """Only a positive whole number counts; a switch is none."""
    assert [amount(Option("n", value), "steps") for value in (7, 0, None, True, "{steps}")] == [7, *[1000] * 4]
