"""Dropout of .1 in the residual branches, a kept negative result."""

from pytest_exprun import experiment


@experiment("--dropout=0.1", gate="loser")
def test_dropout():
    """Prediction: LOSER. Every byte is seen at most once, so there is nothing to regularise and the noise only slows learning."""
