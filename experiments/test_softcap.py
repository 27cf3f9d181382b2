"""Logits bounded smoothly by tanh (Gemma 2)."""

from pytest_exprun import experiment


@experiment("--softcap=15")
def test_softcap():
    """Prediction: NEUTRAL. A run this short does not reach logits of 15 often."""
