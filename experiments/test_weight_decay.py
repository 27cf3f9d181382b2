"""No weight decay."""

from pytest_exprun import experiment


@experiment("--weight_decay=0")
def test_no_weight_decay():
    """Prediction: NEUTRAL. In less than one pass over the data there is nothing to overfit; decay only limits the weights' growth."""
