"""SwiGLU (Shazeer 2020), narrowed to the parameter count of the perceptron it replaces."""

from pytest_exprun import experiment


@experiment("--swiglu")
def test_swiglu():
    """Prediction: NEUTRAL. Gating helps large models; a width of 344 instead of 512 costs a small one about as much."""
