"""More hidden units separate the digits better."""

from pytest_exprun import Verdict, experiment


@experiment("--hidden=128")
def test_hidden(comparison):
    assert comparison.verdict is Verdict.WINNER


@experiment("--tanh")
def test_tanh(): ...
