"""Optimizers of the reference trainer, written out: torch.optim would cost a second of imports."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from torch import Tensor, nn

MATRICES = {"qkv", "out", "up", "down"}  # the weights of a block that Muon can take
POLAR_EXPRESS = (
    (8.2873, -23.5959, 17.3004),
    (4.1071, -2.9478, 0.5448),
    (3.9487, -2.9089, 0.5518),
    (3.3184, -2.4885, 0.5100),
    (2.3007, -1.6689, 0.4188),
)


def learning_rate(step: int, steps: int, config: argparse.Namespace) -> float:
    """Return the share of the peak learning rate for `step` (from 0): linear warm-up, then the schedule's way down."""
    warmup = max(1, round(config.warmup * steps))
    progress = max(0.0, (step + 1 - warmup) / max(1, steps - warmup + 1))
    shape = {
        "constant": 1.0,
        "linear": 1 - progress,
        "cosine": 0.5 * (1 + math.cos(math.pi * progress)),
        "trapezoid": min(1.0, 2 * (1 - progress)),
    }[config.schedule]
    return float(config.lr_scale * min(1.0, (step + 1) / warmup) * shape)


class AdamW:
    """Adam with decoupled weight decay over one flat buffer (torch.optim's would cost a second of imports)."""

    def __init__(self, weights: Tensor, gradient: Tensor, lr: float, weight_decay: float) -> None:
        self.weights, self.gradient, self.lr, self.weight_decay = weights, gradient, lr, weight_decay
        self.mean, self.square, self.steps = torch.zeros_like(weights), torch.zeros_like(weights), 0

    def step(self, scale: float, beta1: float = 0.9, beta2: float = 0.95) -> None:
        """Update the weights in place with `scale` times the learning rate."""
        self.steps += 1
        lr = self.lr * scale
        self.mean.lerp_(self.gradient, 1 - beta1)
        self.square.mul_(beta2).addcmul_(self.gradient, self.gradient, value=1 - beta2)
        spread = self.square.sqrt().mul_(1 / math.sqrt(1 - beta2**self.steps)).add_(1e-8)
        self.weights.mul_(1 - lr * self.weight_decay)
        self.weights.addcdiv_(self.mean, spread, value=-lr / (1 - beta1**self.steps))


def orthogonalise(x: Tensor) -> Tensor:
    """Bring all singular values of a stack of wide matrices (N, rows, columns) near 1 by polynomials of the matrix.

    Polar Express (arXiv 2505.16932): from singular values in [0.001, 1] these five odd polynomials come nearest to 1.
    """
    x = x / (torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True) * 1.01 + 1e-7)
    for a, b, c in POLAR_EXPRESS:
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


class Muon:
    """Momentum whose update is orthogonalised, over a flat buffer of matrices with `dim` columns.

    The matrices are cut into blocks as high as a head: that is natural for queries, keys and values, and costs half as much.
    """

    def __init__(self, weights: Tensor, gradient: Tensor, lr: float, weight_decay: float) -> None:
        self.weights, self.gradient, self.lr, self.weight_decay = weights, gradient, lr, weight_decay
        self.momentum = torch.zeros_like(weights)

    def step(self, scale: float, momentum: float = 0.95) -> None:
        """Update the weights in place with `scale` times the learning rate."""
        lr = self.lr * scale
        self.momentum.lerp_(self.gradient, 1 - momentum)
        update = orthogonalise(torch.lerp(self.gradient, self.momentum, momentum))
        self.weights.mul_(1 - lr * self.weight_decay).add_(update, alpha=-lr)


class RowAdagrad:
    """Adagrad with one step size a row, for tables of which a batch touches few rows (sparse gradients)."""

    def __init__(self, table: nn.Parameter, lr: float) -> None:
        self.table, self.lr, self.square = table, lr, table.new_zeros(len(table))

    @torch.no_grad()
    def step(self, scale: float) -> None:
        """Update the touched rows in place."""
        gradient = self.table.grad.to_sparse(1).coalesce()  # torch.compile gives a dense gradient
        rows, values = gradient.indices()[0], gradient.values()
        square = self.square[rows] + values.square().mean(1)
        self.square[rows] = square
        self.table.index_add_(0, rows, values / (square.sqrt() + 1e-10).unsqueeze(1), alpha=-self.lr * scale)
        self.table.grad = None


class Optimizer:
    """All parameters as views of one flat buffer, gradients of another: clipping and updates are a few long operations."""

    def __init__(self, model: nn.Module, config: argparse.Namespace) -> None:
        named = [(name, parameter) for name, parameter in model.named_parameters() if not name.startswith("ngrams.")]
        kinds = {name: self.kind(name, parameter, config) for name, parameter in named}
        block = config.dim // config.heads * config.dim
        missing = -sum(parameter.numel() for name, parameter in named if kinds[name] == "muon") % block
        if missing:  # SwiGLU's width is no multiple of a head's: zeros fill the last block, and stay zero
            kinds["padding"] = "muon"
            named.append(("padding", model.embed.new_zeros(missing)))
        named.sort(key=lambda item: kinds[item[0]])
        self.config, self.tables = config, [RowAdagrad(table, config.ngram_lr) for table in model.ngrams.values()]
        self.weights = torch.cat([parameter.detach().flatten() for _, parameter in named])
        self.gradient = torch.zeros_like(self.weights)
        self.average = self.weights.clone() if config.ema else None
        offset, ends = 0, {}
        for name, parameter in named:
            part = slice(offset, offset + parameter.numel())
            parameter.data, parameter.grad = (
                flat[part].view(parameter.shape) for flat in (self.weights, self.gradient)
            )
            offset = ends[kinds[name]] = part.stop
        self.parts, offset = [], 0
        for kind, end in ends.items():
            flat = self.weights[offset:end], self.gradient[offset:end]
            if kind == "muon":
                blocks = (part.view(-1, config.dim // config.heads, config.dim) for part in flat)
                self.parts.append(Muon(*blocks, config.muon_lr, config.weight_decay))
            else:
                self.parts.append(AdamW(*flat, config.lr, config.weight_decay if kind == "decayed" else 0.0))
            offset = end

    @staticmethod
    def kind(name: str, parameter: nn.Parameter, config: argparse.Namespace) -> str:
        """Return how a parameter is updated: by Muon, by AdamW with weight decay, or by AdamW without."""
        if config.muon:
            return "muon" if name.rpartition(".")[2] in MATRICES else "plain"
        return "decayed" if parameter.dim() > 1 else "plain"

    def step(self, scale: float, average: float) -> Tensor:
        """Clip, update, and clear the gradient; return its norm before clipping. `average` is the EMA's weight on the new."""
        norm = torch.linalg.vector_norm(self.gradient)
        if self.config.grad_clip:
            self.gradient.mul_((self.config.grad_clip / (norm + 1e-6)).clamp(max=1.0))
        for part in (*self.parts, *self.tables):
            part.step(scale)
        if self.average is not None:
            self.average.lerp_(self.weights, average)
        self.gradient.zero_()
        return norm

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """Put the averaged weights, if there are any, in place of the last ones (n-gram tables stay)."""
        if self.average is None:
            yield
            return
        last = self.weights.clone()
        self.weights.copy_(self.average)
        yield
        self.weights.copy_(last)
