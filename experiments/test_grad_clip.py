"""No gradient clipping."""

from pytest_exprun import experiment


@experiment("--grad_clip=0")
def test_no_grad_clip():
    """Prediction: NEUTRAL. The gradient norm is seldom above the limit after the warm-up; clipping is insurance."""
