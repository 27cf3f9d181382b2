"""The usual 1e-3 is too careful for so small a model."""

from pytest_exprun import Verdict, experiment


@experiment("--learning_rate=4e-3")
def test_rate(comparison):
    assert comparison.verdict is Verdict.WINNER
