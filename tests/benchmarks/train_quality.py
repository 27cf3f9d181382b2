"""Loss and CPU-seconds of the recipes beside a yardstick script, on the same bytes, seed by seed in turn.

    python tests/benchmarks/train_quality.py --yardstick plain_gpt.py [--seeds 42 137 256 512 1024] [--runs gpt2 modern short]

The yardstick is called as `SCRIPT TOKENS SEED --train FILE --val FILE [flags]` and prints `val_loss X cpu_s Y`. The files hold the
trainer's own training bytes and its own validation sample. `short` is a modern run with a schedule of its own, over a sixth of
the tokens. Every run is printed at once, then means, standard deviations and ratios to the yardstick.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
OURS = {
    "gpt2": ["--recipe", "gpt2", "--train_tokens", "1000000"],
    "modern": ["--recipe", "modern", "--train_tokens", "1000000"],
    "short": ["--recipe", "modern", "--train_tokens", "160000"],
}
THEIRS = {"yardstick": [], "yardstick rope": ["--rope"], "yardstick rope qk relu2": ["--rope", "--qk", "--relu2"]}


def command(argv: list[str]) -> str:
    """Run a Python script on one thread; return what it prints."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *argv], check=True, text=True, stdout=subprocess.PIPE, env=environment
    ).stdout


def write_corpus(folder: Path) -> list[str]:
    """Write the trainer's corpus into two files; return the yardstick's arguments for them."""
    code = (
        "import pathlib, sys; from experiments.llm import data; corpus = data.load_corpus('stdlib');"
        "[pathlib.Path(sys.argv[1], name).write_bytes(bytes(getattr(corpus, name).numpy())) for name in ('train', 'val')]"
    )
    command(["-c", code, str(folder)])
    return ["--train", str(folder / "train"), "--val", str(folder / "val")]


def run(name: str, seed: int, folder: Path, corpus: list[str], yardstick: str) -> tuple[float, float]:
    """Return (validation loss, CPU-seconds) of one run."""
    if name in OURS:
        command([str(ROOT / "train_llm.py"), *OURS[name], "--seed", str(seed), "--output_dir", str(folder)])
        metrics = json.loads((folder / "metrics.json").read_text())
        return metrics["val_loss"], metrics["cpu_time"]
    printed = command([yardstick, "1000000", str(seed), *THEIRS[name], *corpus])
    return tuple(float(re.search(rf"{key} (\S+)", printed)[1]) for key in ("val_loss", "cpu_s"))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--yardstick", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 137, 256, 512, 1024])
    parser.add_argument("--runs", nargs="+", choices=[*OURS, *THEIRS], default=[*OURS, *THEIRS])
    arguments = parser.parse_args()
    results: dict[str, list[tuple[float, float]]] = {name: [] for name in arguments.runs}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        corpus = write_corpus(folder)
        for seed in arguments.seeds:
            for name, values in results.items():
                values.append(run(name, seed, folder, corpus, arguments.yardstick))
                print(f"{name:24} seed {seed:5} val_loss {values[-1][0]:.4f} CPU-s {values[-1][1]:.1f}", flush=True)
    for name, values in results.items():
        losses, seconds = zip(*values, strict=True)
        mean, spread = statistics.mean(losses), statistics.stdev(losses) if len(losses) > 1 else float("nan")
        line = (
            f"{name:24} val_loss {mean:.4f} +- {spread:.4f} ({spread / mean:.2%})  CPU-s {statistics.mean(seconds):.1f}"
        )
        if "yardstick" in results:
            against = results["yardstick"]
            loss_ratio = mean / statistics.mean(loss for loss, _ in against)
            time_ratio = statistics.mean(mine / other for mine, (_, other) in zip(seconds, against, strict=False))
            line += f"  to yardstick: loss {loss_ratio:.3f}, CPU {time_ratio:.3f}"
        print(line)


if __name__ == "__main__":
    main()
