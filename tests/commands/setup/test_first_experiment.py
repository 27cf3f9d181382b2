"""The first experiment: a flag worth trying, in a file that is never overwritten."""

from __future__ import annotations

import pytest

from pytest_exprun.commands.setup.first_experiment import first_flag, write_test
from pytest_exprun.running.options.script_options import Option, Script


@pytest.mark.parametrize(
    ("options", "flag"),
    [
        ([Option("dropout", 0.25), Option("lr", 0.5)], "--lr=1"),
        ([Option("muon_lr", 0.5)], "--muon_lr=1"),
        ([Option("val_fraction", 0.1), Option("dropout", 0.0)], "--dropout=0.1"),
        ([Option("n", 3), Option("rope", default=False, is_switch=True)], "--rope"),
        ([], "--your_flag"),
    ],
)
def test_a_rate_comes_before_other_fractions_and_these_before_switches(options, flag):
    """A number is doubled; what says how long or on what is left alone."""
    assert first_flag(Script(options={each.name: each for each in options})) == flag


def test_a_file_that_is_there_stays(tmp_path):
    """And is named; else it is written, with its folder."""
    path = tmp_path / "experiments" / "test_lr.py"
    assert write_test(path, "--lr=1") == []
    assert '@experiment("--lr=1")\ndef test_lr(comparison):' in path.read_text()
    path.write_text("mine")
    assert "was there already" in write_test(path, "--lr=2")[0]
    assert path.read_text() == "mine"
