"""An output layer of its own instead of the transposed embedding."""

from pytest_exprun import experiment


# The data said otherwise (docs/research): a negative result, kept as one.
@experiment("--no_weight_tying", gate="loser")
def test_no_weight_tying():
    """Prediction: NEUTRAL. With 256 tokens the tie saves little and costs little."""
