"""RMSNorm without gain instead of LayerNorm (Zhang and Sennrich 2019)."""

from pytest_exprun import experiment


@experiment("--rmsnorm")
def test_rmsnorm():
    """Prediction: NEUTRAL. Mean subtraction and gains do little; the reason to use it is speed."""
