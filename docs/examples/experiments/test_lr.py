"""Half and double the learning rate, both with the rate coming down."""

import pytest

from pytest_exprun import Verdict, experiment


@pytest.mark.parametrize("lr", [0.05, 0.2])
@experiment("--lr={lr}", baseline="--decay")
def test_lr(comparison, lr):
    """Prediction: neither is better; with decay the default rate was a good choice."""
    assert comparison.verdict is not Verdict.WINNER
