"""Every way in which a trainer reads data that its source does not name: when they change, no stored run of any seed stands."""

from __future__ import annotations

import sqlite3

import pytest

from tests.ways import TABLES, make_project

# Each way reads its own file, whose path no static reading of the source can know.
READS = """
import fileinput, glob, linecache, mmap, multiprocessing, os, pathlib, runpy, shutil, sqlite3, tempfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
NAME = "".join(["num", "ber.txt"])


def read(path):
    with open(path) as file:
        return float(file.read())


def by_descriptor(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return float(os.read(descriptor, 99))
    finally:
        os.close(descriptor)


def mapped(path):
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as memory:
        return float(memory[:])


def by_lines(path):
    with fileinput.input(path) as lines:
        return float(next(lines))


def scanned(path):
    with os.scandir(os.path.dirname(path)) as entries:
        return sum(read(entry) for entry in entries)


def from_its_folder(path):
    os.chdir(os.path.dirname(path))
    return read(os.path.basename(path))


def copied(path):
    with tempfile.TemporaryDirectory() as folder:
        return read(shutil.copy(path, folder))


def forked(path):
    ours, theirs = os.pipe()
    if os.fork() == 0:
        os.write(theirs, str(read(path)).encode())
        os._exit(0)
    os.wait()
    os.close(theirs)
    with os.fdopen(ours) as file:
        return float(file.read())


def in_a_pool(path):
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(read, [path])


def in_a_thread(path):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(read, path).result()


def from_a_database(path):
    connection = sqlite3.connect(path)
    (found,) = connection.execute("select x from numbers").fetchone()
    connection.close()
    return found


READERS = {
    "open": read,
    "read_text": lambda path: float(pathlib.Path(path).read_text()),
    "by_descriptor": by_descriptor,
    "mapped": mapped,
    "loadtxt": lambda path: float(np.loadtxt(path)),
    "fromfile": lambda path: np.fromfile(path, sep=" ")[0],
    "memmap": lambda path: float(bytes(np.memmap(path))),
    "memmap_r": lambda path: float(bytes(np.memmap(path, mode="r"))),
    "linecache": lambda path: float(linecache.getline(path, 1)),
    "fileinput": by_lines,
    "run": lambda path: runpy.run_path(path)["x"],
    "from_its_folder": from_its_folder,
    "a_link": lambda path: read(os.path.join(os.path.dirname(path), "..", "..", "".join(["li", "nk"]))),
    "listed": lambda path: sum(read(os.path.join(os.path.dirname(path), each)) for each in os.listdir(os.path.dirname(path))),
    "scanned": scanned,
    "globbed": lambda path: sum(map(read, glob.glob(os.path.dirname(path) + "/*"))),
    "rglobbed": lambda path: sum(map(read, pathlib.Path(path).parent.rglob("*.txt"))),
    "walked": lambda path: sum(read(os.path.join(top, each)) for top, _, names in os.walk(os.path.dirname(path)) for each in names),
    "copied": copied,
    "forked": forked,
    "in_a_pool": in_a_pool,
    "in_a_thread": in_a_thread,
    "database": from_a_database,
}


def main(argv):
    seed = int(argv[argv.index("--seed") + 1])
    linecache.clearcache()
    loss = seed / 1000 + sum(way(os.path.join(HERE, "data", name, NAME)) for name, way in READERS.items())
    print(f"Step 1 | val_loss: {loss}")
    return {"val_loss": loss}
"""
NAMES = [
    line.strip().split('"')[1]
    for line in READS.partition("READERS = {")[2].partition("}\n")[0].splitlines()
    if '":' in line
]


def put(root, name, value):
    """Make the file that one way reads say a number."""
    path = root / "data" / name / "number.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    if name == "database":
        path.unlink(missing_ok=True)
        connection = sqlite3.connect(path)
        connection.execute("create table numbers as select ? as x", (value,))
        connection.commit()
        connection.close()
    else:
        path.write_text(f"x = {value}" if name == "run" else str(value), encoding="utf-8")


@pytest.mark.parametrize("way", TABLES)
def test_no_stored_run_stands_when_its_data_change(pytester, way):
    """However they were read, and wherever the run was performed; put back, they stand again."""
    for name in NAMES:
        put(pytester.path, name, 1.5)
    (pytester.path / "link").symlink_to("data/a_link/number.txt")
    make_project(pytester, way, READS)
    pytester.runpytest_subprocess().assert_outcomes(passed=1)
    unnoticed = []
    for name in NAMES:
        path = pytester.path / "data" / name / "number.txt"
        before = path.read_bytes()
        put(pytester.path, name, 2.5)
        stale = pytester.runpytest_inprocess("--exprun-mode=frozen")
        if "seed 42, 137, 256, 512, 1024 of no flags" not in stale.stdout.str():
            unnoticed.append(name)
        path.write_bytes(before)
    assert unnoticed == []
    pytester.runpytest_inprocess("--exprun-mode=frozen").assert_outcomes(passed=1)
