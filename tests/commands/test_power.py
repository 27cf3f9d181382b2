"""`exprun power`: how many seeds see how large an effect."""

from __future__ import annotations

import json
import re

import pytest

from pytest_exprun.verdict import stats
from tests.shell import (
    ROPE,
    edit,
    losses,
    train_baseline,
)


def test_power_asks_for_a_baseline_and_trains_none(exprun, project):
    """Without stored runs it says which are missing, and that it trains nothing."""
    project.write(ROPE)
    assert "is not stored: missing seed 42, 137, 256, 512, 1024" in exprun.refused("power")
    assert project.runs == []
    assert not (project.pytester.path / ".exprun").exists()


def test_power_gives_seeds_for_each_effect_with_the_range_of_sigma(exprun, project):
    """Counts are those of the t test at the estimated sigma, and between its 95 % bounds; rho is unknown before any experiment."""
    train_baseline()
    out = exprun("power")
    assert all(len(line) <= 80 for line in out.splitlines())
    assert "rho is not known yet" in out
    sigma = stats.describe(losses(project)).std
    low, high = stats.sigma_interval(sigma, 5)
    for d in (0.5, 1.0, 2.0):
        row = next(line for line in out.splitlines() if line.startswith(f"d = {d:g} "))
        assert f"{d * sigma:.4f}" in row
        unpaired = [stats.seeds_needed(d * sigma / true) for true in (sigma, low, high)]
        assert f"{unpaired[0]} [{unpaired[1]} to {unpaired[2]}]" in row
        paired = [stats.seeds_needed_paired(d * sigma / true, 0.9) for true in (sigma, low, high)]
        assert row.endswith(f"{paired[0]} [{paired[1]} to {paired[2]}]")
    assert re.search(r"^5 \+ 3 +2\.46 ", out, re.MULTILINE)
    assert re.search(r"^5 \+ 5, unpaired +2\.02 ", out, re.MULTILINE)
    assert re.search(r"^5 pairs, rho 0\.90 +0\.75 ", out, re.MULTILINE)


def test_power_learns_rho_from_stored_experiments(exprun, project):
    """An arm on the same seeds gives its correlation; the plan's columns follow the arms with most seeds."""
    project.write(f'{ROPE}\n@experiment("--shift=0.3", "--noise=0.4")\ndef test_noise(): ...')
    project.run().assert_outcomes(passed=2)
    exprun("power")
    own = json.loads((project.pytester.path / "docs/research/experiment_noise_1M.json").read_text())["evidence"]["rho"]
    assert f"--shift=0.3 --noise=0.4 {own:.2f} (5 seeds)" in exprun.flat()
    assert "--rope 1.00 (3 seeds)" in exprun.flat()
    assert re.search(rf"effect +size +unpaired +rho {int(100 * own) / 100:.2f}$", exprun.out, re.MULTILINE)


def test_power_ignores_arms_of_another_budget(exprun, project):
    """An experiment at another scale says nothing of this baseline."""
    project.write('@experiment("--shift=0.3", "--noise=0.4")\ndef test_noise(): ...')
    project.run("--exprun-tokens=20000").assert_outcomes(passed=1)
    train_baseline()
    assert "rho is not known yet" in exprun("power")
    assert "rho so far" in exprun("power", "--tokens=20000")


def test_power_of_a_stale_baseline_says_why(exprun, project):
    """Runs of other code do not stand in."""
    train_baseline()
    edit(project, "SIGMA = 0.01", "SIGMA = 0.011")
    assert "stored runs do not stand: source toy.py changed" in exprun.refused("power")


def test_power_for_a_program(exprun, project):
    """The figures of the tables, unrounded."""
    train_baseline()
    assert len(project.runs) == 10
    out, told = exprun("power"), exprun.told("power")["power"]
    assert (told["control"], told["metric"], told["seeds"], told["correlations"]) == ([], "val_loss", 5, {})
    first = told["seeds_needed"][0]
    assert f"{first['unpaired'][0]} [{first['unpaired'][1]} to {first['unpaired'][2]}]" in out
    assert list(first["paired"]) == ["0.00", "0.50", "0.90"]
    assert told["plans"][0]["size"][0] == pytest.approx(told["plans"][0]["sigmas"] * told["sigma"][0])
    assert told["bar"] == {"rule": "two_sigma", "sigmas": 2.0, "size": 2 * told["sigma"][0]}
