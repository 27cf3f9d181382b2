"""A learning rate a hundred times smaller has not arrived after 300 steps: a loser."""

from pytest_exprun import experiment


@experiment("--learning_rate=0.001", gate="loser")
def test_learning_rate(): ...
