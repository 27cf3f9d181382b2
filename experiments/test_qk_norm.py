"""Queries and keys normalised before their product (Henry et al. 2020)."""

from pytest_exprun import experiment


@experiment("--qk_norm")
def test_qk_norm():
    """Prediction: NEUTRAL. It buys stability at high learning rates; this model is small and its learning rate is tuned."""
