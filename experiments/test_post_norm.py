"""Normalise after each addition, as the first transformer did, instead of before each sublayer."""

from pytest_exprun import experiment


# The data said otherwise (docs/research): a negative result, kept as one.
@experiment("--post_norm", gate="loser")
def test_post_norm():
    """Prediction: NEUTRAL. Two layers are shallow enough to train either way."""
