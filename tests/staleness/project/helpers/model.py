"""A linear model with a squared error."""

import random

import gainlib

from . import SCALE


def initial_weights(seed, width, spread=0.1):
    """Draw the weights from a generator of their own."""
    generator = random.Random(f"{seed}/weights")
    return [gainlib.GAIN * generator.gauss(0, spread) for _ in range(width)]


class Model:
    """Weights, a prediction and its gradient."""

    def __init__(self, weights, bias=0.0):
        self.weights = weights
        self.bias = bias

    def predict(self, x):
        """Return the prediction for one input."""
        return SCALE * sum(w * value for w, value in zip(self.weights, x)) + self.bias  # noqa: B905  # a narrower model takes the first inputs

    def loss_and_gradient(self, batch):
        """Return the mean squared error and its gradient."""
        total = 0.0
        gradient = [0.0] * len(self.weights)
        for x, y in batch:
            error = self.predict(x) - y
            total += error * error
            for i, value in enumerate(x):
                gradient[i] += 2 * SCALE * error * value / len(batch)
        return total / len(batch), gradient
