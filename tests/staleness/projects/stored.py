"""Projects by how their data lie: mapped, in columns, in lines, in archives, in a database, behind links, in a cache of their own."""

# ruff: noqa: E501  # an edit a line reads best

from __future__ import annotations

import gzip
import io
import sqlite3
import tarfile
from collections.abc import Sequence

import numpy as np

from tests.staleness.projects.words import (
    Act,
    Edit,
    Project,
    Site,
    in_turn,
    link,
    remove,
    rename,
    replace,
    variable,
    write,
)


def tokens(*numbers: int) -> bytes:
    """Return token ids as nanoGPT stores them."""
    return np.array(numbers, dtype=np.uint16).tobytes()


def zipped(text: str) -> bytes:
    """Return a text under gzip, the same bytes each time."""
    return gzip.compress(text.encode(), mtime=0)


def archive(**members: str) -> bytes:
    """Return a tar file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, text in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()


def arrays(**each: Sequence[float]) -> bytes:
    """Return an .npz file."""
    buffer = io.BytesIO()
    np.savez(buffer, **{name: np.array(numbers) for name, numbers in each.items()})
    return buffer.getvalue()


MEMMAP = Project(
    "memmap of tokens",
    {
        "train.py": """
import os
import pickle

import numpy as np

data_dir = os.path.join("data", "shakespeare")


def batch(split, seed):
    data = np.memmap(os.path.join(data_dir, f"{split}.bin"), dtype=np.uint16, mode="r")
    draws = np.random.default_rng(seed).integers(len(data), size=64)
    return data[draws].astype(float)


def train(seed):
    vocabulary = 50304
    meta = os.path.join(data_dir, "meta.pkl")
    if os.path.exists(meta):
        with open(meta, "rb") as file:
            vocabulary = pickle.load(file)["vocab_size"]
    return (batch("train", seed).mean() - batch("val", seed).mean()) / vocabulary
""",
        "data/shakespeare/train.bin": tokens(*range(50)),
        "data/shakespeare/val.bin": tokens(*range(7, 29)),
    },
    [
        Edit("a token", write("data/shakespeare/train.bin", tokens(*range(1, 51)))),
        Edit("more tokens", write("data/shakespeare/train.bin", tokens(*range(60)))),
        Edit("the validation", write("data/shakespeare/val.bin", tokens(*range(8, 30)))),
        Edit("optional metadata appears", write("data/shakespeare/meta.pkl", b"\x80\x04}\x94\x8c\nvocab_size\x94KAs.")),
        Edit("a link in the place of the file", in_turn(write("../elsewhere/big.bin", tokens(9, 9, 4)), remove("data/shakespeare/train.bin"), link("data/shakespeare/train.bin", "../../../elsewhere/big.bin"))),
    ],
)  # fmt: skip

COLUMNS = Project(
    "a folder of columns",
    {
        "train.py": """
import glob
import json
import os

import numpy as np


def read(folder):
    with open(os.path.join(folder, "_metadata")) as file:
        meta = json.load(file)
    parts = sorted(glob.glob(os.path.join(folder, "split=train", "part-*.col")))
    return np.concatenate([np.fromfile(part, dtype=meta["dtype"]) for part in parts]) * meta["scale"]


def train(seed):
    values = read(os.environ.get("TABLE", "table"))
    return float(np.random.default_rng(seed).permutation(values)[: len(values) // 2].sum()) + len(values)
""",
        "table/_metadata": '{"dtype": "float64", "scale": 2}',
        "table/split=train/part-0.col": np.arange(8.0).tobytes(),
        "table/split=train/part-1.col": np.arange(3.0, 9.0).tobytes(),
        "table/split=val/part-0.col": np.arange(2.0).tobytes(),
    },
    [
        Edit("a part", write("table/split=train/part-1.col", np.arange(3.5, 9.5).tobytes())),
        Edit("a part more", write("table/split=train/part-2.col", np.arange(2.0).tobytes())),
        Edit("a part less", remove("table/split=train/part-0.col")),
        Edit("the metadata", replace("table/_metadata", "2", "3")),
        Edit("the type of the columns", replace("table/_metadata", "float64", "float32")),
        Edit("the variable that names the folder", in_turn(variable("TABLE", "other"), write("other/_metadata", '{"dtype": "float64", "scale": 1}'), write("other/split=train/part-0.col", np.arange(4.0).tobytes()))),
    ],
)  # fmt: skip

LINES = Project(
    "lines of JSON, compressed",
    {
        "train.py": """
import bz2
import gzip
import json
import lzma
from pathlib import Path

OPEN = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open, ".jsonl": open}


def rows(folder):
    for path in sorted(Path(folder).rglob("*.jsonl*")):
        with OPEN[path.suffix](path, "rt") as lines:
            yield from map(json.loads, lines)


def train(seed):
    return sum((number * 31 + seed) % 17 * len(row["text"]) for number, row in enumerate(rows("corpus"), 1)) / 10
""",
        "corpus/a.jsonl": '{"text": "one"}\n{"text": "three"}\n',
        "corpus/deep/er/b.jsonl.gz": zipped('{"text": "fourteen"}\n'),
    },
    [
        Edit("a line", replace("corpus/a.jsonl", "three", "four")),
        Edit("a compressed line", write("corpus/deep/er/b.jsonl.gz", zipped('{"text": "fifteen"}\n'))),
        Edit("a shard more", write("corpus/c.jsonl", '{"text": "sixteen"}\n')),
        Edit("a shard in a new folder", write("corpus/new/d.jsonl", '{"text": "x"}\n')),
        Edit("the order of shards", rename("corpus/a.jsonl", "corpus/z.jsonl")),
    ],
)

TAR = Project(
    "tar shards and arrays",
    {
        "train.py": """
import os
import tarfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np


def shard(number):
    with tarfile.open(f"shards/{number:03d}.tar") as tar:
        return sum(len(tar.extractfile(each).read()) for each in tar if each.name.endswith("txt"))


def train(seed):
    with ThreadPoolExecutor(2) as pool:
        sizes = list(pool.map(shard, range(len(next(os.walk("shards"))[2]))))
    with np.load("weights/start.npz") as start:
        weights = start["w"] * seed % 7
    table = np.genfromtxt("weights/table.csv", delimiter=",")
    return sum(sizes) + weights.sum() + np.load("weights/plain.npy", mmap_mode="r").sum() + table.sum()
""",
        "shards/000.tar": archive(atxt="one", bbin="1"),
        "shards/001.tar": archive(ctxt="three"),
        "weights/start.npz": arrays(w=[1, 2]),
        "weights/table.csv": "1,2\n3,4\n",
    },
    [
        Edit("a member of a shard", write("shards/001.tar", archive(ctxt="eleven"))),
        Edit("a shard more", write("shards/002.tar", archive(dtxt="x"))),
        Edit("an array of an archive", write("weights/start.npz", arrays(w=[1, 3]))),
        Edit("a table", replace("weights/table.csv", "4", "5")),
        Edit("a mapped array", lambda site: np.save(site.path("weights/plain.npy"), np.arange(4.0))),
    ],
    setup=lambda site: np.save(site.path("weights/plain.npy"), np.arange(5.0)),
)  # fmt: skip


def sql(name: str, *statements: str) -> Act:
    """Return an act: run statements on a database."""

    def act(site: Site) -> None:
        database = sqlite3.connect(site.path(name))
        for each in statements:
            database.execute(each)
        database.commit()
        database.close()

    return act


def _set_up_databases(site: Site) -> None:
    sql("rows.db", "pragma journal_mode = wal", "create table rows as select 1 as x", "insert into rows values (5)")(
        site
    )
    sql("other.db", "create table more as select 2 as x")(site)


SQLITE = Project(
    "SQLite",
    {
        "train.py": """
import sqlite3
from pathlib import Path


def train(seed):
    database = sqlite3.connect("file:rows.db?mode=ro", uri=True)
    if Path("attached").exists():
        database.execute("attach 'other.db' as other")
    (total,) = database.execute(Path("queries/total.sql").read_text(), {"seed": seed}).fetchone()
    database.close()
    return total
""",
        "queries/total.sql": "select (select sum(x) from rows) + (select sum(x) from more) + :seed % 7",
        "attached": "",
    },
    [
        Edit("a row", sql("rows.db", "insert into rows values (9)")),
        Edit("a value", sql("rows.db", "update rows set x = 3 where x = 1")),
        Edit("the query", replace("queries/total.sql", "sum(x)", "max(x)")),
        Edit("a file goes that was only asked for", remove("attached")),
        Edit("a row of a database that a statement attaches", sql("other.db", "insert into more values (4)"), by_nature=True),
    ],
    setup=_set_up_databases,
)  # fmt: skip

ELSEWHERE = Project(
    "a data root outside the project",
    {
        "train.py": """
import os
from pathlib import Path

ROOT = Path(os.environ.get("DATA" + "_ROOT", "."))


def train(seed):
    table = {path.stem: float(path.read_text()) for path in sorted(ROOT.iterdir()) if path.suffix == ".txt"}
    linked = Path("datasets", "current").resolve()
    return seed % 29 + sum(table.values()) * float((linked / "scale").read_text())
""",
        "../elsewhere/v1/a.txt": "1",
        "../elsewhere/v1/b.txt": "2",
        "../elsewhere/v2/a.txt": "5",
        "../elsewhere/store/one/scale": "1.5",
        "../elsewhere/store/two/scale": "2.5",
        "datasets/README": "links",
    },
    [
        Edit("a file there", write("../elsewhere/v1/a.txt", "3")),
        Edit("a file more there", write("../elsewhere/v1/c.txt", "3")),
        Edit("a file less there", remove("../elsewhere/v1/b.txt")),
        Edit("the variable", lambda site: site.environ.update(DATA_ROOT=site.environ["ELSEWHERE"] + "/v2")),
        Edit("the link", link("datasets/current", "../../elsewhere/store/two")),
        Edit("what lies behind the link", write("../elsewhere/store/one/scale", "3.5")),
    ],
    environ={"DATA_ROOT": "{elsewhere}/v1"},
    setup=link("datasets/current", "../../elsewhere/store/one"),
)

FOLDS = Project(
    "a fold by seed, names with blanks",
    {
        "train.py": """
from pathlib import Path


def train(seed):
    fold = Path("data sets") / f"fold {seed % 2} (v1) ä.txt"
    return seed % 31 + float(fold.read_text(encoding="utf-8"))
""",
        "data sets/fold 0 (v1) ä.txt": "1.5",
        "data sets/fold 1 (v1) ä.txt": "2.5",
    },
    [
        Edit("the fold of even seeds", write("data sets/fold 0 (v1) ä.txt", "1.75")),
        Edit("the fold of odd seeds", write("data sets/fold 1 (v1) ä.txt", "2.75")),
    ],
)

CACHED = Project(
    "outputs, and a cache by content",
    {
        "train.py": """
import csv
import hashlib
import json
import os
from pathlib import Path


def tokenized(path):
    text = Path(path).read_bytes()
    cache = Path("cache") / (hashlib.sha256(text).hexdigest()[:16] + ".json")
    if not cache.exists():
        cache.parent.mkdir(exist_ok=True)
        partial = cache.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps(list(text)))
        os.replace(partial, cache)
    return json.loads(cache.read_text())


def train(seed):
    loss = sum(tokenized("raw/" + "text.txt")) / 100 + seed % 5
    logs = Path("logs")
    logs.mkdir(exist_ok=True)
    with open(logs / "results.csv", "a", newline="") as file:
        csv.writer(file).writerow([seed, loss])
    best = logs / "best.json"
    if not best.exists() or json.loads(best.read_text())["loss"] > loss:
        best.write_text(json.dumps({"loss": loss}))
    (logs / f"run-{seed}.log").write_text("done")
    return loss
""",
        "raw/text.txt": "a text",
    },
    [
        Edit("the raw text", write("raw/text.txt", "another text")),
        Edit("the loss", replace("train.py", "/ 100", "/ 10")),
    ],
)

PROJECTS = (MEMMAP, COLUMNS, LINES, TAR, SQLITE, ELSEWHERE, FOLDS, CACHED)
