"""The normalisation before the output layer."""

from pytest_exprun import experiment


@experiment("--no_final_norm", gate="loser")
def test_final_norm_earns_its_place():
    """Prediction: LOSER, an ablation. Without it nothing sets the scale of the logits."""
