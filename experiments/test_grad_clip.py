"""No gradient clipping."""

from pytest_exprun import experiment


# The data said otherwise (docs/research): a negative result, kept as one.
@experiment("--grad_clip=0", gate="loser")
def test_no_grad_clip():
    """Prediction: NEUTRAL. The gradient norm is seldom above the limit after the warm-up; clipping is insurance."""
