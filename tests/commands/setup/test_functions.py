"""Functions that train are called by keywords; what they return is the metric."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_exprun.commands.setup.functions import call_by_keywords, call_when_patched
from pytest_exprun.commands.setup.given import Given
from pytest_exprun.commands.setup.proposal import Proposal
from pytest_exprun.running.options.script_options import read_script
from pytest_exprun.terms.errors import SettingsError
from pytest_exprun.terms.model import Budget


def proposal(folder, text):
    """Read a file with functions."""
    (folder / "lab.py").write_text(text)
    given = Given(Path("lab.py"))
    return Proposal.of(given, read_script(given.script))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Stand in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("returned", "metric"),
    [
        ("{'val_loss': x}", {}),
        ("{'train_loss': x, 'accuracy': x}", {"metric": "accuracy"}),
        ("{'my_score': x}", {"metric": "my_score", "higher_is_better": "my_score"}),
    ],
)
def test_the_metric_is_what_is_returned(folder, returned, metric):
    """Held-out data before training; a score without a known direction is better when higher."""
    made = proposal(folder, f"def train(seed, train_steps=7, x=0.5):\n    return {returned}\n")
    call_by_keywords(made, None)
    assert made.keys == {"trainer": "lab:train", "budget": "7 steps", **metric}
    assert list(made.script.options) == ["x"]


def test_a_budget_needs_its_parameter(folder):
    """Else the line names the one that lacks."""
    made = proposal(folder, "def train(seed, train_steps=7):\n    return 1.0\n")
    with pytest.raises(SettingsError, match="has no parameter train_seconds for a budget of 9 seconds"):
        call_by_keywords(made, Budget(9, "seconds"))


def test_what_a_function_lacks_is_a_patch(folder):
    """A parameter random_state is taken for the seed and is no flag."""
    made = proposal(folder, "def train(rate=0.5, random_state=0):\n    return fit(rate, random_state=random_state)\n")
    call_when_patched(made)
    assert made.keys["trainer"] == "lab:train"
    assert list(made.script.options) == ["rate"]
    assert "+    random_state = seed" in made.patch.diff(folder)
