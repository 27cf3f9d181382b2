"""A whole trainer in about thirty lines: which word follows which, in a made-up language of 30 words. It needs numpy alone."""

import argparse
import sys

import numpy as np


def build_parser():
    parser = argparse.ArgumentParser()
    options = {"train_tokens": 1_000_000, "seed": 42, "output_dir": "out", "lr": 0.1, "init": 0.1}
    for name, default in options.items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    parser.add_argument("--decay", action="store_true", help="bring the learning rate down to 0 in a straight line")
    return parser


def main(argv):
    args = build_parser().parse_args(argv)
    # P(next word | word) is the same in all runs; where the weights start and what is read comes from the seed.
    language = np.random.default_rng(0).dirichlet(np.full(30, 0.3), size=30)
    rng = np.random.default_rng(args.seed)
    logits = rng.normal(0, args.init, (30, 30))
    for start in range(0, args.train_tokens, 100):
        now = rng.integers(30, size=min(100, args.train_tokens - start))
        following = (language.cumsum(axis=1)[now] > rng.random((len(now), 1))).argmax(axis=1)
        gradient = np.exp(logits[now]) / np.exp(logits[now]).sum(axis=1, keepdims=True) - np.eye(30)[following]
        np.add.at(logits, now, -args.lr * (1 - args.decay * start / args.train_tokens) * gradient)
        if start % 50_000 == 0 or start + 100 >= args.train_tokens:
            val_loss = -(language * (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)))).sum(axis=1).mean()
            print(f"Step {start // 100 + 1} | val_loss: {val_loss:.4f} | tokens: {start + len(now)}")
    return {"val_loss": float(val_loss), "train_tokens": args.train_tokens}


if __name__ == "__main__":
    main(sys.argv[1:])
