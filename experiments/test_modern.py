"""All that wins together, against the GPT-2 recipe; then each part taken away, and every other flag added."""

import pytest

from pytest_exprun import Verdict, experiment


@experiment("--recipe=modern")
def test_modern(comparison):
    """Prediction: WINNER, at two thirds of the baseline's loss."""
    assert comparison.verdict is Verdict.WINNER


# `-k rope` asks for rope alone.
@pytest.mark.parametrize(
    "part", [pytest.param("rope", id="rotary"), "qk_norm", "rmsnorm", "relu2", "muon", "key_shift"]
)
@experiment("--no_{part}", baseline="--recipe=modern")
def test_modern_without(comparison, part):
    """Prediction: LOSER, an ablation each, and the most without Muon; RMSNorm is there for speed and may be NEUTRAL."""
    assert comparison.verdict is not Verdict.WINNER  # a part that hurts has no place in the recipe


@experiment("--ngram_embed=0", baseline="--recipe=modern", gate="loser")
def test_modern_without_ngram_embed():
    """Prediction: LOSER by more than any other part of the modern recipe."""


# So many looks at one control: a winner must be significant.
@pytest.mark.parametrize("flag", ["post_norm", "no_weight_tying", "n_kv_heads=1", "softcap=15", "value_embed", "ema"])
@experiment("--{flag}", baseline="--recipe=modern", rule="tested")
def test_modern_with(comparison, flag):
    """Prediction: NEUTRAL or LOSER, each. What won beside the other parts is in the recipe."""
    assert comparison.verdict is not Verdict.WINNER  # what wins belongs into the recipe


# The data said otherwise (docs/research): a candidate for the recipe, although it loses against the GPT-2 recipe.
@experiment("--parallel_block", baseline="--recipe=modern", rule="tested")
def test_modern_with_parallel_block():
    """Prediction: NEUTRAL or LOSER. It takes two of four steps of depth away from a model of two layers."""


# The data said otherwise (docs/research): a negative result, kept as one.
@experiment("--swiglu", "--no_relu2", baseline="--recipe=modern", rule="tested", gate="loser")
def test_modern_with_swiglu():
    """Prediction: NEUTRAL. Squared ReLU and SwiGLU are the two good perceptrons of today."""
