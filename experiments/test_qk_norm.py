"""Queries and keys normalised before their product (Henry et al. 2020)."""

from pytest_exprun import experiment


# The data said otherwise (docs/research): a negative result, kept as one.
@experiment("--qk_norm", gate="loser")
def test_qk_norm():
    """Prediction: NEUTRAL. It buys stability at high learning rates; this model is small and its learning rate is tuned."""
