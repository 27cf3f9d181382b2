"""One key and value head shared by both query heads (multi-query attention, Shazeer 2019)."""

from pytest_exprun import experiment


@experiment("--n_kv_heads=1", gate="loser")
def test_one_kv_head():
    """Prediction: LOSER, kept as a negative result. It halves what a position can offer, to save memory that is not short here."""
