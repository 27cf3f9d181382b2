"""The functions of functional.py once more for a CPU, with gradients by hand; tests hold them to the plain ones.

Nothing is copied that can be read in place, nothing stored that is cheaper to compute again, and half-empty causal products are cut
in chunks. What they were not proven for goes to the plain functions: another kind of call here, changed code in proof.py.
"""

from __future__ import annotations

import contextlib
import copy
import math
from typing import TYPE_CHECKING, Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional as F  # noqa: N812

from experiments.llm import functional

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from torch import Tensor

LONG_CONTEXT = 256  # beyond it torch's attention is the faster one
CAUSAL_CHUNK = 32  # queries whose keys are cut to the same length
MLP_ROWS = 512  # rows of a perceptron's block: its hidden layer fits in a core's cache
EXACT = (torch.float32, torch.float64)


def proven(x: Tensor, *constants: object) -> bool:
    """Whether a call is of the kind that the tests prove: full precision, and no gradient wanted of what counts as constant here."""
    exact = x.dtype in EXACT and not torch.is_autocast_enabled("cpu")
    return exact and not any(torch.is_tensor(each) and each.requires_grad for each in constants)


def rms_norm(x: Tensor) -> Tensor:
    """See functional.py."""
    return FusedRMSNorm.apply(x) if proven(x) else functional.rms_norm(x)


def attention(qkv: Tensor, extra: Tensor | None, rotation: Tensor, config: argparse.Namespace) -> Tensor:
    """See functional.py."""
    fits = qkv.shape[1] <= LONG_CONTEXT and proven(qkv, rotation)
    return (FusedAttention.apply if fits else functional.attention)(qkv, extra, rotation, config)


def perceptron(x: Tensor, up: Tensor, down: Tensor, config: argparse.Namespace) -> Tensor:
    """See functional.py."""
    if config.swiglu or not proven(x):
        return functional.perceptron(x, up, down, config)
    return FusedMLP.apply(x.flatten(0, -2), up, down, config.relu2).view(x.shape)


def cross_entropy(x: Tensor, head: Tensor, targets: Tensor, softcap: float) -> Tensor:
    """See functional.py."""
    return (FusedCrossEntropy.apply if proven(x, softcap) else functional.cross_entropy)(x, head, targets, softcap)


def inverse_rms(x: Tensor) -> Tensor:
    """One over the root mean square of the last dimension, kept as a dimension."""
    return (
        torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_().div_(x.shape[-1]).add_(functional.EPSILON).rsqrt_()
    )


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
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: D102
        return rms_norm_backward(gradient, *ctx.saved_tensors)


class FusedAttention(torch.autograd.Function):
    """attention, in chunks of queries that see only the keys up to their end. Inside, heads come first: (H, B, T, head_dim)."""

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, extra: Tensor | None, rotation: Tensor, config: argparse.Namespace) -> Tensor:  # noqa: D102
        heads, kv_heads = config.heads, config.n_kv_heads
        qk, v = heads_first(qkv.unflatten(-1, (heads + 2 * kv_heads, -1))).split((heads + kv_heads, kv_heads))
        scale = None
        if config.qk_norm:
            scale = inverse_rms(qk)
            qk = qk * scale
        q, k = turn(qk, heads, rotation, config)
        v = v if extra is None else v + heads_first(extra.unflatten(-1, (kv_heads, -1)))
        q, k, v = (share_heads(part, heads) for part in (q, k, v))
        mask = q.new_full((q.shape[1], q.shape[1]), -math.inf).triu_(1)
        mixed, shares = torch.empty_like(q), []
        with mkl_products():
            for rows in chunks(q.shape[1], CAUSAL_CHUNK):
                scores = torch.baddbmm(mask[rows, : rows.stop], q[:, rows], k[:, : rows.stop].mT)
                shares.append(scores.softmax(-1))
                mixed[:, rows] = torch.bmm(shares[-1], v[:, : rows.stop])
        ctx.save_for_backward(q, k, v, rotation, qk if config.qk_norm else None, scale, *shares)
        ctx.config, ctx.extra = copy.copy(config), extra is not None  # a layer may have settings of its own
        return mixed.unflatten(0, (heads, -1)).permute(1, 2, 0, 3).flatten(-2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: D102
        q, k, v, rotation, unit, scale, *shares = ctx.saved_tensors
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
        d_qk = turn_backward(d_q, d_k, rotation, ctx.config)
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


def turn(qk: Tensor, heads: int, rotation: Tensor, config: argparse.Namespace) -> tuple[Tensor, Tensor]:
    """Rotate queries and keys (H + K, B, T, head_dim) to their positions, shift keys, scale queries."""
    shrink = qk.shape[-1] ** -0.5
    if not config.rope:
        return qk[:heads] * shrink, shift_heads(qk[heads:]) if config.key_shift else qk[heads:]
    pairs, rotation = torch.view_as_complex(qk.unflatten(-1, (-1, 2))), rotation.squeeze(1)
    q = pairs[:heads] * (rotation * shrink)
    if not config.key_shift:
        k = pairs[heads:] * rotation
    else:
        k, still = torch.zeros_like(pairs[heads:]), pairs.shape[-1] // 2
        torch.mul(pairs[heads:, ..., :still], rotation[:, :still], out=k[..., :still])
        torch.mul(pairs[heads:, :, :-1, still:], rotation[1:, still:], out=k[:, :, 1:, still:])
    return torch.view_as_real(q).flatten(-2), torch.view_as_real(k).flatten(-2)


def turn_backward(d_q: Tensor, d_k: Tensor, rotation: Tensor, config: argparse.Namespace) -> Tensor:
    """Gradient of `turn`: the same with angles and shift the other way."""
    shrink, result = d_q.shape[-1] ** -0.5, d_q.new_empty(len(d_q) + len(d_k), *d_q.shape[1:])
    d_keys = result[len(d_q) :]
    if not config.rope:
        torch.mul(d_q, shrink, out=result[: len(d_q)])
        d_keys.copy_(d_k)
    else:
        rotation = rotation.squeeze(1).conj().resolve_conj()
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
    @once_differentiable
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
    @once_differentiable
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
