"""No learning-rate warm-up."""

from pytest_exprun import experiment


@experiment("--warmup=0")
def test_no_warmup():
    """Prediction: NEUTRAL at this size; Adam's first steps are as large as the rate allows, but the model is shallow."""
