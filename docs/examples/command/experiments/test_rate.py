"""A learning rate a hundred times smaller has not arrived after 300 steps: a loser, and this test sees to it that it stays one."""

from pytest_exprun import experiment


@experiment("--learning_rate=0.001", gate="loser")
def test_rate(): ...
