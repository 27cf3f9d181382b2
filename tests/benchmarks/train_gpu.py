"""What a GPU would be asked: speed and MFU beside a plain reference, determinism of repeats, K seeds in one batch.

    python tests/benchmarks/train_gpu.py [--size gpt2s] [--tokens 20000000] [--seeds 8] [--device cuda]

With `--device cpu --size nano --tokens 20000` it only shows that the script works. The plain reference is torch's own
TransformerEncoder of the same shape with torch.optim.AdamW, under the same autocast. K seeds in one batch train K models of size
`tiny` as one model with a leading seed dimension (torch.func.vmap), beside one model alone.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

import train_llm
from experiments.llm import data


def clock(device: torch.device) -> float:
    """Seconds, after the device has finished."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def train(*flags: str) -> dict[str, Any]:
    """Train quietly."""
    with contextlib.redirect_stdout(io.StringIO()):
        return train_llm.main(list(flags))


class Reference(nn.Module):
    """A GPT out of torch's own layers."""

    def __init__(self, config: argparse.Namespace) -> None:
        super().__init__()
        self.embed = nn.Embedding(config.vocab, config.dim)
        self.position = nn.Embedding(config.context, config.dim)
        layer = nn.TransformerEncoderLayer(
            config.dim, config.heads, 4 * config.dim, 0.0, "gelu", batch_first=True, norm_first=True, bias=False
        )
        self.layers = nn.TransformerEncoder(layer, config.layers, nn.LayerNorm(config.dim), enable_nested_tensor=False)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(config.context))

    def forward(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Return the summed loss."""
        x = self.embed(tokens) + self.position.weight[: tokens.shape[1]]
        x = self.layers(x, mask=self.mask, is_causal=True)
        logits = F.linear(x, self.embed.weight).flatten(0, 1).float()
        return F.cross_entropy(logits, targets, reduction="sum")


def reference_speed(config: argparse.Namespace) -> float:
    """Return tokens per second of the plain reference."""
    model = Reference(config).to(config.device)
    optimizer = torch.optim.AdamW(model.parameters(), 3e-4, fused=config.device.type == "cuda")
    began, done = 0.0, 0
    for step, (tokens, targets, count) in enumerate(data.batches(data.load_corpus(config.data), config)):
        if step == 3:  # warm-up
            began = clock(config.device)
        with train_llm.autocast(config):
            loss = model(tokens, targets)
        (loss / count).backward()
        optimizer.step()
        optimizer.zero_grad()
        done += count * (step >= 3)
    return done / (clock(config.device) - began)


def seeds_at_once(config: argparse.Namespace, seeds: int, steps: int = 20) -> tuple[float, float]:
    """Return seconds a step of one model, and of `seeds` models in one batch (forward and backward)."""
    config.fused = False
    models = []
    for seed in range(seeds):
        config.seed = seed
        models.append(train_llm.GPT(config))
    stacked, _ = torch.func.stack_module_state(models)
    tokens, targets, _ = next(data.batches(data.load_corpus(config.data), config))

    def loss(parameters: dict[str, Tensor]) -> Tensor:
        return torch.func.functional_call(models[0], parameters, (tokens, targets))

    together = torch.func.vmap(torch.func.grad(loss))
    alone = torch.func.grad(loss)
    single = {name: value[0] for name, value in stacked.items()}
    results = []
    for function, parameters in ((alone, single), (together, stacked)):
        function(parameters)
        began = clock(config.device)
        for _ in range(steps):
            function(parameters)
        results.append((clock(config.device) - began) / steps)
    return results[0], results[1]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", default="gpt2s")
    parser.add_argument("--tokens", type=int, default=20_000_000)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--device", default="cuda")
    arguments = parser.parse_args()
    common = ["--size", arguments.size, "--device", arguments.device, "--train_tokens", str(arguments.tokens)]
    for flags in ([], ["--recipe", "modern"], *([["--compile"]] if arguments.device == "cuda" else [])):
        metrics = train(*common, *flags)
        name = " ".join(flags) or "gpt2"
        print(f"{name:16} {metrics['tokens_per_second']:9.0f} tokens/s, MFU {metrics['mfu']:.1%}", flush=True)
    print(f"plain reference  {reference_speed(train_llm.configure(common)):9.0f} tokens/s", flush=True)
    for flags in ([], ["--deterministic"]):
        short = [*common[:4], "--train_tokens", str(min(arguments.tokens, 500_000)), "--recipe", "modern", *flags]
        first, second = (train(*short)["val_loss"] for _ in range(2))
        print(
            f"two runs {' '.join(flags):16}: {first!r} and {second!r}, {'equal' if first == second else 'DIFFERENT'}",
            flush=True,
        )
    alone, together = seeds_at_once(train_llm.configure(["--device", arguments.device, "--rope"]), arguments.seeds)
    print(f"one seed {alone * 1e3:.1f} ms a step, {arguments.seeds} seeds in one batch {together * 1e3:.1f} ms")


if __name__ == "__main__":
    main()
