"""The functions a transformer is made of: first as one would write them, then fused for a CPU with gradients by hand."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.nn import functional as F  # noqa: N812

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from torch import Tensor

EPSILON = 1e-6  # added to mean squares
CAUSAL_CHUNK = 32  # queries whose keys are cut to the same length
MLP_ROWS = 512  # rows of a perceptron's block: its hidden layer fits in a core's cache


class Tables(NamedTuple):
    """Constant tables: the causal mask (T, T) added to scores, and rotations (T, 1, head_dim / 2), complex."""

    mask: Tensor
    rotation: Tensor

    @classmethod
    def of(cls, config: argparse.Namespace) -> Tables:
        """Build the tables for a configuration."""
        context, head_dim = config.context, config.dim // config.heads
        frequencies = config.rope_base ** -(torch.arange(0, head_dim, 2) / head_dim)
        angles = torch.outer(torch.arange(context), frequencies)
        mask = torch.full((context, context), -math.inf).triu(1)
        return cls(mask.to(config.device), torch.polar(torch.ones_like(angles), angles).unsqueeze(1).to(config.device))


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


def attention(qkv: Tensor, extra: Tensor | None, tables: Tables, config: argparse.Namespace) -> Tensor:
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
        q, k = rotate(q, tables.rotation), rotate(k, tables.rotation)
    q, k, v = (part.transpose(1, 2).to(qkv.dtype) for part in (q, k, v))
    mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=heads != kv_heads)
    return mixed.transpose(1, 2).flatten(-2)


def activation(hidden: Tensor, config: argparse.Namespace) -> Tensor:
    """The nonlinearity of the perceptron: GELU, squared ReLU, or SwiGLU (which halves the width)."""
    if config.swiglu:
        gate, value = hidden.chunk(2, -1)
        return F.silu(gate) * value
    return F.relu(hidden).square() if config.relu2 else F.gelu(hidden)


def cross_entropy(x: Tensor, head: Tensor, targets: Tensor, softcap: float) -> Tensor:
    """Summed negative log likelihood of targets (N,), -1 = ignored, after final states x (N, dim)."""
    logits = F.linear(x, head).float()
    if softcap:
        logits = softcap * torch.tanh(logits / softcap)
    return F.cross_entropy(logits, targets, ignore_index=-1, reduction="sum")


# The four functions above once more for a CPU, with gradients by hand: nothing is copied that can be read in place, nothing
# stored that is cheaper to compute again, and half-empty causal products are cut in chunks. Tests hold them to the plain ones.


def inverse_rms(x: Tensor) -> Tensor:
    """One over the root mean square of the last dimension, kept as a dimension."""
    return torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_().div_(x.shape[-1]).add_(EPSILON).rsqrt_()


def rms_norm_backward(gradient: Tensor, y: Tensor, scale: Tensor) -> Tensor:
    """Gradient of x -> y = x * scale with scale = inverse_rms(x)."""
    return torch.addcmul(gradient, y, (gradient * y).mean(-1, keepdim=True), value=-1).mul_(scale)


class FusedRMSNorm(torch.autograd.Function):
    """rms_norm."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: D102
        scale = inverse_rms(x)
        y = x * scale
        ctx.save_for_backward(y, scale)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: D102
        return rms_norm_backward(gradient, *ctx.saved_tensors)


class FusedAttention(torch.autograd.Function):
    """attention, in chunks of queries that see only the keys up to their end. Inside, heads come first: (H, B, T, head_dim)."""

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, extra: Tensor | None, tables: Tables, config: argparse.Namespace) -> Tensor:  # noqa: D102
        heads, kv_heads = config.heads, config.n_kv_heads
        qk, v = heads_first(qkv.unflatten(-1, (heads + 2 * kv_heads, -1))).split((heads + kv_heads, kv_heads))
        scale = None
        if config.qk_norm:
            scale = inverse_rms(qk)
            qk = qk * scale
        q, k = turn(qk, heads, tables, config)
        v = v if extra is None else v + heads_first(extra.unflatten(-1, (kv_heads, -1)))
        q, k, v = (share_heads(part, heads) for part in (q, k, v))
        mixed, shares = torch.empty_like(q), []
        with mkl_products():
            for rows in chunks(q.shape[1], CAUSAL_CHUNK):
                scores = torch.baddbmm(tables.mask[rows, : rows.stop], q[:, rows], k[:, : rows.stop].mT)
                shares.append(scores.softmax(-1))
                mixed[:, rows] = torch.bmm(shares[-1], v[:, : rows.stop])
        ctx.save_for_backward(q, k, v, qk if config.qk_norm else None, scale, *shares)
        ctx.config, ctx.tables, ctx.extra = config, tables, extra is not None
        return mixed.unflatten(0, (heads, -1)).permute(1, 2, 0, 3).flatten(-2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: D102
        q, k, v, unit, scale, *shares = ctx.saved_tensors
        heads, kv_heads = ctx.config.heads, ctx.config.n_kv_heads
        gradient = heads_first(gradient.unflatten(-1, (heads, -1))).flatten(0, 1)
        d_q, d_k, d_v = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
        with mkl_products():
            for rows, share in zip(chunks(q.shape[1], CAUSAL_CHUNK), shares, strict=True):
                seen = slice(0, rows.stop)
                d_share = torch.bmm(gradient[:, rows], v[:, seen].mT)
                d_scores = torch.ops.aten._softmax_backward_data(d_share, share, -1, share.dtype)  # noqa: SLF001
                d_q[:, rows] = torch.bmm(d_scores, k[:, seen])
                d_k[:, seen] += torch.bmm(d_scores.mT, q[:, rows])
                d_v[:, seen] += torch.bmm(share.mT, gradient[:, rows])
        d_q = d_q.unflatten(0, (heads, -1))
        d_k, d_v = (collect_heads(part, heads, kv_heads) for part in (d_k, d_v))
        d_qk = turn_backward(d_q, d_k, ctx.tables, ctx.config)
        if unit is not None:
            d_qk = rms_norm_backward(d_qk, unit, scale)
        result = torch.cat([d_qk, d_v]).permute(1, 2, 0, 3).flatten(-2)
        return result, d_v.permute(1, 2, 0, 3).flatten(-2) if ctx.extra else None, None, None


def heads_first(x: Tensor) -> Tensor:
    """Copy (B, T, H, head_dim) to (H, B, T, head_dim)."""
    return x.permute(2, 0, 1, 3).contiguous()


def share_heads(x: Tensor, heads: int) -> Tensor:
    """Make (K, B, T, head_dim) a stack (heads * B, T, head_dim), repeating the heads that several queries share."""
    return (x if len(x) == heads else x.repeat_interleave(heads // len(x), 0)).flatten(0, 1)


def collect_heads(x: Tensor, heads: int, kv_heads: int) -> Tensor:
    """Undo share_heads for gradients: sum what the users of a shared head send."""
    x = x.unflatten(0, (kv_heads, heads // kv_heads, -1))
    return x.sum(1) if heads != kv_heads else x.squeeze(1)


def turn(qk: Tensor, heads: int, tables: Tables, config: argparse.Namespace) -> tuple[Tensor, Tensor]:
    """Rotate queries and keys (H + K, B, T, head_dim) to their positions, shift keys, scale queries."""
    shrink = qk.shape[-1] ** -0.5
    if not config.rope:
        return qk[:heads] * shrink, shift_heads(qk[heads:]) if config.key_shift else qk[heads:]
    pairs, rotation = torch.view_as_complex(qk.unflatten(-1, (-1, 2))), tables.rotation.squeeze(1)
    q = pairs[:heads] * (rotation * shrink)
    if not config.key_shift:
        k = pairs[heads:] * rotation
    else:
        k, still = torch.zeros_like(pairs[heads:]), pairs.shape[-1] // 2
        torch.mul(pairs[heads:, ..., :still], rotation[:, :still], out=k[..., :still])
        torch.mul(pairs[heads:, :, :-1, still:], rotation[1:, still:], out=k[:, :, 1:, still:])
    return torch.view_as_real(q).flatten(-2), torch.view_as_real(k).flatten(-2)


def turn_backward(d_q: Tensor, d_k: Tensor, tables: Tables, config: argparse.Namespace) -> Tensor:
    """Gradient of `turn`: the same with angles and shift the other way."""
    shrink, result = d_q.shape[-1] ** -0.5, d_q.new_empty(len(d_q) + len(d_k), *d_q.shape[1:])
    d_keys = result[len(d_q) :]
    if not config.rope:
        torch.mul(d_q, shrink, out=result[: len(d_q)])
        d_keys.copy_(d_k)
    else:
        rotation = tables.rotation.squeeze(1).conj().resolve_conj()
        q, k, pairs = (torch.view_as_complex(x.unflatten(-1, (-1, 2))) for x in (d_q, d_k, result))
        torch.mul(q, rotation * shrink, out=pairs[: len(q)])
        torch.mul(k, rotation, out=pairs[len(q) :])
    if config.key_shift:
        still = d_keys.shape[-1] // 2
        d_keys[:, :, :-1, still:] = d_keys[:, :, 1:, still:].clone()
        d_keys[:, :, -1, still:] = 0
    return result


def shift_heads(k: Tensor) -> Tensor:
    """shift_keys for (K, B, T, head_dim)."""
    still, moved = k.chunk(2, -1)
    return torch.cat([still, F.pad(moved, (0, 0, 1, 0))[:, :, :-1]], -1)


def chunks(length: int, size: int) -> list[slice]:
    """Cut `length` into slices of `size`, the last one shorter."""
    return [slice(start, min(length, start + size)) for start in range(0, length, size)]


class FusedMLP(torch.autograd.Function):
    """A perceptron with GELU or squared ReLU, in blocks of rows whose hidden layer stays in the cache."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, up: Tensor, down: Tensor, relu2: bool) -> Tensor:  # noqa: D102
        y, hidden, active = torch.empty_like(x), [], []
        for rows in chunks(len(x), MLP_ROWS):
            block = x[rows] @ up.T
            hidden.append(block.relu_() if relu2 else block)
            active.append(block.square() if relu2 else F.gelu(block))
            torch.mm(active[-1], down, out=y[rows])
        ctx.save_for_backward(x, up, down, *hidden, *active)
        ctx.relu2 = relu2
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: D102
        x, up, down, *saved = ctx.saved_tensors
        hidden, active = saved[: len(saved) // 2], saved[len(saved) // 2 :]
        d_x, d_up, d_down = torch.empty_like(x), torch.zeros_like(up), torch.zeros_like(down)
        for rows, block, output in zip(chunks(len(x), MLP_ROWS), hidden, active, strict=True):
            d_down.addmm_(output.T, gradient[rows])
            d_block = gradient[rows] @ down.T
            d_block = d_block.mul_(block).mul_(2) if ctx.relu2 else torch.ops.aten.gelu_backward(d_block, block)
            d_up.addmm_(d_block.T, x[rows])
            torch.mm(d_block, up, out=d_x[rows])
        return d_x, d_up, d_down, None


class FusedCrossEntropy(torch.autograd.Function):
    """cross_entropy, whose gradient is computed beside the loss from the same exponentials."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, head: Tensor, targets: Tensor, softcap: float) -> Tensor:  # noqa: D102
        logits = x @ head.T
        if softcap:
            logits = logits.div_(softcap).tanh_()
            slope = 1 - logits.square()
            logits.mul_(softcap)
        kept = targets >= 0
        index = targets.clamp(min=0).unsqueeze(1)
        share = logits.softmax(-1)
        loss = -share.gather(1, index).squeeze(1).clamp(min=torch.finfo(x.dtype).tiny).log()[kept].sum()
        share.scatter_add_(1, index, torch.full_like(share[:, :1], -1.0))
        if not kept.all():
            share.mul_(kept.unsqueeze(1))
        ctx.save_for_backward(x, head, share.mul_(slope) if softcap else share)
        return loss

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: D102
        x, head, d_logits = ctx.saved_tensors
        return (d_logits @ head).mul_(gradient), (d_logits.T @ x).mul_(gradient), None, None


@contextlib.contextmanager
def mkl_products() -> Iterator[None]:
    """Leave oneDNN aside inside: it is slower than MKL on stacks of small matrices."""
    products = getattr(torch.backends.mkldnn, "matmul", None)
    before = getattr(products, "fp32_precision", None)
    if before is not None:
        products.fp32_precision = "none"
    yield
    if before is not None:
        products.fp32_precision = before
