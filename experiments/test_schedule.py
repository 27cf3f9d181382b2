"""Other learning-rate schedules than the baseline's trapezoid, at the same peak."""

import pytest

from pytest_exprun import Verdict, experiment


@pytest.mark.parametrize("shape", ["linear", "cosine"])
@experiment("--schedule={shape}")
def test_schedule(comparison, shape):
    """Prediction: a small loss. Both leave the peak earlier, and a run this short learns most there."""
    assert comparison.verdict is not Verdict.WINNER


@experiment("--schedule=constant", gate="loser")
def test_constant_schedule():
    """Prediction: LOSER, an ablation. Without a cooldown the weights end where the last noisy steps left them."""
