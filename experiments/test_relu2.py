"""Squared ReLU instead of GELU in the MLP (So et al. 2021)."""

from pytest_exprun import experiment


@experiment("--relu2")
def test_relu2(comparison):
    """Prediction: a small gain, perhaps too small for three seeds; cheaper to compute than GELU."""
    assert comparison.not_loser
