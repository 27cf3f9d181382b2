"""Momentum helps a model that is still on its way; here the loss is already down to gradient noise, which momentum makes larger."""

from pytest_exprun import experiment


@experiment("--momentum=0.5", gate="loser")
def test_momentum(): ...
