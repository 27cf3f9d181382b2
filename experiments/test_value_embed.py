"""An embedding of the token added to the values of each layer (modded-nanogpt)."""

from pytest_exprun import experiment


@experiment("--value_embed")
def test_value_embed():
    """Prediction: WINNER, by little. The values get the token's identity without going through the residual stream."""
