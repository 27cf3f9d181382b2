"""Small ladders with round numbers."""

from __future__ import annotations

from dataclasses import replace

from pytest_exprun.verdict.sessions.ladder import Gain, Rung, Total

SCALE = ("val_loss", True, "1M tokens")


def rung(number, estimate=0.1, error=0.01, **changes):
    """Return a rung that stands on the one before."""
    made = Rung(
        id=f"q{number}",
        name=f"idea{number}",
        what="--x",
        time="2026-11-29T06:00:00.000000+00:00",
        confirmed=True,
        claim=(0.2, 3.0),
        fresh=Gain(estimate, error, 9),
        fresh_seeds=10,
        scale=SCALE,
        keys=(f"k{number - 1}", f"k{number}"),
    )
    return replace(made, **changes)


def total(estimate, rungs, error=0.01, **changes):
    """Return a measurement of the two ends of these rungs."""
    gain = Gain(estimate, error, 9)
    keys = (rungs[0].keys[0], rungs[-1].keys[1])
    made = Total("t", "2026-11-30", gain, 1.0, 2.0, 10, rungs[-1].id, SCALE, keys)
    return replace(made, **changes)
