"""A script as people have them: a hard-coded seed, everything at module level, results only printed."""
# ruff: noqa: B905, PTH103, PTH118, PTH123, S311  # as people write scripts

import argparse
import math
import os
import random

parser = argparse.ArgumentParser()
parser.add_argument("--max_iters", type=int, default=300)
parser.add_argument("--out_dir", default="out")
parser.add_argument("--learning_rate", type=float, default=0.1)
parser.add_argument("--momentum", type=float, default=0.0)
args = parser.parse_args()

# The script said `random.seed(1337)`. This is the one line that changed:
random.seed(int(os.environ.get("SEED", "1337")))

TRUE = [1.0, -2.0, 0.5]


def draw(count, generator):
    """Return points and noisy labels of a logistic model."""
    points = [[generator.gauss(0, 1) for _ in TRUE] for _ in range(count)]
    return [(x, generator.random() < 1 / (1 + math.exp(-sum(t * v for t, v in zip(TRUE, x))))) for x in points]


def loss(weights, rows):
    """Return the mean cross-entropy."""
    scores = [(sum(w * v for w, v in zip(weights, x)), y) for x, y in rows]
    return sum(math.log1p(math.exp(-z if y else z)) for z, y in scores) / len(rows)


train, val = draw(512, random), draw(512, random.Random(0))  # the validation set is the same for every seed
weights, velocity = [0.0] * 3, [0.0] * 3
for step in range(args.max_iters + 1):
    if step % 100 == 0 or step == args.max_iters:
        print(f"step {step}: train loss {loss(weights, train):.4f}, val loss {loss(weights, val):.4f}")
    for x, y in random.sample(train, 8):
        error = 1 / (1 + math.exp(-sum(w * v for w, v in zip(weights, x)))) - y
        velocity = [args.momentum * m - args.learning_rate / 8 * error * v for m, v in zip(velocity, x)]
        weights = [w + m for w, m in zip(weights, velocity)]

os.makedirs(args.out_dir, exist_ok=True)
with open(os.path.join(args.out_dir, "weights.txt"), "w") as file:
    file.write(repr(weights))
