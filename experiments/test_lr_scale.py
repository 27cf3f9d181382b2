"""Is the baseline's learning rate a straw man? Half and double of the tuned one."""

import pytest

from pytest_exprun import Verdict, experiment


@pytest.mark.parametrize("x", [0.5, 2])
@experiment("--lr_scale={x}")
def test_lr_scale(comparison, x):
    """Prediction: neither wins, because the rate was chosen by a sweep; both within a few sigma of it."""
    assert comparison.verdict is not Verdict.WINNER
