"""A trainer with helpers, small enough to run a thousand times: a linear model on a few numbers."""

import argparse
import json
import random
from pathlib import Path

from helpers import evaluate, features
from helpers.model import Model, initial_weights
from helpers.optimizer import SGD, clip
from helpers.schedule import learning_rate

STEPS = 30
EVAL_EVERY = 10
CONFIG = json.loads(Path("config.json").read_text(encoding="utf-8"))


def build_parser():
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train_tokens", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output_dir", default="out")
    parser.add_argument("--rope", action="store_true", help="rotate the inputs")
    parser.add_argument("--warmup", type=int, default=4)
    parser.add_argument("--momentum", type=float, default=0.5)
    return parser


def batches(data, seed, size=4):
    """Yield batches in an order that depends on the seed only."""
    order = random.Random(f"{seed}/data")
    while True:
        yield [data[order.randrange(len(data))] for _ in range(size)]


def train(args, data):
    """Train and return the model and its last loss."""
    model = Model(initial_weights(args.seed, CONFIG["width"]))
    optimizer = SGD(model, momentum=args.momentum)
    stream = batches(data, args.seed)
    loss = 0.0
    for step in range(STEPS):
        batch = next(stream)
        if args.rope:
            batch = [features.rotate(example) for example in batch]
        loss, gradient = model.loss_and_gradient(batch)
        gradient = clip(gradient, CONFIG["clip"])
        optimizer.step(gradient, learning_rate(step, STEPS, args.warmup))
        if (step + 1) % EVAL_EVERY == 0:
            print(f"Step {step + 1} | val_loss: {evaluate.val_loss(model, args.rope):.4f} | train_loss: {loss:.4f}")
    return model, loss


def main(argv):
    """Run one training and return its metrics."""
    args = build_parser().parse_args(argv)
    data = features.load("data/train.txt")
    model, train_loss = train(args, data)
    return {
        "val_loss": evaluate.val_loss(model, args.rope),
        "train_loss": train_loss,
        "train_tokens": args.train_tokens,
        "val_data_sha256": evaluate.data_digest(),
    }
