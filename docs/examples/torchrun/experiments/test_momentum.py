"""Momentum gets further in the same 20 steps."""

from pytest_exprun import Verdict, experiment


@experiment("--momentum=0.5")
def test_momentum(comparison):
    assert comparison.verdict is Verdict.WINNER
