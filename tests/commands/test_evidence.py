"""A comparison at 80 columns."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_exprun.commands.console import WIDTH
from pytest_exprun.commands.evidence import evidence_lines, labelled
from pytest_exprun.commands.judge import judged
from pytest_exprun.commands.measurements import Measurements
from pytest_exprun.settings.settings import Settings
from tests.shell import BASELINE, SAME


def lines_of(experiment, seeds=None, **settings):
    """Return the lines on an experiment against the usual baseline."""
    arms = Measurements(BASELINE, seeds, "baseline"), Measurements(experiment, seeds, "experiment")
    return evidence_lines(judged(Settings.read(settings, Path()), *arms))


def test_a_label_has_a_column_of_its_own():
    """The text beside it is folded within its own column."""
    first, second = labelled("noise", "word " * 20)
    assert first.startswith("noise         word")
    assert second.startswith(" " * 14 + "word")
    assert max(map(len, (first, second))) <= WIDTH


@pytest.mark.parametrize(
    ("experiment", "label"),
    [((1.90, 1.91, 1.92), "expect less"), (SAME, "sensitivity"), (SAME, "noise"), (SAME, "effect size")],
)
def test_what_stands_beside_a_verdict(experiment, label):
    """The verdict first, then both arms, then what is known of the noise; a winner is told to expect less."""
    lines = lines_of(experiment)
    assert lines[0].split()[0] == ("WINNER" if label == "expect less" else "NEUTRAL")
    assert [line for line in lines if line.startswith(label)]
    assert [line.split()[0] for line in lines[3:6]] == ["val_loss", "baseline", "experiment"]


@pytest.mark.parametrize(
    ("experiment", "said"), [((1.90, 1.95, 2.06), True), (SAME, False), ((1.90, 1.91, 1.92), False)]
)
def test_two_effect_sizes_that_seem_to_contradict_are_explained(experiment, said):
    """Where one arm is much noisier, g may be the larger one; else it only corrects d for few seeds."""
    assert ("d divides by both arms'" in " ".join(lines_of(experiment))) is said


def test_pairs_are_listed_until_they_are_too_many_to_read():
    """A line for each common seed; without seeds none."""
    pairs = lines_of(SAME, (1, 2, 3, 4, 5))
    assert pairs[pairs.index(next(line for line in pairs if line.startswith("seed "))) + 1].split()[0] == "1"
    assert not [line for line in lines_of(SAME) if line.startswith("seed ")]


def test_a_diverged_seed_is_counted_out():
    """The table describes what is finite."""
    lines = lines_of((1.9, float("nan"), 1.91))
    assert next(line for line in lines if line.startswith("experiment ")).split()[1] == "2"
    assert lines[0].startswith("LOSER")
