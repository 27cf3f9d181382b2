"""Other learning-rate schedules than the baseline's, at the same peak."""

import pytest

from pytest_exprun import experiment


@pytest.mark.parametrize("shape", ["linear", "trapezoid"])
@experiment("--schedule={shape}")
def test_schedule(comparison, shape):
    """Prediction: NEUTRAL. What matters is that the rate comes down at the end, which both do."""
    assert comparison.not_loser


@experiment("--schedule=constant", gate="loser")
def test_constant_schedule():
    """Prediction: LOSER, an ablation. Without a cooldown the weights end where the last noisy steps left them."""
