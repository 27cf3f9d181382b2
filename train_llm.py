"""Train a small byte-level GPT on a fixed number of tokens and report its validation loss.

    python train_llm.py --train_tokens 1000000 --seed 42 --output_dir checkpoints/x --rope

Every flag switches one idea, so that it can be an experiment. With no flags this is the GPT-2 recipe: learned positions,
LayerNorm, GELU, AdamW, tied embeddings. Nothing is drawn from a global random generator: initial weights come from
(seed, parameter name), the order of the data from (seed, "data"), dropout from (seed, "dropout"); so one seed means the same
data order and the same shared weights whatever the flags. Read top to bottom: Model, Evaluation, Training, Speed, Command line;
beside it in experiments/llm lie functional.py (what the model is made of), data.py and optim.py; fused.py is functional.py for speed.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import math
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from experiments.llm import functional, fused, proof
from experiments.llm.data import VAL_TOKENS, Corpus, batches, load_corpus, random_generator
from experiments.llm.optim import MATRICES, Optimizer, learning_rate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import ModuleType


class Size(NamedTuple):
    """The shape of a model and of its training batch."""

    layers: int
    dim: int
    heads: int
    context: int
    batch_size: int
    vocab: int = 256


SIZES = {
    "nano": Size(2, 64, 1, 64, 8),  # unit tests
    "tiny": Size(2, 128, 2, 128, 16),  # the protocol's scale on one CPU core
    "small": Size(4, 256, 4, 256, 16),
    "base": Size(8, 512, 8, 512, 32),  # from here on a GPU is wanted
    "gpt2s": Size(12, 768, 12, 1024, 32, vocab=50304),  # bytes in GPT-2's padded vocabulary: the 124M shape, for speed
}

SWITCHES = {
    "rope": (False, "rotary instead of learned positions"),
    "qk_norm": (False, "normalise queries and keys"),
    "key_shift": (False, "half of each key comes from the position before"),
    "value_embed": (False, "add an embedding of the token to the values"),
    "rmsnorm": (False, "RMSNorm without gain instead of LayerNorm"),
    "post_norm": (False, "normalise after each addition instead of before each sublayer"),
    "parallel_block": (False, "attention and perceptron read the same state"),
    "relu2": (False, "squared ReLU instead of GELU"),
    "swiglu": (False, "SwiGLU of the same parameter count instead of GELU"),
    "final_norm": (True, "normalise before the output layer"),
    "weight_tying": (True, "the output layer is the embedding"),
    "muon": (False, "Muon instead of AdamW for the matrices of the blocks"),
    "fused": (True, "on a CPU the hand-fused functions, unless functional.py was changed"),
    "compile": (False, "torch.compile instead of the hand-fused functions"),
    "deterministic": (False, "refuse operations that do not repeat bit by bit on a GPU"),
}

MODERN = dict.fromkeys(("rope", "qk_norm", "rmsnorm", "relu2", "muon", "key_shift"), True)
RECIPES: dict[str, dict[str, Any]] = {
    "gpt2": {"lr": 5e-3, "warmup": 0.15, "schedule": "trapezoid", "weight_decay": 0.1, "grad_clip": 1.0},
    "modern": MODERN
    | {"lr": 1e-2, "ngram_embed": 4, "warmup": 0.08, "schedule": "linear", "weight_decay": 0.0, "grad_clip": 1.0},
}

NGRAM_ROWS = 16_384  # of each table of --ngram_embed


# ---------------------------------------------------------------- Model


def functions(config: argparse.Namespace) -> ModuleType:
    """Return functional.py, or the same functions faster."""
    return fused if config.fused else functional


def rotation_table(config: argparse.Namespace) -> Tensor:
    """Return the rotations (T, 1, head_dim / 2) of rotary embedding, as complex numbers."""
    head_dim = config.dim // config.heads
    frequencies = config.rope_base ** -(torch.arange(0, head_dim, 2) / head_dim)
    angles = torch.outer(torch.arange(config.context), frequencies)
    return torch.polar(torch.ones_like(angles), angles).unsqueeze(1).to(config.device)


class Dropout:
    """Dropout from its own generator, off during evaluation."""

    def __init__(self, rate: float, seed: int) -> None:
        self.rate, self.generator, self.active = rate, random_generator(seed, "dropout"), True

    def __call__(self, x: Tensor) -> Tensor:
        """Zero a share of the entries and scale the others up."""
        if not (self.rate and self.active):
            return x
        keep = torch.empty(x.shape).bernoulli_(1 - self.rate, generator=self.generator)
        return x * keep.to(x) / (1 - self.rate)


class Norm(nn.Module):
    """LayerNorm with gain and bias, or RMSNorm without either."""

    def __init__(self, config: argparse.Namespace) -> None:
        super().__init__()
        self.config = config
        if not config.rmsnorm:
            self.gain = nn.Parameter(torch.ones(config.dim))
            self.bias = nn.Parameter(torch.zeros(config.dim))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last dimension."""
        if not self.config.rmsnorm:
            return F.layer_norm(x, self.gain.shape, self.gain, self.bias)
        return functions(self.config).rms_norm(x)


class Block(nn.Module):
    """Attention and a two-layer perceptron, each added to the residual stream. No biases.

    Every matrix has `dim` columns, so that all of them can be cut into one stack: qkv, out and up are (outputs, inputs), down is
    (inputs, outputs).
    """

    def __init__(self, config: argparse.Namespace) -> None:
        super().__init__()
        self.config = config
        dim, head_dim = config.dim, config.dim // config.heads
        # Three matrices of width 8/3 * dim have as many parameters as two of 4 * dim.
        hidden = round(8 / 3 * dim / 8) * 8 if config.swiglu else 4 * dim
        self.attention_norm, self.mlp_norm = Norm(config), Norm(config)
        self.qkv = nn.Parameter(torch.empty((config.heads + 2 * config.n_kv_heads) * head_dim, dim))
        self.out = nn.Parameter(torch.empty(dim, dim))
        self.up = nn.Parameter(torch.empty((1 + config.swiglu) * hidden, dim))
        self.down = nn.Parameter(torch.empty(hidden, dim))
        if config.value_embed:
            self.value_embed = nn.Parameter(torch.empty(config.vocab, config.n_kv_heads * head_dim))

    def attention(self, x: Tensor, tokens: Tensor, rotation: Tensor) -> Tensor:
        """Mix information over the positions of (B, T, dim)."""
        extra = F.embedding(tokens, self.value_embed) if self.config.value_embed else None
        mixed = functions(self.config).attention(F.linear(x, self.qkv), extra, rotation, self.config)
        return F.linear(mixed, self.out)

    def mlp(self, x: Tensor) -> Tensor:
        """Transform each position by itself."""
        return functions(self.config).perceptron(x, self.up, self.down, self.config)

    def forward(self, x: Tensor, tokens: Tensor, rotation: Tensor, dropout: Dropout) -> Tensor:
        """Return the residual stream (B, T, dim) after this block."""
        if self.config.post_norm:
            x = self.attention_norm(x + dropout(self.attention(x, tokens, rotation)))
            return self.mlp_norm(x + dropout(self.mlp(x)))
        attended = x + dropout(self.attention(self.attention_norm(x), tokens, rotation))
        return attended + dropout(self.mlp(self.mlp_norm(x if self.config.parallel_block else attended)))


class GPT(nn.Module):
    """A decoder-only transformer over bytes."""

    def __init__(self, config: argparse.Namespace) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.Parameter(torch.empty(config.vocab, config.dim))
        orders = range(2, config.ngram_embed + 1)
        self.ngrams = nn.ParameterDict({str(n): nn.Parameter(torch.empty(NGRAM_ROWS, config.dim)) for n in orders})
        if not config.rope:
            self.position = nn.Parameter(torch.empty(config.context, config.dim))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.final_norm = Norm(config) if config.final_norm else nn.Identity()
        if not config.weight_tying:
            self.head = nn.Parameter(torch.empty(config.vocab, config.dim))
        initialise(self, config)
        self.to(config.device)
        self.rotation = rotation_table(config)
        self.dropout = Dropout(config.dropout, config.seed)

    def embedding(self, tokens: Tensor) -> Tensor:
        """Return the first state of the residual stream (B, T, dim)."""
        x = F.embedding(tokens, self.embed)
        ngram = tokens
        for order, table in self.ngrams.items():
            ngram = ngram * 257 + F.pad(tokens, (int(order) - 1, 0))[:, : tokens.shape[1]] + 1
            # Multiplicative hashing: the upper bits of a product with an odd constant are well mixed.
            x = x + F.embedding(ngram * 2_654_435_761 % 2**32 // 2**12 % NGRAM_ROWS, table, sparse=True)
        return x if self.config.rope else x + self.position[: tokens.shape[1]]

    def forward(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Return the summed negative log likelihood (nats) of `targets` (B * T, -1 = ignored) after `tokens` (B, T)."""
        x = self.dropout(self.embedding(tokens))
        for block in self.blocks:
            x = block(x, tokens, self.rotation, self.dropout)
        head = self.embed if self.config.weight_tying else self.head
        x = self.final_norm(x).flatten(0, 1)
        return functions(self.config).cross_entropy(x, head, targets, self.config.softcap)


def initialise(model: nn.Module, config: argparse.Namespace) -> None:
    """Draw every matrix from N(0, .02), projections into the residual stream narrower by sqrt(2 * layers), as GPT-2 does.

    With Muon, whose steps have a fixed size, matrices start at N(0, 1 / (4 * inputs)) and projections at zero.
    """
    for name, parameter in model.named_parameters():
        kind = name.rpartition(".")[2]
        if parameter.dim() == 1:
            continue
        std = 0.02 / math.sqrt(2 * config.layers) if kind in {"out", "down"} else 0.02
        if config.muon and kind in MATRICES:
            std = 0.0 if kind in {"out", "down"} else 0.5 * parameter.shape[1] ** -0.5
        if name.startswith("ngrams."):
            std = 0.0
        parameter.data.normal_(0, std, generator=random_generator(config.seed, name))


# ---------------------------------------------------------------- Evaluation


@torch.no_grad()
def evaluate(model: GPT, corpus: Corpus, config: argparse.Namespace) -> float:
    """Return the mean negative log likelihood (nats a byte) of the whole validation sample."""
    inputs, targets = corpus.val[:-1].view(-1, config.context), corpus.val[1:].view(-1, config.context)
    model.dropout.active = False
    total = 0.0
    for start in range(0, len(inputs), config.batch_size):
        rows = slice(start, start + config.batch_size)
        batch, following = (part[rows].to(config.device).long() for part in (inputs, targets))
        with autocast(config):
            total += float(model(batch, following.flatten()))
    model.dropout.active = True
    return total / targets.numel()


# ---------------------------------------------------------------- Training


class Stopwatch:
    """Wall and CPU seconds spent inside `running`."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.wall, self.cpu = device, 0.0, 0.0

    def now(self) -> tuple[float, float]:
        """Read both clocks, after the device has finished what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter(), time.process_time()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Count the time of the block."""
        wall, cpu = self.now()
        yield
        wall_end, cpu_end = self.now()
        self.wall, self.cpu = self.wall + wall_end - wall, self.cpu + cpu_end - cpu


def train(model: GPT, corpus: Corpus, config: argparse.Namespace) -> dict[str, Any]:
    """Train on the token budget, printing progress; return the metrics of the run.

    About twenty lines carry the mean training loss since the line before, every fifth of them the validation loss too: it is always
    that of the whole sample, and would cost more than it tells at every line. In a run of fewer than 200 steps only the last does.
    """
    optimizer, watch = Optimizer(model, config), Stopwatch(config.device)
    run = torch.compile(model) if config.compile else model
    batch_tokens = config.batch_size * config.context
    steps = math.ceil(config.train_tokens / batch_tokens)
    line_every = max(1, steps // 20)
    judge_every = 5 * line_every if steps >= 200 else steps  # noqa: PLR2004  # one evaluation takes as long as some 80 steps
    stream = enumerate(batches(corpus, config), 1)
    metrics: dict[str, Any] = {"val_loss": math.nan, "train_loss": 0.0, "grad_norm": 0.0, "train_tokens": 0}
    step, scale, norm = 0, 0.0, torch.zeros(())
    while step < steps and math.isfinite(metrics["train_loss"] + metrics["grad_norm"]):
        summed, tokens = torch.zeros((), device=config.device), 0
        with watch.running():
            for step, (inputs, targets, count) in itertools.islice(stream, line_every):  # read below
                with autocast(config):
                    loss = run(inputs, targets)
                (loss / batch_tokens).backward()
                scale = learning_rate(step - 1, steps, config)
                norm = optimizer.step(scale, max(1 / step, 1 / max(1, config.ema * steps)))
                summed, tokens = summed + loss.detach(), tokens + count
        metrics |= {"train_loss": float(summed) / tokens, "grad_norm": float(norm)}
        metrics["train_tokens"] += tokens
        shown = ["train_loss", "grad_norm"]
        if step == steps or step % judge_every == 0:
            shown.insert(0, "val_loss")
            with optimizer.averaged():
                metrics["val_loss"] = evaluate(model, corpus, config)
        print(
            progress_line(step, {name: metrics[name] for name in shown}, metrics, watch, config.lr * scale), flush=True
        )
    clocks = {"wall_time": watch.wall, "cpu_time": watch.cpu, "tokens_per_second": metrics["train_tokens"] / watch.wall}
    if step < steps:
        metrics["val_loss"] = math.nan
        print(progress_line(step, {"val_loss": math.nan}, metrics, watch, config.lr * scale), flush=True)
    return metrics | clocks


def progress_line(step: int, losses: dict[str, float], metrics: dict[str, Any], watch: Stopwatch, lr: float) -> str:
    """Return the line that loggers and the test harness read."""
    fields = [f"{name}: {value:.4f}" for name, value in losses.items()]
    done = metrics["train_tokens"]
    fields += [f"tokens: {done}", f"tok/s: {done / watch.wall:.0f}", f"lr: {lr:.1e}", f"time: {watch.wall:.1f}s"]
    return " | ".join([f"Step {step}", *fields])


# ---------------------------------------------------------------- Speed


def flops_per_token(model: GPT, config: argparse.Namespace) -> int:
    """Return floating point operations of one training token: 6 a matrix weight, 12 * T * dim a layer's attention (PaLM, app. B).

    Causal attention is counted in full, embedding look-ups and the optimizer not at all, as is the custom.
    """
    matrices = sum(p.numel() for n, p in model.named_parameters() if n.rpartition(".")[2] in MATRICES)
    return 6 * (matrices + config.vocab * config.dim) + 12 * config.layers * config.context * config.dim


def gemm_peak(config: argparse.Namespace, size: int = 1024) -> float:
    """Measure the matrix product rate (FLOP/s) that `mfu` is a share of: the best of five square products."""
    size = 8 * size if config.device.type == "cuda" else size
    left = torch.ones(size, size, device=config.device, dtype=config.dtype)
    best = math.inf
    for _ in range(5):
        watch = Stopwatch(config.device)
        with watch.running():
            left @ left
        best = min(best, watch.wall)
    return 2 * size**3 / best


# ---------------------------------------------------------------- Command line


def full_precision_onednn() -> bool:
    """Whether oneDNN, given leave to round to bfloat16, keeps full precision on this CPU: then its products are exact and fast."""
    probe = torch.full((64, 64), 1 + 2**-12)
    return bool(torch.equal(probe @ probe, torch.full((64, 64), 64 * (1 + 2**-11 + 2**-24))))


@contextlib.contextmanager
def process_settings(config: argparse.Namespace) -> Iterator[None]:
    """Set what torch keeps for the whole process, and put it back."""
    threads, grad = torch.get_num_threads(), torch.is_grad_enabled()
    deterministic = torch.are_deterministic_algorithms_enabled()
    products = getattr(torch.backends.mkldnn, "matmul", None)
    precision = getattr(products, "fp32_precision", None)
    torch.set_num_threads(config.threads)
    torch.set_grad_enabled(True)
    try:
        if config.deterministic and not deterministic:  # the call imports torch's compiler, so not without need
            torch.use_deterministic_algorithms(mode=True)
        if precision is not None:
            products.fp32_precision = "bf16"
            if not full_precision_onednn():
                products.fp32_precision = precision
        yield
    finally:
        if precision is not None:
            products.fp32_precision = precision
        if config.deterministic and not deterministic:
            torch.use_deterministic_algorithms(mode=False)
        torch.set_num_threads(threads)
        torch.set_grad_enabled(grad)


def autocast(config: argparse.Namespace) -> torch.autocast:
    """bfloat16 for matrix products on a GPU; on a CPU nothing."""
    return torch.autocast(config.device.type, dtype=torch.bfloat16, enabled=config.dtype == torch.bfloat16)


def number(kind: type[int | float], low: float, high: float = math.inf) -> Callable[[str], Any]:
    """Return an argparse type for numbers in [low, high)."""

    def parse(text: str) -> float:
        try:
            value = kind(text.replace("_", ""))
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is no {kind.__name__}") from None
        if not low <= value < high:
            raise argparse.ArgumentTypeError(f"{text} is not allowed: at least {low:g} and below {high:g}")
        return value

    return parse


class Parser(argparse.ArgumentParser):
    """Takes dashes for underscores in option names, and its defaults from the recipe."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse; the recipe's settings are defaults, so that a flag beside it still counts."""
        tokens = []
        for token in sys.argv[1:] if args is None else args:
            name, equals, value = token.partition("=")
            tokens.append("--" + name[2:].replace("-", "_") + equals + value if token[:2] == "--" else token)
        recipe = [value for name, value in itertools.pairwise(tokens) if name == "--recipe"]
        recipe += [token.removeprefix("--recipe=") for token in tokens if token.startswith("--recipe=")]
        self.set_defaults(**RECIPES.get(recipe[-1] if recipe else "gpt2", {}))
        return super().parse_known_args(tokens, namespace)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of every flag; booleans have a `--no_` form."""
    parser = Parser(prog="train_llm.py", description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    add = parser.add_argument
    add("--train_tokens", type=number(int, 1), default=1_000_000, help="target tokens to train on, exactly")
    add("--seed", type=int, default=42)
    add("--output_dir", type=Path, help="folder for metrics.json")
    add("--data", default="stdlib", help="stdlib, synthetic, a text file or a folder (bytes; default %(default)s)")
    add("--size", choices=SIZES, default="tiny")
    add("--recipe", choices=RECIPES, default="gpt2", help="sets the defaults of the flags below")
    add(
        "--threads",
        type=number(int, 1),
        default=1,
        help="two busy threads can be much slower than one on a shared machine",
    )
    add("--device", choices=("cpu", "cuda", "auto"), default="auto", help="auto is cuda where there is one")
    for name, (default, text) in SWITCHES.items():
        add(f"--{name}", action="store_true", default=default, help=f"{text}{' (on)' if default else ''}")
        add(f"--no_{name}", dest=name, action="store_false", default=default, help=argparse.SUPPRESS)
    add(
        "--rope_base",
        type=number(float, 1),
        default=10_000.0,
        help="rotary wavelengths reach 2 pi times this (needs --rope)",
    )
    add("--n_kv_heads", type=number(int, 1), help="key and value heads, shared by all heads (default: one each)")
    add("--ngram_embed", type=number(int, 0), default=0, help="embed the last 2 to N bytes too, hashed (0: none)")
    add("--softcap", type=number(float, 0), default=0.0, help="bound of the logits, through tanh (0: none)")
    add("--lr", type=number(float, 0), help="peak learning rate of AdamW")
    add("--muon_lr", type=number(float, 0), default=0.02, help="peak learning rate of Muon")
    add("--ngram_lr", type=number(float, 0), default=0.025, help="peak learning rate of the n-gram tables")
    add("--lr_scale", type=number(float, 0), default=1.0, help="multiplies every learning rate")
    add("--schedule", choices=("constant", "linear", "cosine", "trapezoid"))
    add("--warmup", type=number(float, 0, 1), help="fraction of the steps")
    add("--weight_decay", type=number(float, 0))
    add("--grad_clip", type=number(float, 0), help="largest gradient norm (0: none)")
    add("--dropout", type=number(float, 0, 1), default=0.0)
    add(
        "--ema",
        type=number(float, 0, 1),
        nargs="?",
        const=0.05,
        default=0.0,
        help="average weights over this fraction of the run",
    )
    for name in ("layers", "dim", "heads", "context", "batch_size"):
        add(f"--{name}", type=number(int, 1), help="default: the size's")
    return parser


def configure(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the command line and fill in what depends on the size and the device."""
    parser = build_parser()
    config = parser.parse_args(argv)
    for name, value in SIZES[config.size]._asdict().items():
        if getattr(config, name, None) is None:
            setattr(config, name, value)
    config.n_kv_heads = config.n_kv_heads or config.heads
    if config.dim % config.heads or config.dim // config.heads % 4:
        parser.error(f"--dim {config.dim} --heads {config.heads}: dimensions a head must be a multiple of 4")
    if config.heads % config.n_kv_heads:
        parser.error(f"--n_kv_heads {config.n_kv_heads}: must divide the number of heads, {config.heads}")
    for one, other in (("swiglu", "relu2"), ("post_norm", "parallel_block")):
        if getattr(config, one, False) and getattr(config, other):
            parser.error(
                f"--{one} and --{other} exclude each other; take one away, with --no_{other} if a recipe set it"
            )
    if VAL_TOKENS % config.context:
        parser.error(f"--context {config.context}: must divide {VAL_TOKENS}, the size of the validation sample")
    cuda = torch.cuda.is_available()
    if config.device == "cuda" and not cuda:
        parser.error("--device cuda: torch finds no GPU here; use cpu or auto")
    config.device = torch.device("cuda" if cuda and config.device != "cpu" else "cpu")
    config.dtype = torch.bfloat16 if config.device.type == "cuda" else torch.float32
    config.fused = config.fused and config.device.type == "cpu" and not config.compile
    if config.fused and (doubt := proof.doubt()):
        print(f"fused functions off: {doubt}; the plain functions run, slower", flush=True)
        config.fused = False
    return config


def main(argv: list[str]) -> dict[str, Any]:
    """Train once as the command line says; return metrics, and notes about data and device."""
    config = configure(argv)
    with process_settings(config):
        corpus = load_corpus(config.data)
        print(f"data {config.data}: {len(corpus.train):,} training bytes, sha256 {corpus.data_sha256}", flush=True)
        model = GPT(config)
        metrics = train(model, corpus, config)
        flops, peak = flops_per_token(model, config), gemm_peak(config)
    metrics |= {
        "val_bpb": metrics["val_loss"] / math.log(2),
        "params": sum(parameter.numel() for parameter in model.parameters()),
        "flops_per_token": flops,
        "mfu": flops * metrics["tokens_per_second"] / peak,
        "gemm_peak": peak,
        "data_sha256": corpus.data_sha256,
        "val_data_sha256": corpus.val_data_sha256,
        "threads": config.threads,
        "device": str(config.device),
        "dtype": str(config.dtype).removeprefix("torch."),
    }
    if config.output_dir:
        config.output_dir.mkdir(parents=True, exist_ok=True)
        finite = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in metrics.items()}
        (config.output_dir / "metrics.json").write_text(json.dumps(finite, indent=1) + "\n")
    return metrics


if __name__ == "__main__":
    main(sys.argv[1:])
