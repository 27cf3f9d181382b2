"""Gradient descent."""

import math


def clip(gradient, limit=1.0):
    """Shorten a gradient to at most `limit`."""
    norm = math.sqrt(sum(g * g for g in gradient))
    if norm <= limit:
        return gradient
    return [g * limit / norm for g in gradient]


class SGD:
    """Stochastic gradient descent with momentum and weight decay."""

    def __init__(self, model, momentum=0.9, decay=0.01):
        self.model = model
        self.momentum = momentum
        self.decay = decay
        self.velocity = [0.0] * len(model.weights)

    def step(self, gradient, lr):
        """Update the weights."""
        for i, g in enumerate(gradient):
            self.velocity[i] = self.momentum * self.velocity[i] + g + self.decay * self.model.weights[i]
            self.model.weights[i] -= lr * self.velocity[i]
