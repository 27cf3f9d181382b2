"""Half the batch, twice the steps, at the same number of tokens."""

from pytest_exprun import experiment


@experiment("--batch_size=8")
def test_small_batch(comparison):
    """Prediction: WINNER in loss, at a price in time. 488 steps are few; more and noisier steps should learn more from 1M tokens."""
    assert comparison.not_loser
