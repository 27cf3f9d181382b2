"""Same-seed correlation between the baseline and single flags: what share of the seed noise does pairing take away?

    python tests/benchmarks/train_correlation.py [--tokens 1000000] [--count 8] [--recipe gpt2] [--flags --muon --relu2 ...]

Pairing leaves var(experiment - baseline) / (var(baseline) + var(experiment)) of the variance of an unpaired difference.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import train_llm

FLAGS = (
    *("--weight_decay=0", "--lr_scale=0.5", "--schedule=linear", "--ema", "--muon"),  # optimizer
    *("--relu2", "--swiglu", "--softcap=15"),  # activation
    *("--rope", "--qk_norm", "--rmsnorm", "--post_norm", "--parallel_block", "--no_weight_tying", "--n_kv_heads=1"),
    *("--value_embed", "--ngram_embed=4", "--dropout=0.1"),
)


def losses(flags: list[str], seeds: range, tokens: int) -> list[float]:
    """Return the validation loss of every seed."""
    values = []
    for seed in seeds:
        with contextlib.redirect_stdout(io.StringIO()):
            values.append(train_llm.main(["--train_tokens", str(tokens), "--seed", str(seed), *flags])["val_loss"])
    return values


def main() -> None:
    """Train and print one row a flag."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tokens", type=int, default=1_000_000)
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--recipe", default="gpt2")
    parser.add_argument("--flags", nargs=argparse.REMAINDER, default=FLAGS)
    arguments = parser.parse_args()
    seeds = range(1, arguments.count + 1)
    recipe = ["--recipe", arguments.recipe]
    baseline = losses(recipe, seeds, arguments.tokens)
    print(f"baseline {statistics.mean(baseline):.4f} +- {statistics.stdev(baseline):.4f}", flush=True)
    print("| flag | mean | std | correlation | share of variance left |\n|---|---|---|---|---|")
    for flag in arguments.flags:
        values = losses([*recipe, flag], seeds, arguments.tokens)
        rho = statistics.correlation(baseline, values)
        difference = statistics.variance(one - other for one, other in zip(values, baseline, strict=True))
        left = difference / (statistics.variance(baseline) + statistics.variance(values))
        mean, spread = statistics.mean(values), statistics.stdev(values)
        print(f"| `{flag}` | {mean:.4f} | {spread:.4f} | {rho:.2f} | {left:.2f} |", flush=True)


if __name__ == "__main__":
    main()
