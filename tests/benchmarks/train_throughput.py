"""Tokens per CPU-second of the trainer beside a yardstick script, in turn, so that a noisy machine treats both alike.

    python tests/benchmarks/train_throughput.py --yardstick plain_gpt.py [--tokens 200000] [--rounds 5]

The yardstick is called as `SCRIPT TOKENS SEED [flags]` and prints `tok_per_cpu_s X` last. Ratios are taken within a round.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAIRS = {
    "gpt2 recipe": ([], []),
    "modern recipe": (["--recipe", "modern"], ["--rope", "--qk", "--relu2"]),
}


def command(argv: list[str]) -> str:
    """Run a Python script on one thread; return what it prints."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *argv], check=True, text=True, stdout=subprocess.PIPE, env=environment
    ).stdout


def ours(tokens: int, flags: list[str]) -> tuple[float, float]:
    """Return tokens per CPU-second and the share of the GEMM peak of one training run."""
    with tempfile.TemporaryDirectory() as folder:
        command(
            [
                str(ROOT / "train_llm.py"),
                "--train_tokens",
                str(tokens),
                "--batch_size",
                "16",
                "--output_dir",
                folder,
                *flags,
            ]
        )
        metrics = json.loads((Path(folder) / "metrics.json").read_text())
    return tokens / metrics["cpu_time"], metrics["mfu"]


def theirs(script: str, tokens: int, flags: list[str]) -> float:
    """Return tokens per CPU-second of the yardstick."""
    return float(command([script, str(tokens), "42", *flags]).rpartition("tok_per_cpu_s")[2])


def main() -> None:
    """Measure and print one line a round, then medians and extremes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--yardstick", required=True)
    parser.add_argument("--tokens", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    for name, (flags, yardstick_flags) in PAIRS.items():
        ratios, shares = [], []
        for _ in range(arguments.rounds):
            speed, share = ours(arguments.tokens, flags)
            other = theirs(arguments.yardstick, arguments.tokens, yardstick_flags)
            ratios.append(speed / other)
            shares.append(share)
            print(
                f"{name:14} ours {speed:7.0f}  yardstick {other:7.0f} tokens/CPU-s  ratio {ratios[-1]:.3f}", flush=True
            )
        spread = f"{min(ratios):.3f} to {max(ratios):.3f}"
        print(
            f"{name:14} ratio median {statistics.median(ratios):.3f} ({spread}), {statistics.median(shares):.0%} of GEMM peak"
        )


if __name__ == "__main__":
    main()
