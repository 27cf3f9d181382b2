"""Half of each key comes from the position before, so that one layer can find what followed an earlier match."""

from pytest_exprun import experiment


@experiment("--key_shift", baseline="--rope")
def test_key_shift():
    """Prediction: WINNER. It hands a two-layer model the first half of an induction head."""
