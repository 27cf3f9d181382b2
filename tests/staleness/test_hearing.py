"""Every way in which a run asks its surroundings: when an answer changes, no stored run of any seed stands; put back, all do.

What changes here is none of the data of `test_inputs.py`: variables, files that were not there, folders that are hidden or elsewhere,
modules and functions that no text names, libraries, started programs.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.ways import TABLES, make_project

TRAINER = """
import asyncio, ctypes, importlib, inspect, json, linecache, os, pickle, pkgutil, sqlite3, subprocess, sys
from os import environ as E
from pathlib import Path

HERE = Path(__file__).resolve().parent
LOWER = "_".join(["my", "base"])


def number(path):
    return float(Path(path).read_text())


def shell(words):
    return "sh " + str(HERE / words)


def spawned():
    ours, theirs = os.pipe()
    command = ["sh", str(HERE / "scripts" / "posix.sh")]
    os.waitpid(os.posix_spawn("/bin/sh", command, dict(os.environ), file_actions=[(os.POSIX_SPAWN_DUP2, theirs, 1)]), 0)
    os.close(theirs)
    with os.fdopen(ours) as file:
        return float(file.read())


async def in_asyncio():
    process = await asyncio.create_subprocess_exec("sh", str(HERE / "scripts" / "asyncio.sh"), stdout=asyncio.subprocess.PIPE)
    return float((await process.communicate())[0])


def system():
    out = HERE / ".out" / str(os.getpid())
    out.parent.mkdir(exist_ok=True)
    os.system(shell("scripts/system.sh") + " > " + str(out))
    return number(out)


def printed(*words):
    return float(subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True, cwd=HERE).stdout)


class Steps:
    def __init_subclass__(cls):
        cls.steps = [name for name in vars(cls) if not name.startswith("_")]


def inserted(name):
    sys.path.insert(0, str(HERE / "submodule"))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(HERE / "submodule"))


def from_database():
    connection = sqlite3.connect(HERE / "rows" / ("wal" + ".db"))
    (found,) = connection.execute("select max(x) from numbers").fetchone()
    connection.close()
    return found


ASKS = {
    "a corpus of sources": lambda: sum(len(path.read_bytes()) for path in sorted((HERE / "corpus").glob("*.p" + "y"))),
    "a declared source": lambda: len((HERE / ("declared" + ".py")).read_text()),
    "a hidden folder": lambda: number(HERE / ("." + "data") / "x.txt"),
    "a hidden cache": lambda: number(HERE / ("." + "cache") / "hf" / "x.txt"),
    "a folder elsewhere": lambda: number(Path(E["DATA_ROOT"]) / "x.txt"),
    "a resolved link": lambda: number((HERE / ("li" + "nk")).resolve() / "x.txt"),
    "a module on an inserted path": lambda: inserted("extra" + "1").base(),
    "a function that a pickle names": lambda: pickle.loads((HERE / "function.pickle").read_bytes())(),
    "an object of a package by name": lambda: pkgutil.resolve_name("submodule.named:" + "ba" + "se")(),
    "the order of definitions": lambda: float("".join(inserted("ordered").Pipeline.steps[:1])[1:]),
    "a docstring": lambda: float(inspect.getdoc(inserted("described").base)),
    "a local name": lambda: float([name for name in inserted("framed").base() if name.startswith("x")][0][1:]),
    "data beside a module": lambda: float(pkgutil.get_data("submodule", "num" + "ber.txt")),
    "a lower-case variable": lambda: float(E.get(LOWER, 1)),
    "a variable that is only looked for": lambda: "".join(["LOOK", "ED_FOR"]) in E,
    "a variable with a default": lambda: float(os.getenv("DEF" + "AULT", "1")),
    "popen": lambda: float(os.popen(shell("scripts/popen.sh")).read()),
    "system": system,
    "posix_spawn": spawned,
    "asyncio": lambda: asyncio.run(in_asyncio()),
    "data of a started Python": lambda: printed("scripts/reads.py"),
    "a module of a started Python": lambda: printed("-m", "scripts.imports"),
    "a variable of a started Python": lambda: printed("scripts/asks.py"),
    "os.path.exists": lambda: os.path.exists(HERE / ("over" + "ride1")),
    "Path.is_file": lambda: (HERE / ("over" + "ride2")).is_file(),
    "try open": lambda: tried(HERE / ("over" + "ride3")),
    "os.access": lambda: os.access(HERE / ("over" + "ride4"), os.R_OK),
    "a folder that is not there": lambda: len(list((HERE / ("over" + "ride5")).glob("*"))),
    "a library": lambda: bool(ctypes.CDLL(str(HERE / ("lib" + ".so")))),
    "a database with a log": from_database,
}


def tried(path):
    try:
        return number(path)
    except OSError:
        return 0


def main(argv):
    seed = int(argv[argv.index("--seed") + 1])
    loss = seed / 1000 + sum(map(float, (ask() for ask in ASKS.values())))
    print(f"Step 1 | val_loss: {loss}")
    return {"val_loss": loss}
"""
PLAIN = {
    "corpus/a.py": "x = 1\n",
    "declared.py": "x = 1\n",
    ".data/x.txt": "1",
    ".cache/hf/x.txt": "1",
    "submodule/__init__.py": "",
    "submodule/extra1.py": "def base(): return 1.0\n",
    "submodule/named.py": "def base(): return 1.0\n",
    "submodule/number.txt": "1",
    "submodule/ordered.py": "from train import Steps\nclass Pipeline(Steps):\n    def s1(self): ...\n    def s2(self): ...\n",
    "submodule/described.py": 'def base():\n    """1"""\n',
    "submodule/framed.py": "import sys\ndef base():\n    x1 = 0\n    return list(sys._getframe().f_locals)\n",
    "pickled.py": "def base(): return 1.0\n",
    "function.pickle": "cpickled\nbase\n.",
    "scripts/__init__.py": "",
    **{f"scripts/{name}.sh": "echo 1\n" for name in ("popen", "system", "posix", "asyncio")},
    "scripts/reads.py": "print(open('scripts/' + 'x.txt').read())\n",
    "scripts/x.txt": "1",
    "scripts/imports.py": "import importlib\nprint(importlib.import_module('scripts.' + 'low').base())\n",
    "scripts/low.py": "def base(): return 1.0\n",
    "scripts/asks.py": "import os\nprint(os.environ.get('STAR' + 'TED', '1'))\n",
}


def text(name, old, new):
    """Return a change of a file's text."""

    def change(root, _):
        path = root / name
        before = path.read_text(encoding="utf-8")
        assert old in before
        path.write_text(before.replace(old, new), encoding="utf-8")
        return lambda: path.write_text(before, encoding="utf-8")

    return change


def variable(name):
    """Return a change of the environment."""

    def change(_, monkeypatch):
        monkeypatch.setenv(name, "2")
        return lambda: monkeypatch.delenv(name)

    return change


def appears(name):
    """Return a change that makes a file."""

    def change(root, _):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("2", encoding="utf-8")
        return (root / name).unlink

    return change


def folder_appears(root, _):
    """Make a folder with a file."""
    (root / "override5").mkdir()
    (root / "override5" / "x").touch()
    return lambda: shutil.rmtree(root / "override5")


def rebuilt(root, _):
    """Change bytes behind the end of a library, as a linker's notes are."""
    before = (root / "lib.so").read_bytes()
    (root / "lib.so").write_bytes(before + b"\0")
    return lambda: (root / "lib.so").write_bytes(before)


def row(root, _):
    """Add a row that stays in the log beside the database."""
    before = (root / "rows" / "wal.db").read_bytes()
    writer = sqlite3.connect(root / "rows" / "wal.db")
    writer.execute("insert into numbers values (2)")
    writer.commit()

    def undo():
        writer.close()
        for path in (root / "rows").iterdir():
            path.unlink()
        (root / "rows" / "wal.db").write_bytes(before)

    return undo


CHANGES = {
    "a corpus of sources": text("corpus/a.py", "x = 1\n", "x = 1  # a comment\n"),
    "a declared source": text("declared.py", "x = 1\n", "x = 1  # a comment\n"),
    "a hidden folder": text(".data/x.txt", "1", "2"),
    "a hidden cache": text(".cache/hf/x.txt", "1", "2"),
    "a folder elsewhere": text("../elsewhere/x.txt", "1", "2"),
    "a resolved link": text("../behind/x.txt", "1", "2"),
    "a module on an inserted path": text("submodule/extra1.py", "1.0", "2.0"),
    "a function that a pickle names": text("pickled.py", "1.0", "2.0"),
    "an object of a package by name": text("submodule/named.py", "1.0", "2.0"),
    "the order of definitions": text(
        "submodule/ordered.py", "    def s1(self): ...\n    def s2", "    def s2(self): ...\n    def s1"
    ),
    "a docstring": text("submodule/described.py", "1", "2"),
    "a local name": text("submodule/framed.py", "x1", "x2"),
    "data beside a module": text("submodule/number.txt", "1", "2"),
    "a lower-case variable": variable("my_base"),
    "a variable that is only looked for": variable("LOOKED_FOR"),
    "a variable with a default": variable("DEFAULT"),
    "popen": text("scripts/popen.sh", "1", "2"),
    "system": text("scripts/system.sh", "1", "2"),
    "posix_spawn": text("scripts/posix.sh", "1", "2"),
    "asyncio": text("scripts/asyncio.sh", "1", "2"),
    "data of a started Python": text("scripts/x.txt", "1", "2"),
    "a module of a started Python": text("scripts/low.py", "1", "2"),
    "a variable of a started Python": variable("STARTED"),
    "os.path.exists": appears("override1"),
    "Path.is_file": appears("override2"),
    "try open": appears("override3"),
    "os.access": appears("override4"),
    "a folder that is not there": folder_appears,
    "a library": rebuilt,
    "a database with a log": row,
}


def make(pytester, monkeypatch, way):
    """Write the project; its data elsewhere lie beside it, and temporary files in another place than usual."""
    root = pytester.mkdir("project")
    for name, content in PLAIN.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content, encoding="utf-8")
    for name in ("elsewhere", "behind", "temporary"):
        pytester.mkdir(name)
        (pytester.path / name / "x.txt").write_text("1", encoding="utf-8")
    (root / "link").symlink_to("../behind")
    (root / "rows").mkdir()
    database = sqlite3.connect(root / "rows" / "wal.db")
    database.execute("pragma journal_mode = wal")
    database.execute("create table numbers as select 1 as x")
    database.commit()
    database.close()
    shutil.copy(min(Path(np.__file__).parent.rglob("*.so"), key=lambda path: path.stat().st_size), root / "lib.so")
    monkeypatch.setenv("DATA_ROOT", str(pytester.path / "elsewhere"))
    monkeypatch.setenv("TMPDIR", str(pytester.path / "temporary"))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.chdir(root)
    pytester._path = root
    make_project(pytester, way, TRAINER)
    ini = root / "tox.ini"
    ini.write_text(ini.read_text(encoding="utf-8") + "\nexprun_inputs = declared.py\n", encoding="utf-8")
    return root


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the library is Linux's")
@pytest.mark.parametrize("way", TABLES)
def test_no_stored_run_stands_when_an_answer_changes(pytester, monkeypatch, way):
    """Whatever is asked, and wherever the run is performed; nothing that stayed as it was keeps a run from standing."""
    root = make(pytester, monkeypatch, way)
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)
    frozen = ("-p", "no:cacheprovider", "--exprun-mode=frozen")
    pytester.runpytest_inprocess(*frozen).assert_outcomes(passed=1)
    unnoticed = []
    for name, change in CHANGES.items():
        undo = change(root, monkeypatch)
        stale = pytester.runpytest_inprocess(*frozen)
        if "seed 42, 137, 256, 512, 1024 of no flags" not in stale.stdout.str():
            unnoticed.append(name)
        undo()
    assert unnoticed == []
    pytester.runpytest_inprocess(*frozen).assert_outcomes(passed=1)


def test_every_question_has_a_change():
    """The two tables are about the same."""
    asked = [
        line.strip().split('"')[1]
        for line in TRAINER.partition("ASKS = {")[2].partition("\n}\n")[0].splitlines()
        if '":' in line
    ]
    assert asked == list(CHANGES)
    assert os.sep == "/"
