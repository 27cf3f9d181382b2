"""Train a small byte-level GPT on a fixed number of tokens and report its validation loss.

    python train_llm.py --train_tokens 1000000 --seed 42 --output_dir checkpoints/x --rope

Every flag switches one idea, so that it can be an experiment. With no flags this is the GPT-2 recipe: learned positions,
LayerNorm, GELU, AdamW, tied embeddings. Nothing is drawn from a global random generator: initial weights come from
(seed, parameter name), the order of the data from (seed, "data"), dropout from (seed, "dropout"); so one seed means the same
data order and the same shared weights whatever the flags. Read top to bottom: Data, Model, Optimizer, Evaluation, Training,
Command line.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import hashlib
import itertools
import json
import math
import sys
import sysconfig
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


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

RECIPES: dict[str, dict[str, Any]] = {
    "gpt2": {"lr": 3e-3, "warmup": 0.08, "schedule": "cosine", "weight_decay": 0.1, "grad_clip": 1.0},
}


def random_generator(seed: int, stream: str) -> torch.Generator:
    """Return an independent generator for each (seed, stream name)."""
    digest = hashlib.sha256(f"{seed}/{stream}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:6], "big"))


# ---------------------------------------------------------------- Data

VAL_TOKENS = 131_072  # a multiple of every context length, so that all sizes are judged on the same target bytes
MAX_EPOCHS = 4  # how often a run may see the same bytes before it is refused


class Corpus(NamedTuple):
    """Bytes to train and to judge on (uint8, one dimension) and what they hash to."""

    train: Tensor
    val: Tensor
    data_sha256: str
    val_data_sha256: str


class Document(NamedTuple):
    """A text file as found on disk; size and modification time are in it because the listing is a cache key."""

    name: str
    size: int
    mtime_ns: int


def is_library_source(name: str) -> bool:
    """Whether a file below the standard library's folder is a shared source: no tests, no installed packages, no build residue."""
    parts = name.split("/")
    skipped = {"site-packages", "dist-packages", "test", "tests", "idle_test", "__pycache__"}
    return name.endswith(".py") and not skipped & set(parts) and not parts[-1].startswith("_sysconfigdata")


def list_documents(source: str) -> tuple[Path, tuple[Document, ...]]:
    """Return the folder and the documents that `source` names: `stdlib`, a text file, or a folder of text files."""
    root = Path(sysconfig.get_paths()["stdlib"] if source == "stdlib" else source)
    if not root.exists():
        raise SystemExit(
            f"--data {source}: no such file or folder; allowed are stdlib, synthetic, a text file or a folder"
        )
    paths = [root] if root.is_file() else sorted(path for path in root.rglob("*") if path.is_file())
    folder = root.parent if root.is_file() else root
    names = [path.relative_to(folder).as_posix() for path in paths]
    stats = [path.stat() for path in paths]
    documents = (Document(name, stat.st_size, stat.st_mtime_ns) for name, stat in zip(names, stats, strict=True))
    return folder, tuple(doc for doc in documents if source != "stdlib" or is_library_source(doc.name))


def synthetic_text(size: int = 2_000_000) -> bytes:
    """Return text that is identical on every machine: words in a Markov chain, so that there is something to learn."""
    noise = hashlib.shake_256(b"synthetic corpus").digest(size // 2)
    words = [bytes(97 + b % 26 for b in noise[5 * i : 5 * i + 2 + noise[i] % 5]) for i in range(256)]
    word, pieces, length = 0, [], 0
    for choice in noise:
        word = (5 * word + choice % 4 + 1) % len(words)
        pieces.append(words[word])
        length += len(words[word]) + 1
        if length >= size:
            break
    return b" ".join(pieces)[:size]


def spread_sample(documents: Sequence[bytes], size: int) -> bytes:
    """Return `size` bytes made of the middle of every document, each giving the same share of its length."""
    total = sum(map(len, documents))
    pieces, position, taken = [], 0, 0
    for document in documents:
        position += len(document)
        share = position * size // total - taken
        start = (len(document) - share) // 2
        pieces.append(document[start : start + share])
        taken += share
    return b"".join(pieces)


def split_corpus(documents: Sequence[bytes]) -> Corpus:
    """Split by document hash, about one in ten for validation; a single document is cut into chunks first."""
    if len(documents) == 1:
        documents = [documents[0][i : i + 16_384] for i in range(0, len(documents[0]), 16_384)]
    buckets = [int.from_bytes(hashlib.sha256(document).digest()[:4], "big") % 10 for document in documents]
    train = b"".join(document for document, bucket in zip(documents, buckets, strict=True) if bucket)
    held_out = [document for document, bucket in zip(documents, buckets, strict=True) if not bucket]
    if sum(map(len, held_out)) < VAL_TOKENS + 1:
        raise SystemExit(
            f"--data: {len(train):,} bytes leave too little for validation: at least 2 MB of text are needed"
        )
    val = spread_sample(held_out, VAL_TOKENS + 1)
    digests = hashlib.sha256(train + val).hexdigest(), hashlib.sha256(val).hexdigest()
    return Corpus(*(torch.frombuffer(bytearray(part), dtype=torch.uint8) for part in (train, val)), *digests)


@functools.lru_cache(maxsize=2)
def read_corpus(folder: Path | None, documents: tuple[Document, ...]) -> Corpus:
    """Read and split a listing (no folder: the synthetic text). Cached, as a study makes many runs on one corpus."""
    if folder is None:
        return split_corpus([synthetic_text()])
    return split_corpus([(folder / document.name).read_bytes() for document in documents])


def load_corpus(source: str) -> Corpus:
    """Return the corpus that `--data` names."""
    return read_corpus(None, ()) if source == "synthetic" else read_corpus(*list_documents(source))


def window_order(windows: int, generator: torch.Generator) -> Iterator[int]:
    """Yield every window index once an epoch, neighbours in time far apart in the corpus (a golden-ratio stride).

    Any stretch of the order covers the whole corpus evenly, so which tenth of it a short run happens to see adds little noise.
    """
    stride = max(1, round(windows * 0.6180339887))
    while math.gcd(stride, windows) != 1:
        stride += 1
    position = int(torch.randint(windows, (), generator=generator))
    while True:
        yield position
        position = (position + stride) % windows


def batches(corpus: Corpus, config: argparse.Namespace) -> Iterator[tuple[Tensor, Tensor, int]]:
    """Yield (inputs, targets, number of targets) until exactly `train_tokens` targets were given; surplus targets are -1."""
    windows = (len(corpus.train) - 1) // config.context
    if config.train_tokens > MAX_EPOCHS * windows * config.context:
        raise SystemExit(
            f"--train_tokens {config.train_tokens:,}: --data {config.data} has {windows * config.context:,} training bytes,"
            f" and no more than {MAX_EPOCHS} epochs are allowed; give more data or train on fewer tokens"
        )
    order = window_order(windows, random_generator(config.seed, "data"))
    rows = corpus.train[: windows * config.context + 1].unfold(0, config.context + 1, config.context)
    left = config.train_tokens
    while left > 0:
        count = min(left, config.batch_size * config.context)
        index = torch.tensor([next(order) for _ in range(math.ceil(count / config.context))])
        tokens = rows[index].to(config.device).long()
        targets = tokens[:, 1:].reshape(-1).clone()
        targets[count:] = -1
        yield tokens[:, :-1], targets, count
        left -= count


# ---------------------------------------------------------------- Model


LONG_CONTEXT = 256  # from here on the fused attention kernel is faster, also on a CPU


def rms_norm(x: Tensor) -> Tensor:
    """Divide each row by its root mean square; no learned gain."""
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary position embedding of (..., T, head_dim), the two halves of the last dimension forming the pairs."""
    left, right = x.chunk(2, -1)
    return torch.cat([left * cos - right * sin, left * sin + right * cos], -1)


def causal_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Attention over (B, H, T, head_dim). On a CPU two batched products beat the fused kernel on short contexts."""
    if q.is_cuda or q.shape[-2] > LONG_CONTEXT:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    flat_q, flat_k, flat_v = (part.reshape(-1, *part.shape[-2:]) for part in (q, k, v))
    scores = torch.baddbmm(mask, flat_q, flat_k.transpose(1, 2), alpha=q.shape[-1] ** -0.5)
    return torch.bmm(scores.softmax(-1), flat_v).view(q.shape)


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
        if not config.rmsnorm:
            self.gain = nn.Parameter(torch.ones(config.dim))
            self.bias = nn.Parameter(torch.zeros(config.dim))
        self.rmsnorm = config.rmsnorm

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last dimension."""
        return rms_norm(x) if self.rmsnorm else F.layer_norm(x, self.gain.shape, self.gain, self.bias)


class Block(nn.Module):
    """Attention and a two-layer perceptron, each added to the residual stream. Weights are (outputs, inputs), without bias."""

    def __init__(self, config: argparse.Namespace) -> None:
        super().__init__()
        self.config = config
        dim = config.dim
        self.attention_norm, self.mlp_norm = Norm(config), Norm(config)
        self.qkv = nn.Parameter(torch.empty(3 * dim, dim))
        self.out = nn.Parameter(torch.empty(dim, dim))
        self.up = nn.Parameter(torch.empty(4 * dim, dim))
        self.down = nn.Parameter(torch.empty(dim, 4 * dim))

    def attention(self, x: Tensor, positions: Positions) -> Tensor:
        """Mix information over the positions of (B, T, dim)."""
        shape = (*x.shape[:2], 3, self.config.heads, x.shape[-1] // self.config.heads)
        q, k, v = F.linear(x, self.qkv).view(shape).permute(2, 0, 3, 1, 4)
        if self.config.qk_norm:
            q, k = rms_norm(q), rms_norm(k)
        if self.config.rope:
            q, k = rotate(q, positions.cos, positions.sin), rotate(k, positions.cos, positions.sin)
        return F.linear(causal_attention(q, k, v, positions.mask).transpose(1, 2).reshape(x.shape), self.out)

    def mlp(self, x: Tensor) -> Tensor:
        """Transform each position by itself."""
        hidden = F.linear(x, self.up)
        return F.linear(F.relu(hidden).square() if self.config.relu2 else F.gelu(hidden), self.down)

    def forward(self, x: Tensor, positions: Positions, dropout: Dropout) -> Tensor:
        """Return the residual stream (B, T, dim) after this block."""
        x = x + dropout(self.attention(self.attention_norm(x), positions))
        return x + dropout(self.mlp(self.mlp_norm(x)))


@dataclass
class Positions:
    """Constant tables: the causal mask (T, T) added to scores, and rotary cosines and sines (T, head_dim / 2)."""

    mask: Tensor
    cos: Tensor
    sin: Tensor

    @classmethod
    def of(cls, config: argparse.Namespace) -> Positions:
        """Build the tables for a configuration."""
        context, head_dim = config.context, config.dim // config.heads
        frequencies = config.rope_base ** -(torch.arange(0, head_dim, 2) / head_dim)
        angles = torch.outer(torch.arange(context), frequencies)
        mask = torch.full((context, context), -math.inf).triu(1)
        return cls(*(table.to(config.device) for table in (mask, angles.cos(), angles.sin())))


class GPT(nn.Module):
    """A decoder-only transformer over bytes."""

    def __init__(self, config: argparse.Namespace) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.Parameter(torch.empty(config.vocab, config.dim))
        if not config.rope:
            self.position = nn.Parameter(torch.empty(config.context, config.dim))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.final_norm = Norm(config)
        initialise(self, config)
        self.to(config.device)
        self.tables = Positions.of(config)
        self.dropout = Dropout(config.dropout, config.seed)

    def forward(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Return the summed negative log likelihood (nats) of `targets` (B * T, -1 = ignored) after `tokens` (B, T)."""
        x = F.embedding(tokens, self.embed)
        if not self.config.rope:
            x = x + self.position[: tokens.shape[1]]
        x = self.dropout(x)
        for block in self.blocks:
            x = block(x, self.tables, self.dropout)
        logits = F.linear(self.final_norm(x).flatten(0, 1), self.embed)
        return F.cross_entropy(logits, targets, ignore_index=-1, reduction="sum")


def initialise(model: nn.Module, config: argparse.Namespace) -> None:
    """Draw every matrix from N(0, .02), projections into the residual stream narrower by sqrt(2 * layers), as GPT-2 does."""
    for name, parameter in model.named_parameters():
        if parameter.dim() == 1:
            continue
        narrow = math.sqrt(2 * config.layers) if name.endswith((".out", ".down")) else 1.0
        values = torch.empty(parameter.shape).normal_(0, 0.02 / narrow, generator=random_generator(config.seed, name))
        parameter.data.copy_(values)


# ---------------------------------------------------------------- Optimizer


def learning_rate(step: int, steps: int, config: argparse.Namespace) -> float:
    """Return the learning rate of `step` (from 0): linear warm-up, then the schedule's way down."""
    warmup = max(1, round(config.warmup * steps))
    progress = max(0.0, (step + 1 - warmup) / max(1, steps - warmup + 1))
    shape = {
        "constant": 1.0,
        "linear": 1 - progress,
        "cosine": 0.5 * (1 + math.cos(math.pi * progress)),
        "trapezoid": min(1.0, 2 * (1 - progress)),
    }[config.schedule]
    return float(config.lr * config.lr_scale * min(1.0, (step + 1) / warmup) * shape)


class AdamW:
    """Adam with decoupled weight decay over one flat buffer (torch.optim's would cost a second of imports)."""

    def __init__(
        self, weights: Tensor, gradient: Tensor, weight_decay: float, betas: tuple[float, float] = (0.9, 0.95)
    ) -> None:
        self.weights, self.gradient, self.weight_decay, self.betas = weights, gradient, weight_decay, betas
        self.mean, self.square, self.steps = torch.zeros_like(weights), torch.zeros_like(weights), 0

    def step(self, lr: float) -> None:
        """Update the weights in place."""
        self.steps += 1
        beta1, beta2 = self.betas
        self.mean.lerp_(self.gradient, 1 - beta1)
        self.square.mul_(beta2).addcmul_(self.gradient, self.gradient, value=1 - beta2)
        spread = self.square.sqrt().mul_(1 / math.sqrt(1 - beta2**self.steps)).add_(1e-8)
        self.weights.mul_(1 - lr * self.weight_decay)
        self.weights.addcdiv_(self.mean, spread, value=-lr / (1 - beta1**self.steps))


class Optimizer:
    """All parameters as views of one flat buffer, gradients of another: clipping and updates are a few long operations."""

    def __init__(self, model: nn.Module, config: argparse.Namespace) -> None:
        parameters = sorted(model.parameters(), key=lambda parameter: parameter.dim() == 1)
        self.weights = torch.cat([parameter.detach().flatten() for parameter in parameters])
        self.gradient = torch.zeros_like(self.weights)
        offset = decayed = 0
        for parameter in parameters:
            part = slice(offset, offset + parameter.numel())
            parameter.data, parameter.grad = (
                flat[part].view(parameter.shape) for flat in (self.weights, self.gradient)
            )
            offset = part.stop
            decayed = offset if parameter.dim() > 1 else decayed
        self.grad_clip = config.grad_clip
        self.parts = [
            AdamW(self.weights[:decayed], self.gradient[:decayed], config.weight_decay),
            AdamW(self.weights[decayed:], self.gradient[decayed:], 0.0),
        ]

    def step(self, lr: float) -> Tensor:
        """Clip, update, and clear the gradient; return its norm before clipping."""
        norm = torch.linalg.vector_norm(self.gradient)
        if self.grad_clip:
            self.gradient.mul_((self.grad_clip / (norm + 1e-6)).clamp(max=1.0))
        for part in self.parts:
            part.step(lr)
        self.gradient.zero_()
        return norm


# ---------------------------------------------------------------- Evaluation


@torch.no_grad()
def evaluate(model: GPT, corpus: Corpus, config: argparse.Namespace) -> float:
    """Return the mean negative log likelihood (nats a byte) of the whole validation sample."""
    inputs, targets = corpus.val[:-1].view(-1, config.context), corpus.val[1:].view(-1, config.context)
    model.dropout.active = False
    total = 0.0
    for rows, following in zip(inputs.split(config.batch_size), targets.split(config.batch_size), strict=True):
        total += float(model(rows.to(config.device).long(), following.to(config.device).long().flatten()))
    model.dropout.active = True
    return total / targets.numel()


# ---------------------------------------------------------------- Training


class Stopwatch:
    """Wall and CPU seconds spent between `start` and `stop`."""

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


def train(model: GPT, corpus: Corpus, config: argparse.Namespace) -> dict[str, float]:
    """Train on the token budget, printing progress; return the metrics of the run."""
    optimizer = Optimizer(model, config)
    steps = math.ceil(config.train_tokens / (config.batch_size * config.context))
    line_every, eval_every = max(1, steps // 20), max(1, steps // 4)
    watch, done, metrics = Stopwatch(config.device), 0, {}
    recent_loss, recent_tokens = torch.zeros((), device=config.device), 0
    stream = enumerate(batches(corpus, config), 1)
    while done < config.train_tokens:
        with watch.running():
            for step, (tokens, targets, count) in stream:
                loss = model(tokens, targets)
                (loss / (config.batch_size * config.context)).backward()
                lr = learning_rate(step - 1, steps, config)
                norm = optimizer.step(lr)
                recent_loss += loss.detach()
                recent_tokens, done = recent_tokens + count, done + count
                if step % line_every == 0 or step == steps:
                    break
        metrics |= {"train_loss": float(recent_loss) / recent_tokens, "grad_norm": float(norm)}
        recent_loss.zero_()
        recent_tokens = 0
        diverged = not math.isfinite(metrics["train_loss"])
        if diverged or step == steps or step // eval_every > (step - line_every) // eval_every:
            metrics["val_loss"] = math.nan if diverged else evaluate(model, corpus, config)
            print(progress_line(step, {"val_loss": metrics["val_loss"], **metrics}, done, watch, lr), flush=True)
        else:
            print(progress_line(step, {"train_loss": metrics["train_loss"]}, done, watch, lr), flush=True)
        if diverged:
            break
    return {
        "val_loss": metrics["val_loss"],
        "val_bpb": metrics["val_loss"] / math.log(2),
        "train_loss": metrics["train_loss"],
        "grad_norm": metrics["grad_norm"],
        "train_tokens": done,
        "wall_time": watch.wall,
        "cpu_time": watch.cpu,
        "tokens_per_second": done / watch.wall,
    }


def progress_line(step: int, losses: dict[str, float], done: int, watch: Stopwatch, lr: float) -> str:
    """Return the line that loggers and the test harness read."""
    fields = [f"{name}: {value:.4f}" for name, value in losses.items()]
    fields += [f"tokens: {done}", f"tok/s: {done / watch.wall:.0f}", f"lr: {lr:.1e}", f"time: {watch.wall:.1f}s"]
    return " | ".join([f"Step {step}", *fields])


# ---------------------------------------------------------------- Command line


@contextlib.contextmanager
def process_settings(config: argparse.Namespace) -> Iterator[None]:
    """Set what torch keeps for the whole process, and put it back."""
    threads, grad = torch.get_num_threads(), torch.is_grad_enabled()
    torch.set_num_threads(config.threads)
    torch.set_grad_enabled(True)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_grad_enabled(grad)


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
            tokens.append(
                name.replace("-", "_").replace("__", "--", 1) + equals + value if token[:2] == "--" else token
            )
        recipe = [b for a, b in itertools.pairwise(tokens) if a == "--recipe"]
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
    add("--recipe", choices=RECIPES, default="gpt2")
    add(
        "--threads",
        type=number(int, 1),
        default=1,
        help="two busy threads can be much slower than one on a shared machine",
    )
    add("--device", default="cpu", help="cpu, cuda or auto")
    for name, text in {
        "rope": "rotary instead of learned positions",
        "qk_norm": "normalise queries and keys",
        "rmsnorm": "RMSNorm without gain instead of LayerNorm",
        "relu2": "squared ReLU instead of GELU",
    }.items():
        add(f"--{name}", action="store_true", help=text)
        add(f"--no_{name}", dest=name, action="store_false", help=argparse.SUPPRESS)
    add("--rope_base", type=number(float, 1), default=10_000.0, help="longest rotary wavelength / 2 pi (needs --rope)")
    add("--lr", type=number(float, 0), help="peak learning rate (default: the recipe's)")
    add("--lr_scale", type=number(float, 0), default=1.0, help="multiplies the learning rate")
    add("--schedule", choices=("constant", "linear", "cosine", "trapezoid"))
    add("--warmup", type=number(float, 0, 1), help="fraction of the steps")
    add("--weight_decay", type=number(float, 0))
    add("--grad_clip", type=number(float, 0), help="largest gradient norm, 0 for none")
    add("--dropout", type=number(float, 0, 1), default=0.0)
    for name in ("layers", "dim", "heads", "context", "batch_size"):
        add(f"--{name}", type=number(int, 1), help="default: the size's")
    return parser


def configure(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the command line and fill in the size's shape."""
    parser = build_parser()
    config = parser.parse_args(argv)
    for name, value in SIZES[config.size]._asdict().items():
        if getattr(config, name, None) is None:
            setattr(config, name, value)
    if config.dim % config.heads or config.dim // config.heads % 2:
        parser.error(f"--dim {config.dim} --heads {config.heads}: a head needs a whole, even number of dimensions")
    if VAL_TOKENS % config.context:
        parser.error(f"--context {config.context}: must divide {VAL_TOKENS}, the size of the validation sample")
    available = torch.cuda.is_available()
    config.device = torch.device(
        "cuda" if config.device == "auto" and available else config.device.replace("auto", "cpu")
    )
    return config


def main(argv: list[str]) -> dict[str, Any]:
    """Train once as the command line says; return metrics, and notes about data and device."""
    config = configure(argv)
    with process_settings(config):
        corpus = load_corpus(config.data)
        print(f"data {config.data}: {len(corpus.train):,} training bytes, sha256 {corpus.data_sha256}", flush=True)
        model = GPT(config)
        metrics: dict[str, Any] = train(model, corpus, config)
    metrics |= {
        "params": sum(parameter.numel() for parameter in model.parameters()),
        "data_sha256": corpus.data_sha256,
        "val_data_sha256": corpus.val_data_sha256,
        "device": str(config.device),
        "dtype": "float32",
    }
    if config.output_dir:
        config.output_dir.mkdir(parents=True, exist_ok=True)
        finite = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in metrics.items()}
        (config.output_dir / "metrics.json").write_text(json.dumps(finite, indent=1) + "\n")
    return metrics


if __name__ == "__main__":
    main(sys.argv[1:])
