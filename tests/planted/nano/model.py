"""A character model without anything heavy: which character follows which, learned by gradient descent."""

import math


class Bigram:
    """A table of logits, a row for each character."""

    def __init__(self, size):
        self.logits = [[0.0] * size for _ in range(size)]

    def probabilities(self, character):
        """Return what may follow a character."""
        weights = [math.exp(logit) for logit in self.logits[character]]
        total = sum(weights)
        return [weight / total for weight in weights]

    def loss(self, pairs):
        """Return the mean cross-entropy of pairs of characters."""
        return -sum(math.log(self.probabilities(one)[other]) for one, other in pairs) / len(pairs)

    def step(self, pairs, rate):
        """Go down the gradient of a batch."""
        for one, other in pairs:
            row = self.logits[one]
            for place, probability in enumerate(self.probabilities(one)):
                row[place] -= rate / len(pairs) * (probability - (place == other))
