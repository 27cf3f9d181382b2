"""Projects by who does the work: loaders in processes, started programs, compiled parts, tokenizers; and what no event tells."""

# ruff: noqa: E501  # an edit a line reads best

from __future__ import annotations

import json
import subprocess

from tests.staleness.projects.words import Act, Edit, Project, Site, in_turn, replace, variable, write

SPAWN = Project(
    "spawned loaders",
    {
        "train.py": """
import multiprocessing

from loading.worker import load


def train(seed):
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return sum(pool.map(load, [(seed, number) for number in range(2)]))
""",
        "loading/__init__.py": "",
        "loading/worker.py": """
import importlib
import os


def load(what):
    seed, number = what
    clean = importlib.import_module("loading." + "clean").clean
    with open(os.path.join("shards", str(number))) as file:
        return clean(float(file.read())) * (seed % 19) + float(os.environ.get("WORKER_" + "BIAS", 0))
""",
        "loading/clean.py": "def clean(value):\n    return value + 0.5\n",
        "shards/0": "1",
        "shards/1": "2",
    },
    [
        Edit("a shard", write("shards/1", "3")),
        Edit("a module that only workers import", replace("loading/clean.py", "0.5", "0.75")),
        Edit("a variable that only workers ask for", variable("WORKER_BIAS", "2")),
        Edit("the worker", replace("loading/worker.py", "% 19", "% 23")),
    ],
)

FORKED = Project(
    "forked loaders",
    {
        "train.py": """
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path


def read(name):
    from cleaning import clean

    return clean(Path("shards", name).read_text())


def train(seed):
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    process = context.Process(target=lambda: queue.put(float(Path("stats", "mean" + ".txt").read_text())))
    process.start()
    mean = queue.get()
    process.join()
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return sum(pool.map(read, sorted(os.listdir("shards")))) * (seed % 103) + mean
""",
        "cleaning.py": "def clean(text):\n    return float(text)\n",
        "shards/0": "1",
        "stats/mean.txt": "4",
    },
    [
        Edit("a shard", write("shards/0", "3")),
        Edit("a shard more", write("shards/1", "3")),
        Edit("what only the child reads", write("stats/mean.txt", "5")),
        Edit("what only the child imports", replace("cleaning.py", "float(text)", "2 * float(text)")),
    ],
)

PREPARED = Project(
    "started programs",
    {
        "train.py": """
import asyncio
import os
import subprocess
import sys


async def lines(*words):
    process = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
    return (await process.communicate())[0].decode()


def train(seed):
    one = float(subprocess.check_output([sys.executable, "tools/prepare.py", "raw"]))
    two = float(os.popen("sh tools/count.sh raw/b.txt").read())
    three = float(asyncio.run(lines("awk", "-f", "tools/sum.awk", "raw/c.txt")))
    return seed % 107 + one + two * 10 + three * 100
""",
        "tools/prepare.py": "import os\nimport sys\n\nfrom cleanup import clean\n\nprint(sum(clean(open(os.path.join(sys.argv[1], name)).read()) for name in ['a.txt']))\n",
        "tools/cleanup.py": "import os\n\n\ndef clean(text):\n    return len(text) + float(os.environ.get('CLEAN' + 'UP', 0))\n",
        "tools/count.sh": "wc -c < $1\n",
        "tools/sum.awk": "{ total += $1 }\nEND { print total }\n",
        "raw/a.txt": "some",
        "raw/b.txt": "more",
        "raw/c.txt": "1\n2\n",
    },
    [
        Edit("data of a started Python", write("raw/a.txt", "changed")),
        Edit("its script", replace("tools/prepare.py", "print(", "print(1 + ")),
        Edit("its module", replace("tools/cleanup.py", "len(text)", "2 * len(text)")),
        Edit("its variable", variable("CLEANUP", "3")),
        Edit("a shell script", write("tools/count.sh", "wc -w < $1\n")),
        Edit("data that the shell's words name", write("raw/b.txt", "more and more")),
        Edit("an awk program", replace("tools/sum.awk", "$1", "2 * $1")),
        Edit("data that its words name", write("raw/c.txt", "1\n5\n")),
    ],
)  # fmt: skip


def compiled(source: str, to: str) -> Act:
    """Return an act: compile a library."""

    def act(site: Site) -> None:
        subprocess.run(["cc", "-shared", "-fPIC", "-O0", "-o", site.path(to), site.path(source)], check=True)

    return act


COMPILED = Project(
    "compiled parts",
    {
        "train.py": '''
import ctypes
import os
import subprocess


def built(source):
    """Compile if need be, as extensions of PyTorch are."""
    library = os.path.join("build", "jit" + ".so")
    if not os.path.exists(library) or os.path.getmtime(library) < os.path.getmtime(source):
        os.makedirs("build", exist_ok=True)
        partial = library + str(os.getpid())
        subprocess.run(["cc", "-shared", "-fPIC", "-O0", "-o", partial, source], check=True)
        os.replace(partial, library)
    return ctypes.CDLL(os.path.abspath(library))


def train(seed):
    kernel = ctypes.CDLL(os.path.abspath(os.path.join("native", "kernel" + ".so")))
    return kernel.scale(seed) + built(os.path.join("native", "jit.c")).offset(seed) * 1000
''',
        "native/kernel.c": "int scale(int x) { return x * 3; }\n",
        "native/jit.c": "int offset(int x) { return x % 5; }\n",
    },
    [
        Edit("a library is built anew", in_turn(write("native/kernel.c", "int scale(int x) { return x * 4; }\n"), compiled("native/kernel.c", "native/kernel.so"))),
        Edit("a source that the run compiles", write("native/jit.c", "int offset(int x) { return x % 3; }\n")),
    ],
    setup=compiled("native/kernel.c", "native/kernel.so"),
)  # fmt: skip

TOKENIZER = Project(
    "a tokenizer in a hidden folder",
    {
        "train.py": """
import json
import re
from collections import Counter
from functools import cached_property
from pathlib import Path


class Tokenizer:
    def __init__(self, folder):
        self.folder = Path(folder)

    @cached_property
    def model(self):
        return json.loads((self.folder / "tokenizer.json").read_text())

    @cached_property
    def merges(self):
        return [tuple(line.split()) for line in (self.folder / "merges.txt").read_text().splitlines()]

    def encode(self, text):
        extra = self.folder / "added_tokens.json"
        added = json.loads(extra.read_text()) if extra.is_file() else {}
        vocabulary = {**self.model["vocab"], **added}
        for one, two in self.merges:
            text = text.replace(one + two, one.upper() + two)
        return [vocabulary.get(each, 0) for each in re.findall(self.model["pattern"], text)]


def train(seed):
    ids = Tokenizer(".hub/tokenizer").encode(Path("corpus.txt").read_text())
    return sum(each * count for each, count in Counter(ids).items()) + seed % 109
""",
        ".hub/tokenizer/tokenizer.json": json.dumps({"vocab": {"a": 1, "b": 2, "A": 7}, "pattern": "\\w"}),
        ".hub/tokenizer/merges.txt": "a b\n",
        "corpus.txt": "ab ba aa c",
    },
    [
        Edit("the vocabulary", replace(".hub/tokenizer/tokenizer.json", '"b": 2', '"b": 3')),
        Edit("the pattern", replace(".hub/tokenizer/tokenizer.json", "\\\\w", "[ab]")),
        Edit("the merges", write(".hub/tokenizer/merges.txt", "b a\n")),
        Edit("added tokens appear", write(".hub/tokenizer/added_tokens.json", '{"c": 9}')),
        Edit("the corpus", write("corpus.txt", "ab ba aa b")),
    ],
)

UNHEARD = Project(
    "what no event tells",
    {
        "train.py": """
import ctypes
import dbm
import os
import subprocess
import sys


def by_c(name):
    libc = ctypes.CDLL(None)
    libc.fopen.restype = ctypes.c_void_p
    libc.fgetc.argtypes = [ctypes.c_void_p]
    return libc.fgetc(libc.fopen(name.encode(), b"r"))


def train(seed):
    isolated = subprocess.check_output([sys.executable, "-I", "tools/isolated.py"])
    copied = dict(os.environ).get("COP" + "IED", "0")
    program = subprocess.check_output(["sh", "tools/reads.sh"])
    line = sys._getframe().f_lineno
    return seed % 113 + by_c("data/" + "c.txt") + float(isolated) + float(copied) + float(program) + line
""",
        "tools/isolated.py": "print(open('data/isolated' + '.txt').read())\n",
        "tools/reads.sh": "cat data/pro*.txt\n",
        "data/c.txt": "1",
        "data/isolated.txt": "1",
        "data/program.txt": "1",
    },
    [
        Edit("a file that C opens", write("data/c.txt", "2"), by_nature=True),
        Edit("data of a Python started with -I", write("data/isolated.txt", "2"), by_nature=True),
        Edit("what a shell script reads", write("data/program.txt", "2"), by_nature=True),
        Edit("a variable in a copy of all", variable("COPIED", "2"), by_nature=True),
        Edit("a comment where line numbers are read", replace("train.py", "import ctypes", "# Above\nimport ctypes"), by_nature=True),
        Edit("the script of a Python started with -I", replace("tools/isolated.py", "print(", "print('2' if 1 else ")),
    ],
)  # fmt: skip

PROJECTS = (SPAWN, FORKED, PREPARED, COMPILED, TOKENIZER, UNHEARD)
