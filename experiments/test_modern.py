"""All that wins together, against the GPT-2 recipe."""

from pytest_exprun import Verdict, experiment


@experiment("--recipe=modern")
def test_modern(comparison):
    """Prediction: WINNER, at two thirds of the baseline's loss."""
    assert comparison.verdict is Verdict.WINNER
