"""The simulated speedups are the package's, and the page's table is what they give."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import numpy as np
import speedups

from pytest_exprun.verdict.compute.speedup import Point, speedup

PAGE = (Path(__file__).parents[2] / "docs" / "statistics.md").read_text(encoding="utf-8")
TRIALS = 4000


@pytest.mark.parametrize("name", ["10 sigma", "10 sigma, 1.8 times", "3 sigma"])
def test_many_trials_at_once_are_those_one_by_one(name):
    """Numbers, intervals, bounds and refusals of the vectorised form are `speedup`'s."""
    case = speedups.CASES[name]
    loss, compute = speedups.draw(np.random.default_rng(7), case, 200)
    told = speedups.tell(loss, compute, case.speedup)
    for trial in range(200):
        points = [
            [Point(*each) for each in zip(*seed, strict=True)] for seed in zip(loss[trial], compute[trial], strict=True)
        ]
        found = speedup(
            {seed: each[:3] for seed, each in enumerate(points)}, {seed: each[3] for seed, each in enumerate(points)}
        )
        assert (found.low is not None, bool(found.bound)) == (told.number[trial], told.bound[trial])
        if told.number[trial]:
            assert np.log(found.factor) == pytest.approx(told.mean[trial])
            assert (found.low <= case.speedup <= found.high) == told.covers[trial]
        elif told.bound[trial]:
            holds = found.factor <= case.speedup if found.bound == "at least" else found.factor >= case.speedup
            assert holds == told.is_true[trial]


@pytest.mark.parametrize("name", speedups.CASES)
def test_the_page_has_what_is_simulated(name):
    """Each figure to four standard errors of a few thousand trials, and its own rounding."""
    (line,) = (line for line in PAGE.splitlines() if line.startswith(f"| {name} |"))
    shown = [cell.strip(" %") for cell in line.strip("|").split("|")][1:]
    found = [cell.strip(" %") for cell in speedups.row(name, speedups.CASES[name], TRIALS, seed=99)][1:]
    for column, (one, other) in enumerate(zip(shown, found, strict=True)):
        if not (one and other):
            continue
        if column == 2:  # the bias, in percent
            assert float(one) == pytest.approx(float(other), abs=1.0)
        else:
            share = min(max(float(one) / 100, 0.01), 0.99)
            told = float(shown[0] if column == 1 else shown[3] if column == 4 else 100) / 100
            assert float(one) == pytest.approx(
                float(other), abs=1.1 + 400 * (share * (1 - share) / (TRIALS * max(told, 0.05))) ** 0.5
            )
