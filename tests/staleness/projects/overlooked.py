"""Projects in which changes were overlooked once, and some that are like them."""

# ruff: noqa: E501  # an edit a line reads best

from __future__ import annotations

import io
import os
import sqlite3
import zipfile

import numpy as np

from tests.staleness.projects.stored import archive, arrays, zipped
from tests.staleness.projects.words import Act, Edit, Project, Site, in_turn, link, replace, variable, write

UNIT_TESTED = Project(
    "models that unit tests import too",
    {
        "train.py": """
import importlib
import pkgutil

import zoo


def train(seed):
    from lookup import TABLE

    steps = [importlib.import_module("zoo." + each.name).step for each in pkgutil.iter_modules(zoo.__path__)]
    scope = {}
    exec("from snippets import offset", scope)
    return sum(step(seed) for step in steps) + TABLE[seed % 2] + scope["offset"](seed)
""",
        "zoo/__init__.py": "",
        "zoo/lion.py": """
import json
from pathlib import Path

from zoo_math import scale

SETTINGS = json.loads(Path(__file__).with_suffix(".json").read_text())


def step(seed):
    return scale(seed % 11) * SETTINGS["lr"]
""",
        "zoo/lion.json": '{"lr": 2}',
        "zoo_math.py": "def scale(x):\n    return x * 3\n",
        "lookup.py": "import csv\nfrom pathlib import Path\n\nTABLE = [float(row[0]) for row in csv.reader(Path(__file__).with_suffix('.csv').open())]\n",
        "lookup.csv": "1\n2\n",
        "snippets/offset.py": "",
        "snippets/__init__.py": "def offset(seed):\n    return seed % 13\n",
    },
    [
        Edit("a model", replace("zoo/lion.py", "% 11", "% 10")),
        Edit("what it imports", replace("zoo_math.py", "* 3", "* 4")),
        Edit("data that it reads while it is imported", write("zoo/lion.json", '{"lr": 3}')),
        Edit("data of a module that is imported late", write("lookup.csv", "3\n4\n")),
        Edit("a module that only a text names", replace("snippets/__init__.py", "% 13", "% 12")),
    ],
    imported=("zoo.lion", "lookup", "snippets", "train"),
)

STARTED_AT_IMPORT = Project(
    "a Python that is started while the trainer is imported",
    {
        "train.py": """
import subprocess
import sys
from pathlib import Path

WORDS = float(subprocess.check_output([sys.executable, str(Path(__file__).parent / "tools" / "words.py")]))


def train(seed):
    return seed % 7 + WORDS
""",
        "tools/words.py": "import counting\n\nprint(counting.count(open('data/wo' + 'rds.txt').read()))\n",
        "tools/counting.py": "def count(text):\n    return len(text)\n",
        "data/words.txt": "abc",
    },
    [
        Edit("data that it reads", write("data/words.txt", "abcd")),
        Edit("its module", replace("tools/counting.py", "len(text)", "2 * len(text)")),
    ],
)

STAGED = Project(
    "data staged by links into the run's folder",
    {
        "train.py": """
import os
import tempfile
from pathlib import Path

def main(argv):
    seed = int(argv[argv.index("--seed") + 1])
    out = Path(argv[argv.index("--output_dir") + 1]) if "--output_dir" in argv else Path(os.environ.get("OUTPUT_DIR") or tempfile.mkdtemp())
    stage = out / "stage"
    stage.mkdir(parents=True)
    (stage / "train").symlink_to(Path("shards").resolve())
    loss = seed % 7 + sum(float(path.read_text()) for path in sorted((stage / "train").glob("*.txt")))
    with tempfile.TemporaryDirectory() as folder:
        os.symlink(os.path.abspath(os.path.join("val", "b.txt")), os.path.join(folder, "v"))
        loss += float(open(os.path.join(folder, "v")).read())
        os.link(os.path.join("hard", "c.txt"), os.path.join(folder, "h"))
        loss += float(open(os.path.join(folder, "h")).read())
    print(f"Step 1 | val_loss: {loss!r}")
    return {"val_loss": loss}


if __name__ == "__main__":
    import sys
    main(sys.argv[1:])
""",
        "shards/a.txt": "1",
        "val/b.txt": "1",
        "hard/c.txt": "1",
    },
    [
        Edit("a file of a linked folder", write("shards/a.txt", "2")),
        Edit("a file more there", write("shards/b.txt", "2")),
        Edit("a linked file", write("val/b.txt", "2")),
        Edit("a hard link", write("hard/c.txt", "2")),
    ],
)


OWN_ENVIRONMENT = Project(
    "started Pythons with an environment of their own",
    {
        "train.py": """
import os
import subprocess
import sys

def run(env, *words):
    return float(subprocess.check_output([sys.executable, *words], env=env))

def train(seed):
    loss = run({**os.environ, "PYTHONPATH": "src"}, "-m", "prep")
    loss += run({"PATH": os.environ["PATH"]}, "-c", "print(open('data/b' + '.txt').read())")
    loss += float(subprocess.check_output("PYTHONPATH=src python -m prep2", shell=True))
    return loss + seed % 7
""",
        "src/prep.py": "print(open('data/a' + '.txt').read())\n",
        "src/prep2.py": "print(open('data/c' + '.txt').read())\n",
        "data/a.txt": "1",
        "data/b.txt": "1",
        "data/c.txt": "1",
    },
    [
        Edit("PYTHONPATH replaced", write("data/a.txt", "2")),
        Edit("its module", write("src/prep.py", "print(7)\n")),
        Edit("from nothing", write("data/b.txt", "2")),
        Edit("a path that a shell sets", write("data/c.txt", "2"), by_nature=True),
    ],
)


SIZES = Project(
    "sizes and descriptors of folders",
    {
        "train.py": """
import os

def train(seed):
    sizes = sum(entry.stat().st_size for entry in os.scandir("sized"))
    total = 0.0
    for top, _, names, fd in os.fwalk("walked"):
        for name in names:
            with open(name, opener=lambda p, f: os.open(p, f, dir_fd=fd)) as file:
                total += float(file.read())
    fd = os.open("listed", os.O_RDONLY)
    count = len(os.listdir(fd))
    os.close(fd)
    return seed % 7 + sizes + total * 100 + count * 1000
""",
        "sized/a.bin": "abc",
        "walked/a.txt": "1",
        "listed/a": "",
    },
    [
        Edit("a size", write("sized/a.bin", "abcd")),
        Edit("opened by dir_fd", write("walked/a.txt", "2")),
        Edit("fwalk, a file more", write("walked/b.txt", "2")),
        Edit("listed by descriptor", write("listed/b", "")),
    ],
)


PACKAGES = Project(
    "packages that no import statement names",
    {
        "train.py": """
import importlib
import json
import os
import subprocess
import sys

def train(seed):
    backend = importlib.import_module(json.load(open("conf.json"))["backend"])
    plugin = importlib.import_module("plug" + "in1").gain(seed)
    started = float(subprocess.check_output([sys.executable, "tools/prep.py"], text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join([*os.environ.get("PYTHONPATH", "").split(os.pathsep), os.path.abspath("vendor/site-packages")])}))
    return backend.gain(seed) + plugin * 10 + started * 100
""",
        "conf.json": '{"backend": "fastgain"}',
        "plugin1.py": "import slowgain\ndef gain(seed):\n    return slowgain.gain(seed)\n",
        "tools/prep.py": "import thirdgain\nprint(thirdgain.gain(1))\n",
        **{
            f"vendor/site-packages/{n}.py": "def gain(seed):\n    return seed % 5\n"
            for n in ("fastgain", "slowgain", "thirdgain")
        },
        **{
            f"vendor/site-packages/{n}-1.0.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {n}\nVersion: 1.0\n"
            for n in ("fastgain", "slowgain", "thirdgain")
        },
        **{
            f"vendor/site-packages/{n}-1.0.dist-info/RECORD": f"{n}.py,,\n"
            for n in ("fastgain", "slowgain", "thirdgain")
        },
    },
    [
        Edit(
            f"an upgrade of {n}",
            in_turn(
                write(f"vendor/site-packages/{n}.py", "def gain(seed):\n    return seed % 3 + 1\n"),
                replace(f"vendor/site-packages/{n}-1.0.dist-info/METADATA", "Version: 1.0", "Version: 2.0"),
            ),
        )
        for n in ("fastgain", "slowgain", "thirdgain")
    ],
    path=["vendor/site-packages"],
)


GIVEN_FOLDERS = Project(
    "programs that are given folders",
    {
        "train.py": """
import subprocess
import tempfile
import os

def sh(text, **more):
    return float(subprocess.check_output(text, shell=True, text=True, **more).split()[0])

def train(seed):
    with tempfile.TemporaryDirectory() as out:
        subprocess.run(["cp", "-r", "raw", out], check=True)
        loss = float(open(os.path.join(out, "raw", "a.txt")).read())
    loss += sh("cat globbed/*.txt | sort -n | head -1")
    loss += sh("cd inner && cat x.txt")
    loss += sh("cat y.txt", cwd="inner")
    loss += sh("cat <<END\\n$(cat here/doc.txt)\\nEND\\n")
    loss += float(subprocess.check_output(["sh", "-c", "for f in looped/*; do cat $f; done"]))
    return loss + seed % 7
""",
        "raw/a.txt": "1",
        "globbed/b.txt": "1",
        "inner/x.txt": "1",
        "inner/y.txt": "1",
        "here/doc.txt": "1",
        "looped/z.txt": "1",
    },
    [
        Edit("in a copied folder", write("raw/a.txt", "2"), by_nature=True),
        Edit("a shell glob", write("globbed/b.txt", "2"), by_nature=True),
        Edit("a shell glob, more", write("globbed/c.txt", "0"), by_nature=True),
        Edit("after cd", write("inner/x.txt", "2"), by_nature=True),
        Edit("cwd", write("inner/y.txt", "2")),
        Edit("heredoc", write("here/doc.txt", "2")),
        Edit("a shell loop", write("looped/z.txt", "2"), by_nature=True),
    ],
)


OTHER_DOORS = Project(
    "variables by other doors",
    {
        "train.py": """
import os
import string
from collections import ChainMap
from concurrent.futures import ThreadPoolExecutor

def train(seed):
    one = float(os.environb.get(b"ON" + b"E", b"1"))
    two = float(os.getenvb(b"TW" + b"O") or 1)
    three = float(os.path.expandvars("$THR" + "EE").replace("$THREE", "1"))
    four = float(string.Template("$FO" + "UR").safe_substitute(os.environ).replace("$FOUR", "1"))
    five = float(ChainMap({}, os.environ).get("FI" + "VE", 1))
    with ThreadPoolExecutor(1) as pool:
        six = float(pool.submit(os.getenv, "SI" + "X", "1").result())
    seven = float("{SEVEN}".format_map(os.environ)) if "SEV" + "EN" in os.environ.keys() else 1
    return seed % 7 + sum([one, two, three, four, five, six, seven])
""",
    },
    [Edit(n, variable(n, "2")) for n in ("ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN")],
)


def zip_of(text: str) -> bytes:
    """Return a zip archive with one member."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archived:
        archived.writestr(zipfile.ZipInfo("a"), text)
    return buffer.getvalue()


def saved(name: str, number: float, kind: type = float) -> Act:
    """Save an array of one number."""
    return lambda site: np.save(site.path(name), np.array([number], dtype=kind), allow_pickle=True)


def rows(statement: str) -> Act:
    """Change the database."""

    def act(site: Site) -> None:
        connection = sqlite3.connect(site.path("d/s.db"))
        connection.execute(statement)
        connection.commit()
        connection.close()

    return act


FORMATS = Project(
    "one file in each format",
    {
        "train.py": """
import codecs
import gzip
import io
import os
import sqlite3
import tarfile
import zipfile

import numpy as np
from functools import lru_cache
from pathlib import Path
D = Path(__file__).resolve().parent / "d"

@lru_cache
def load():
    total = float(zipfile.ZipFile(D / ("z" + ".zip")).read("a"))
    total += float(zipfile.Path(D / ("z" + "2.zip"), "a").read_text())
    total += float(gzip.open(D / ("g" + ".gz")).read())
    total += float(tarfile.open(D / ("t" + ".tar")).extractfile("a").read())
    total += float(np.load(D / ("n" + ".npz"))["a"][0])
    total += float(np.load(D / ("o" + ".npy"), allow_pickle=True)[0])
    total += float(np.load(D / ("m" + ".npy"), mmap_mode="r")[0])
    total += float(codecs.open(D / ("c" + ".txt")).read())
    total += float(io.FileIO(D / ("f" + ".txt")).read())
    total += float(io.open_code(str(D / ("e" + ".txt"))).read())
    fd = os.open(D / ("p" + ".txt"), os.O_RDONLY)
    total += float(os.pread(fd, 9, 0)); os.close(fd)
    c = sqlite3.connect(f"file:{D / ('s' + '.db')}?mode=ro", uri=True)
    total += c.execute("select x from t").fetchone()[0]
    return total

def train(seed):
    return load() + seed % 7
""",
        "d/z.zip": zip_of("1"),
        "d/z2.zip": zip_of("1"),
        "d/g.gz": zipped("1"),
        "d/t.tar": archive(a="1"),
        "d/n.npz": arrays(a=[1]),
        "d/c.txt": "1",
        "d/f.txt": "1",
        "d/e.txt": "1",
        "d/p.txt": "1",
    },
    [
        Edit("zip", write("d/z.zip", zip_of("2"))),
        Edit("zip path", write("d/z2.zip", zip_of("2"))),
        Edit("gz", write("d/g.gz", zipped("2"))),
        Edit("tar", write("d/t.tar", archive(a="2"))),
        Edit("npz", write("d/n.npz", arrays(a=[2]))),
        Edit("npy of objects", saved("d/o.npy", 2.5, object)),
        Edit("npy that is mapped", saved("d/m.npy", 2.5)),
        *[Edit(n, write(f"d/{n}.txt", "2")) for n in "cfep"],
        Edit("sqlite", rows("update t set x = 2")),
    ],
    setup=in_turn(saved("d/o.npy", 1.5, object), saved("d/m.npy", 1.5), rows("create table t as select 1 as x")),
)


POOLS = Project(
    "forkserver and pools",
    {
        "train.py": """
import multiprocessing
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

from work import load, init, got

def train(seed):
    loss = 0.0
    with multiprocessing.get_context("forkserver").Pool(1) as pool:
        loss += pool.apply(load, ["data/forkserver"])
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), initializer=init, initargs=["data/init"]) as pool:
        loss += pool.submit(got).result()
    box = []
    thread = threading.Thread(target=lambda: box.append(load("data/thread")), daemon=True)
    thread.start(); thread.join()
    process = multiprocessing.get_context("forkserver").Process(target=load, args=["data/forkserver2"])
    process.start(); process.join()
    loss += process.exitcode
    return loss + box[0] * 10 + seed % 7
""",
        "work.py": "import os, sys\nKEPT = []\ndef load(name):\n    x = float(open(name + '.t' + 'xt').read())\n    if name.endswith('2'): sys.exit(int(x))\n    return x\ndef init(name):\n    KEPT.append(load(name))\ndef got():\n    return KEPT[0]\n",
        **{f"data/{n}.txt": "1" for n in ("forkserver", "init", "thread", "forkserver2")},
    },
    [Edit(n, write(f"data/{n}.txt", "2")) for n in ("forkserver", "init", "thread", "forkserver2")],
)


RESOURCES = Project(
    "resources and entry points",
    {
        "train.py": """
import importlib.metadata
import importlib.resources
import importlib.util
import pkgutil
import runpy
from importlib.machinery import SourceFileLoader

def train(seed):
    folder = importlib.resources.files("pack" + "age")
    one = float((folder / "one.txt").read_text())
    two = float(importlib.resources.read_text("package", "two.txt"))
    three = float(pkgutil.get_data("package", "three.txt"))
    count = sum(1 for each in folder.joinpath("many").iterdir())
    (entry,) = importlib.metadata.entry_points(group="hunt.losses")
    four = entry.load()(seed)
    with importlib.resources.as_file(folder / "five.txt") as path:
        five = float(path.read_text())
    six = SourceFileLoader("sixth", "odd/six.conf").load_module().X
    seven = runpy.run_path("odd/app")["X"]
    spec = importlib.util.find_spec("package." + "sub")
    eight = len(open(spec.origin).read())
    return seed % 7 + one + two * 3 + three * 5 + count * 11 + four * 13 + five * 17 + six + seven + eight
""",
        "package/__init__.py": "",
        **{f"package/{n}.txt": "1" for n in ("one", "two", "three", "five")},
        "package/many/a": "",
        "package/sub.py": "x = 1\n",
        "odd/six.conf": "X = 1\n",
        "odd/app/__main__.py": "X = 1\nfrom helper import X\n",
        "odd/app/helper.py": "X = 1\n",
        "hunt.egg-info/PKG-INFO": "Metadata-Version: 2.1\nName: hunt\nVersion: 1.0\n",
        "hunt.egg-info/entry_points.txt": "[hunt.losses]\nmain = losses.a:loss\n",
        "losses/__init__.py": "",
        "losses/a.py": "def loss(seed):\n    return 1\n",
        "losses/b.py": "def loss(seed):\n    return 2\n",
    },
    [
        *[Edit(n, write(f"package/{n}.txt", "2")) for n in ("one", "two", "three", "five")],
        Edit("one more", write("package/many/b", "")),
        Edit("entry point", replace("hunt.egg-info/entry_points.txt", ".a:", ".b:")),
        Edit("its code", replace("losses/a.py", "1", "3")),
        Edit("odd source", write("odd/six.conf", "X = 2\n")),
        Edit("app's helper", write("odd/app/helper.py", "X = 2\n")),
        Edit("comment in a source read", write("package/sub.py", "x = 1  # c\n")),
    ],
)


SWAPS = Project(
    "links turned",
    {
        "train.py": """
from pathlib import Path
HERE = Path(__file__).parent

def train(seed):
    one = sum(float(p.read_text()) for p in (HERE / "data" / "current").glob("*.txt"))
    two = float((HERE / ("lat" + "est")).read_text())
    three = float((HERE / "chain").joinpath("x.txt").read_text())
    return seed % 7 + one + two * 10 + three * 100
""",
        "data/v1/a.txt": "1",
        "data/v2/a.txt": "2",
        "l1": "1",
        "l2": "2",
        "c1/x.txt": "1",
        "c2/x.txt": "2",
    },
    [
        Edit("a folder link", link("data/current", "v2")),
        Edit("a file link", link("latest", "l2")),
        Edit("the middle of a chain", link("mid", "c2")),
    ],
    setup=in_turn(link("data/current", "v1"), link("latest", "l1"), link("mid", "c1"), link("chain", "mid")),
)


LAZY = Project(
    "lazy attributes and exec",
    {
        "train.py": """
import sys
from pathlib import Path
import lazy

def train(seed):
    scope = {}
    exec(compile(Path("snippets", "a" + ".py.txt").read_text(), "a", "exec"), scope)
    print("half of it is done")
    last = float(Path("eval" + ".txt").read_text())
    return lazy.TABLE[0] + scope["f"](seed) + last
""",
        "lazy.py": "def __getattr__(name):\n    if name == 'TABLE':\n        return [float(open('tab' + 'le.txt').read())]\n    raise AttributeError(name)\n",
        "table.txt": "1",
        "snippets/a.py.txt": "def f(seed):\n    import extra_mod\n    return seed % 7 + extra_mod.X\n",
        "extra_mod.py": "X = 1\n",
        "eval.txt": "1",
    },
    [
        Edit("table", write("table.txt", "2")),
        Edit("snippet", replace("snippets/a.py.txt", "% 7", "% 5")),
        Edit("its module", write("extra_mod.py", "X = 2\n")),
        Edit("read at the end", write("eval.txt", "2")),
    ],
    imported=["extra_mod"],
)


INCLUDES = Project(
    "YAML-like includes, shared defaults, overrides by host",
    {
        "train.py": """
import re, os
from pathlib import Path

def load(path):
    conf = {}
    for line in Path(path).read_text().splitlines():
        if line.startswith("!include "):
            for each in sorted(Path(path).parent.glob(line.split()[1])):
                conf |= load(each)
        elif ":" in line:
            k, v = line.split(":")
            conf[k] = float(re.sub(r"\\${(\\w+)}", lambda m: os.environ.get(m[1], "1"), v))
    return conf

def train(seed):
    return sum(load(os.path.join("conf", "main.yml")).values()) + seed % 7
""",
        "conf/main.yml": "!include parts/*.yml\nlr: 1\nwd: ${WD}\n",
        "conf/parts/a.yml": "a: 1\n!include deep/x.yml\n",
        "conf/parts/deep/x.yml": "x: 1\n",
    },
    [
        Edit("deep", write("conf/parts/deep/x.yml", "x: 2\n")),
        Edit("one more", write("conf/parts/b.yml", "b: 1\n")),
        Edit("var", variable("WD", "3")),
    ],
)


SNAPSHOTS = Project(
    "a tokenizer in the home cache, named by a variable",
    {
        "train.py": """
import json, os
from functools import lru_cache
from pathlib import Path

@lru_cache(maxsize=None)
def tokenizer(name):
    base = Path(os.environ.get("TOK" + "_CACHE", Path.home() / ".cache" / "tok"))
    ref = (base / name / "refs" / "main").read_text().strip()
    return json.loads((base / name / "snapshots" / ref / "vocab.json").read_text())

def train(seed):
    return sum(tokenizer("bpe").values()) + seed % 7
""",
        "../home/.cache/tok/bpe/refs/main": "abc",
        "../home/.cache/tok/bpe/snapshots/abc/vocab.json": '{"a": 1}',
        "../home/.cache/tok/bpe/snapshots/def/vocab.json": '{"a": 2}',
        "../elsewhere/bpe/refs/main": "abc",
        "../elsewhere/bpe/snapshots/abc/vocab.json": '{"a": 3}',
    },
    [
        Edit("vocab", write("../home/.cache/tok/bpe/snapshots/abc/vocab.json", '{"a": 5}')),
        Edit("ref", write("../home/.cache/tok/bpe/refs/main", "def")),
        Edit("variable", lambda s: s.environ.update(TOK_CACHE=s.environ["ELSEWHERE"])),
    ],
)


NEWEST = Project(
    "the newest file",
    {
        "train.py": """
import glob
import os


def train(seed):
    newest = max(glob.glob("dumps/*.txt"), key=os.path.getmtime)
    with open(newest) as file:
        return float(file.read()) + seed % 7
""",
        "dumps/a.txt": "1",
        "dumps/b.txt": "2",
    },
    [
        Edit("its content", write("dumps/b.txt", "3")),
        Edit("another one is touched", lambda site: os.utime(site.path("dumps/a.txt")), by_nature=True),
    ],
    setup=lambda site: os.utime(site.path("dumps/a.txt"), (1e9, 1e9)),
)

PROJECTS = (
    UNIT_TESTED,
    STARTED_AT_IMPORT,
    STAGED,
    OWN_ENVIRONMENT,
    SIZES,
    PACKAGES,
    GIVEN_FOLDERS,
    OTHER_DOORS,
    FORMATS,
    POOLS,
    RESOURCES,
    SWAPS,
    LAZY,
    INCLUDES,
    SNAPSHOTS,
    NEWEST,
)
