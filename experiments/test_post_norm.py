"""Normalise after each addition, as the first transformer did, instead of before each sublayer."""

from pytest_exprun import experiment


@experiment("--post_norm")
def test_post_norm():
    """Prediction: NEUTRAL. Two layers are shallow enough to train either way."""
