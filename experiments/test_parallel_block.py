"""Attention and perceptron read the same state (GPT-J), instead of one after the other."""

from pytest_exprun import experiment


@experiment("--parallel_block", gate="loser")
def test_parallel_block():
    """Prediction: LOSER, kept as a negative result. It takes two of four steps of depth away from a model of two layers."""
