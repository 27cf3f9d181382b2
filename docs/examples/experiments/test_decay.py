"""Bring the learning rate down to 0."""

from pytest_exprun import Verdict, experiment


@experiment("--decay")
def test_decay(comparison):
    """Prediction: WINNER. At a constant rate the weights end where the last hundred words pushed them."""
    assert comparison.verdict is Verdict.WINNER
