"""Handwritten digits with a multi-layer perceptron of scikit-learn. A run's budget is the number of images that it sees."""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

BATCH = 50


def train(seed: int, train_tokens: int, *, hidden: int = 16, lr: float = 1e-3, tanh: bool = False) -> dict:
    images, digits = load_digits(return_X_y=True)
    split = train_test_split(images / 16, digits, test_size=0.5, random_state=0)  # the same test set in every run
    train_x, test_x, train_y, test_y = split
    model = MLPClassifier((hidden,), activation="tanh" if tanh else "relu", learning_rate_init=lr, random_state=seed)
    order = np.random.default_rng(seed)
    for step in range(train_tokens // BATCH):
        batch = order.integers(len(train_x), size=BATCH)
        model.partial_fit(train_x[batch], train_y[batch], classes=range(10))
        if (step + 1) % 100 == 0:
            print(f"Step {step + 1} | accuracy: {model.score(test_x, test_y):.4f}")
    return {"accuracy": model.score(test_x, test_y)}
