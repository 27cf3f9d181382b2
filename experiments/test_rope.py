"""Rotary position embeddings instead of a learned table (Su et al. 2021)."""

from pytest_exprun import experiment


@experiment("--rope")
def test_rope(comparison):
    """Prediction: WINNER. Relative positions need not be learned from scratch, which matters most when there are only 1M tokens."""
    assert comparison.not_loser
