"""An exponential average of the weights, over the last twentieth of the run."""

from pytest_exprun import experiment


@experiment("--ema")
def test_ema():
    """Prediction: NEUTRAL. A learning rate that ends at zero has averaged the noise away already."""
