"""Muon (Jordan et al. 2024) instead of AdamW for the matrices of the blocks: momentum, orthogonalised."""

from pytest_exprun import experiment


@experiment("--muon")
def test_muon():
    """Prediction: WINNER. With fewer than 500 steps, a step that uses every direction of a matrix counts most."""
