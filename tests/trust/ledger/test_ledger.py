"""The ledger's file: whole lines, whoever else writes, dies or finds the disk full."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_exprun.terms.errors import StoreError
from pytest_exprun.trust.ledger import chain
from pytest_exprun.trust.ledger import ledger as ledger_module
from pytest_exprun.trust.ledger.ledger import Ledger
from pytest_exprun.trust.store.filesystem import FileSystem
from tests.stored import Failing

ROOT = Path(__file__).parents[3]
WRITER = """
import sys
from pathlib import Path
from pytest_exprun.trust.ledger.ledger import Ledger
for number in range(int(sys.argv[3])):
    Ledger(Path(sys.argv[1])).append("asked", {"id": f"{sys.argv[2]}-{number}"})
"""


@pytest.fixture
def ledger(tmp_path):
    """Return a ledger that is not there yet."""
    return Ledger(tmp_path / "store")


def ids(ledger):
    """Return what was asked, in order."""
    return [each["id"] for each in ledger.entries()]


def test_there_is_none_before_the_first_line(ledger):
    """Nothing is made by reading."""
    assert (ledger.head, ledger.entries(), ledger.verified().faults) == ("", [], ())
    assert not ledger.root.exists()


def test_lines_are_added_and_come_back(ledger):
    """In order, with their kind and time, each tied to the one before; the head is what sha256sum says of the last line."""
    heads = [ledger.append("asked", {"id": "a", "flags": ["--rope"]}), ledger.append("outcome", {"id": "a"})]
    first, second = ledger.entries()
    assert (first["kind"], first["id"], first["flags"], first["prev"]) == ("asked", "a", ["--rope"], chain.FIRST)
    assert (second["kind"], second["prev"]) == ("outcome", heads[0])
    assert first["time"] < second["time"]
    last = ledger.path.read_bytes().splitlines(keepends=True)[-1]
    assert ledger.head == heads[1] == hashlib.sha256(last).hexdigest()
    assert list(ledger.verified().heads) == heads


def test_entries_with_a_text(ledger):
    """Only the lines that have it, wherever they stand, the first and the last too."""
    for word in ("one", "two", "one", "three", "one"):
        ledger.append("asked", {"id": word})
    assert [each["id"] for each in ledger.entries('"one"')] == ["one"] * 3
    assert ledger.entries("four") == []


def test_appending_reads_the_end_only(ledger, monkeypatch):
    """However long the ledger is, and however long its last line."""
    for size in (10, 60_000, 60_000, 60_000, 10):
        ledger.append("asked", {"id": "x" * size})
    read = []
    real = os.pread
    monkeypatch.setattr(os, "pread", lambda *arguments: read.append(arguments[1]) or real(*arguments))
    monkeypatch.setattr(Ledger, "read", lambda _: pytest.fail("the whole file was read"))
    ledger.append("asked", {"id": "last"})
    assert sum(read) <= 2 * chain.MOST_BYTES
    monkeypatch.undo()
    assert ledger.verified().faults == ()


@pytest.mark.parametrize("left", [b"{", b'{"prev": "', b"x" * 200_000])
def test_a_torn_line_is_set_aside_by_the_next(ledger, left):
    """Its bytes are kept, a notice says where, and the ledger goes on from the last whole line."""
    ledger.append("asked", {"id": "a"})
    with ledger.path.open("ab") as file:
        file.write(left)
    assert ids(ledger) == ["a"]
    ledger.append("asked", {"id": "b"})
    assert ids(ledger) == ["a", "b"]
    assert ledger.verified().faults == ()
    (aside,) = (ledger.root / "quarantine").iterdir()
    assert aside.read_bytes() == left
    assert ledger.notices == [
        f"the ledger ended in {len(left)} bytes of a line whose writer died: kept as quarantine/{aside.name}"
    ]


def test_a_missing_last_line_break_costs_no_line(ledger):
    """Editors take it away; the line counts and is followed."""
    head = [ledger.append("asked", {"id": word}) for word in "ab"][-1]
    ledger.path.write_bytes(ledger.path.read_bytes()[:-1])
    assert (ledger.head, ids(ledger), len(ledger.entries('"b"'))) == (head, ["a", "b"], 1)
    ledger.append("asked", {"id": "c"})
    assert ids(ledger) == ["a", "b", "c"]
    assert (ledger.verified().faults, ledger.notices) == ((), [])


def test_a_broken_last_line_is_followed_and_named(ledger):
    """The session goes on, a notice names the command, and the check names the line."""
    for word in "ab":
        ledger.append("asked", {"id": word})
    ledger.path.write_bytes(ledger.path.read_bytes().replace(b'"b"', b'"B"'))
    ledger.append("asked", {"id": "c"})
    assert ids(ledger) == ["a", "c"]
    assert ledger.verified().faults == ((2, "its checksum does not match its content"),)
    assert ledger.notices == [
        f"the last line of {ledger.path} cannot be believed: its checksum does not match its content; see exprun ledger verify"
    ]


def test_a_clock_set_back(ledger, monkeypatch):
    """Times never decrease, so that merged ledgers have one order."""
    monkeypatch.setattr(ledger_module, "now", lambda: "2026-11-29T05:07:24.000009+00:00")
    ledger.append("asked", {"id": "a"})
    monkeypatch.setattr(ledger_module, "now", lambda: "1999-01-01T00:00:00.000000+00:00")
    ledger.append("asked", {"id": "b"})
    assert [each["time"][-15:] for each in ledger.entries()] == ["24.000009+00:00", "24.000010+00:00"]
    assert ledger.verified().faults == ()


def test_six_processes_at_once(ledger):
    """Each line is whole, none is lost, and each process's are in its order."""
    command = [sys.executable, "-c", WRITER, str(ledger.root)]
    writers = [subprocess.Popen([*command, str(number), "8"], cwd=ROOT) for number in range(6)]
    assert [writer.wait(300) for writer in writers] == [0] * 6
    found = ids(ledger)
    assert ledger.verified().faults == ()
    for number in range(6):
        assert [each for each in found if each.startswith(f"{number}-")] == [f"{number}-{place}" for place in range(8)]
    assert len(found) == 48


@pytest.mark.parametrize("operation", ["open", "write", "fsync", "close"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
@pytest.mark.parametrize("lines", [0, 2])
def test_a_failing_disk_leaves_the_ledger_as_it_was(tmp_path, operation, number, lines):
    """One line says what failed and what to do; a later line finds nothing in its way."""
    root = tmp_path / "store"
    for _ in range(lines):
        Ledger(root).append("asked", {"id": "a"})
    with pytest.raises(
        StoreError, match=rf"the ledger .*ledger.jsonl cannot be written: {os.strerror(number).lower()}; .*exprun_store"
    ):
        Ledger(root, Failing(operation, number)).append("asked", {"id": "b"})
    found = Ledger(root)
    written = ["b"] if operation == "close" else []  # it was on the disk by then
    assert (ids(found), found.verified().torn) == (["a"] * lines + written, 0)
    found.append("asked", {"id": "c"})
    assert (ids(found), found.verified().faults) == (["a"] * lines + [*written, "c"], ())


class Short(FileSystem):
    """A disk that takes some bytes of a write, and then is full."""

    def __init__(self, taken):
        self.taken = taken

    def call(self, name, *arguments):
        """Write a part, once."""
        if name != "write":
            return super().call(name, *arguments)
        if not self.taken:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        count, self.taken = os.write(arguments[0], arguments[1][: self.taken]), 0
        return count


def test_a_disk_that_is_full_in_the_middle_of_a_line(ledger):
    """The part is taken back."""
    ledger.append("asked", {"id": "a"})
    before = ledger.path.read_bytes()
    for taken in (1, 50, 120):
        with pytest.raises(StoreError, match="no space left on device"):
            Ledger(ledger.root, Short(taken)).append("asked", {"id": "b"})
        assert ledger.path.read_bytes() == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_store_that_may_not_be_written(ledger):
    """One line with the reason."""
    ledger.append("asked", {"id": "a"})
    ledger.path.chmod(0o444)
    with pytest.raises(StoreError, match="permission denied"):
        ledger.append("asked", {"id": "b"})


def test_something_else_in_its_place(ledger):
    """A folder of that name is one line of error, and no session hangs on it."""
    ledger.path.mkdir(parents=True)
    assert ledger.head == ""
    with pytest.raises(StoreError, match="is a directory"):
        ledger.append("asked", {"id": "a"})


class Killing(FileSystem):
    """Kills its process before an operation, or in the middle of a write."""

    def __init__(self, at, torn):
        self.at, self.torn, self.calls = at, torn, 0

    def call(self, name, *arguments):
        """Count down to the end."""
        self.calls += 1
        if self.calls == self.at:
            if name == "write" and self.torn:
                os.write(arguments[0], arguments[1][: self.torn])
            os.kill(os.getpid(), signal.SIGKILL)
        return super().call(name, *arguments)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="killing needs fork")
@pytest.mark.parametrize("torn", [0, 1, 40, 100])
def test_killed_at_every_step(tmp_path, torn):
    """Before each operation and inside the write: what was there stands, the line is there or not, and the next one follows."""
    kills = 0
    for lines in (0, 1, 3):
        for at in range(1, 30):
            ledger = Ledger(tmp_path / f"{lines}-{at}")
            for number in range(lines):
                ledger.append("asked", {"id": f"old-{number}"})
            child = os.fork()
            if child == 0:
                Ledger(ledger.root, Killing(at, torn)).append("asked", {"id": "killed"})
                os._exit(0)
            killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])
            kills += killed
            old = [f"old-{number}" for number in range(lines)]
            assert ids(ledger) in ([*old, "killed"], old) if killed else [*old, "killed"]
            before = ids(ledger)
            ledger.append("asked", {"id": "next"})
            assert ids(ledger) == [*before, "next"]
            assert ledger.verified().faults == ()
            if not killed:
                break
    assert kills > 10


def test_lines_are_plain_json(ledger):
    """Anybody's tools can read them."""
    ledger.append("asked", {"id": "a", "min_effect": 2.0})
    (line,) = ledger.path.read_text(encoding="utf-8").splitlines()
    assert list(json.loads(line)) == ["prev", "crc", "kind", "time", "id", "min_effect"]
