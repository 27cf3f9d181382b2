"""No learning-rate warm-up."""

from pytest_exprun import experiment


# The data said otherwise (docs/research): a negative result, kept as one.
@experiment("--warmup=0", gate="loser")
def test_no_warmup():
    """Prediction: NEUTRAL at this size; Adam's first steps are as large as the rate allows, but the model is shallow."""
