"""Other initial weights."""

from pytest_exprun import experiment


@experiment("--init=0.2")
def test_init():
    """Prediction: NEUTRAL. A million words are enough to forget where the weights started."""
