"""Data of the reference trainer: bytes of text, a fixed validation sample, and the order in which a seed sees the rest."""

from __future__ import annotations

import functools
import hashlib
import math
import os
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from torch import Tensor

VAL_TOKENS = 131_072  # a multiple of every context length, so that all sizes are judged on the same target bytes
FEW_DOCUMENTS = 200  # below this, a share drawn by hash may be far from one in ten
NOT_LIBRARY = {"site-packages", "dist-packages", "test", "tests", "idle_test", "__pycache__"}
MAX_EPOCHS = 4  # how often a run may see the same bytes before it is refused


def random_generator(seed: int, stream: str) -> torch.Generator:
    """Return an independent generator for each (seed, stream name)."""
    digest = hashlib.sha256(f"{seed}/{stream}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:6], "big"))


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


def list_documents(source: str) -> tuple[Path, tuple[Document, ...]]:
    """Return the folder and the documents that `source` names: `stdlib`, a text file, or a folder of text files.

    The standard library means its sources: no tests, no installed packages, nothing that was generated for this machine.
    """
    root = Path(sysconfig.get_paths()["stdlib"] if source == "stdlib" else source)
    if not root.exists():
        raise SystemExit(
            f"--data {source}: no such file or folder; allowed are stdlib, synthetic, a text file or a folder"
        )
    if root.is_file():
        return root.parent, (document(root, root.parent),)
    skipped = NOT_LIBRARY if source == "stdlib" else set()
    paths = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in skipped and not name.startswith(".")]
        paths += [Path(folder, name) for name in names if not name.startswith(".")]
    if source == "stdlib":
        paths = [path for path in paths if path.suffix == ".py" and not path.name.startswith("_sysconfigdata")]
    return root, tuple(sorted(document(path, root) for path in paths))


def document(path: Path, folder: Path) -> Document:
    """Describe a file by its name below a folder."""
    stat = path.stat()
    return Document(path.relative_to(folder).as_posix(), stat.st_size, stat.st_mtime_ns)


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
    """Split by document hash, about one in ten for validation; documents too few for that are cut into pieces first."""
    if len(documents) < FEW_DOCUMENTS:
        documents = [text[i : i + 16_384] for text in documents for i in range(0, len(text), 16_384)]
    buckets = [int.from_bytes(hashlib.sha256(document).digest()[:4], "big") % 10 for document in documents]
    train = b"".join(document for document, bucket in zip(documents, buckets, strict=True) if bucket)
    held_out = [document for document, bucket in zip(documents, buckets, strict=True) if not bucket]
    if sum(map(len, held_out)) < VAL_TOKENS + 1:
        raise SystemExit(
            f"--data: {sum(map(len, documents)):,} bytes in {len(documents)} pieces leave too little for validation (one in"
            f" ten, {VAL_TOKENS:,} bytes in all): at least about 2 MB of text are needed"
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
