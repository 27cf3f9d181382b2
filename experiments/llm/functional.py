"""The functions a transformer is made of, as one would write them.

On a CPU faster twins from fused.py run in their place, as long as nothing in this file was changed: see proof.py. Change what you like.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F  # noqa: N812

if TYPE_CHECKING:
    import argparse

    from torch import Tensor

EPSILON = 1e-6  # added to mean squares


def rms_norm(x: Tensor) -> Tensor:
    """Divide each vector of the last dimension by its root mean square; no learned gain."""
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPSILON)


def rotate(x: Tensor, rotation: Tensor) -> Tensor:
    """Rotary position embedding of (B, T, H, head_dim): neighbouring dimensions are the parts of one complex number."""
    return torch.view_as_real(
        torch.view_as_complex(x.to(rotation.dtype.to_real()).unflatten(-1, (-1, 2))) * rotation
    ).flatten(-2)


def shift_keys(k: Tensor) -> Tensor:
    """Give the slowly rotating half of each key to the next position, so that one layer can find what followed a match."""
    still, moved = k.chunk(2, -1)
    return torch.cat([still, F.pad(moved, (0, 0, 0, 0, 1, 0))[:, :-1]], -1)


def attention(qkv: Tensor, extra: Tensor | None, rotation: Tensor, config: argparse.Namespace) -> Tensor:
    """Causal attention of (B, T, (H + 2K) * head_dim) -> (B, T, H * head_dim), H heads sharing K key and value heads.

    `extra` (B, T, K * head_dim) is added to the values.
    """
    heads, kv_heads = config.heads, config.n_kv_heads
    q, k, v = qkv.unflatten(-1, (heads + 2 * kv_heads, -1)).split((heads, kv_heads, kv_heads), 2)
    v = v if extra is None else v + extra.view(v.shape)
    if config.qk_norm:
        q, k = rms_norm(q), rms_norm(k)
    k = shift_keys(k) if config.key_shift else k
    if config.rope:
        q, k = rotate(q, rotation), rotate(k, rotation)
    q, k, v = (part.transpose(1, 2).to(qkv.dtype) for part in (q, k, v))
    mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=heads != kv_heads)
    return mixed.transpose(1, 2).flatten(-2)


def activation(hidden: Tensor, config: argparse.Namespace) -> Tensor:
    """The nonlinearity of the perceptron: GELU, squared ReLU, or SwiGLU (which halves the width)."""
    if config.swiglu:
        gate, value = hidden.chunk(2, -1)
        return F.silu(gate) * value
    return F.relu(hidden).square() if config.relu2 else F.gelu(hidden)


def perceptron(x: Tensor, up: Tensor, down: Tensor, config: argparse.Namespace) -> Tensor:
    """Two matrices, the first (outputs, inputs), the second (inputs, outputs), with the nonlinearity between."""
    return activation(F.linear(x, up), config) @ down


def cross_entropy(x: Tensor, head: Tensor, targets: Tensor, softcap: float) -> Tensor:
    """Summed negative log likelihood of targets (N,), -1 = ignored, after final states x (N, dim)."""
    logits = F.linear(x, head).float()
    if softcap:
        logits = softcap * torch.tanh(logits / softcap)
    return F.cross_entropy(logits, targets, ignore_index=-1, reduction="sum")
