"""Which files a run reads, heard from the interpreter."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import pytest

from pytest_exprun.trust.files.accesses import OpenedFiles
from pytest_exprun.trust.files.audit_hook import kinds_of_open


@pytest.fixture
def heard(tmp_path):
    """Return a function that performs something while recording and gives the names of what was heard read."""
    (tmp_path / "a.txt").write_text("a", encoding="utf-8")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "b.txt").write_text("b", encoding="utf-8")

    def hear(action):
        files = OpenedFiles()
        with files.recording():
            action(tmp_path)
        return [path.relative_to(tmp_path).as_posix() for path in (*files.files(tmp_path), *files.folders(tmp_path))]

    return hear


def in_a_thread(root):
    """Read a file in another thread."""
    thread = threading.Thread(target=(root / "a.txt").read_bytes)
    thread.start()
    thread.join()


def in_a_forked_process(root):
    """Read a file as a data-loader worker does."""
    if os.fork() == 0:
        (root / "a.txt").read_bytes()
        os._exit(0)
    os.wait()


READS = {
    "forked": in_a_forked_process,
    "open": lambda root: open(root / "a.txt", encoding="utf-8").close(),  # noqa: PTH123  # what trainers write
    "os.open": lambda root: os.close(os.open(root / "a.txt", os.O_RDONLY)),
    "read_bytes": lambda root: (root / "a.txt").read_bytes(),
    "bytes path": lambda root: open(os.fsencode(root / "a.txt"), "rb").close(),  # noqa: PTH123  # see above
    "thread": in_a_thread,
}


@pytest.mark.parametrize("how", READS)
def test_every_way_to_read_is_heard(heard, how):
    """The file is named once, however it was opened."""
    assert heard(READS[how]) == ["a.txt"]


def test_a_relative_path(heard, monkeypatch):
    """It is resolved from the working directory at the time."""

    def read(root):
        monkeypatch.chdir(root)
        Path("a.txt").read_bytes()

    assert heard(read) == ["a.txt"]


@pytest.mark.parametrize(
    "listing",
    [
        lambda r: os.listdir(r / "folder"),  # noqa: PTH208  # what trainers write
        lambda r: list((r / "folder").glob("*")),
    ],
)
def test_listed_folders_are_heard(heard, listing):
    """A run that looks what is there depends on what is there."""
    assert heard(listing) == ["folder"]


@pytest.mark.parametrize(
    "listing",
    [lambda r: [each.stat().st_size for each in os.scandir(r / "folder")], lambda r: list(os.fwalk(r / "folder"))],
)
def test_entries_of_a_listed_folder_tell_their_sizes_without_an_event(heard, listing):
    """So the files count too where the project's own code has the entries, or the descriptor of the folder."""
    assert heard(listing) == ["folder/b.txt", "folder"]


def test_compiled_files_are_no_entries_of_runs(heard):
    """Python puts them into a folder of plugins that is listed: one more plugin is one more."""

    def compile_there(root):
        list((root / "folder").iterdir())
        (root / "folder" / "__pycache__").mkdir()
        (root / "folder" / "__pycache__" / "b.pyc").touch()

    assert heard(compile_there) == ["folder"]


def test_links_that_were_followed(tmp_path, monkeypatch):
    """Where they led; not those that runs made, nor the way to the root directory itself."""
    root, files = tmp_path / "root", OpenedFiles()
    root.mkdir()
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "data").symlink_to("v1")
    (root / "data").symlink_to("../v1")
    (tmp_path / "way").symlink_to("root")
    with files.recording():
        for each in ("data", "root/data", "way"):
            (tmp_path / each).resolve()
        (root / "latest").symlink_to("run-1")
        (root / "latest").resolve()
    assert files.links(root) == [tmp_path / "data", root / "data"]


def test_what_a_run_writes_is_no_input(heard):
    """A file that is written, before or after it is read, and a folder in which the run makes something."""

    def write(root):
        (root / "a.txt").read_bytes()
        (root / "a.txt").write_bytes(b"new")
        list((root / "folder").iterdir())
        (root / "folder" / "run-1").mkdir()

    assert heard(write) == []


def test_what_is_opened_for_writing_and_left_alone_is_an_input(heard, tmp_path):
    """numpy.memmap opens data as r+ unless told otherwise."""
    os.utime(tmp_path / "a.txt", (1, 1))
    time.sleep(0.05)  # utime is a change too, of the other stamp

    def read(root):
        with (root / "a.txt").open("r+b") as file:
            file.read()

    assert heard(read) == ["a.txt"]


@pytest.mark.parametrize(
    ("mode", "flags", "kinds"),
    [
        ("r", 0, "r"),
        ("rb", 0, "r"),
        ("w", 0, "w"),
        ("wb+", 0, "w"),
        ("x", 0, "w"),
        ("a", 0, "w"),
        ("r+b", 0, "rw"),
        ("a+", 0, "rw"),
        (None, os.O_RDONLY, "r"),
        (None, os.O_WRONLY | os.O_CREAT | os.O_APPEND, "w"),
        (None, os.O_RDWR | os.O_CREAT, "rw"),
        (None, os.O_RDWR | os.O_CREAT | os.O_EXCL, "w"),
        (None, os.O_RDWR | os.O_TRUNC, "w"),
        (None, None, "r"),
    ],
)
def test_what_a_mode_means(mode, flags, kinds):
    """What can be read as it was is an input as well as an output."""
    assert kinds_of_open(mode, flags) == kinds


TOOL_FILES = (".git/HEAD", "__pycache__/x.txt", ".venv/pyvenv.cfg", ".venv/lib/x.txt", "lib/site-packages/x.txt")


def test_what_tools_write_does_not_count(heard, tmp_path_factory):
    """`.git`, caches, virtual environments and temporary files."""
    outside = tmp_path_factory.mktemp("outside") / "x.txt"
    outside.write_text("", encoding="utf-8")

    def read(root):
        for name in TOOL_FILES:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        outside.read_bytes()
        for name in TOOL_FILES:
            (root / name).read_bytes()

    assert heard(read) == []


def test_a_hidden_folder_counts(heard, tmp_path):
    """Data lie in `.data/` and `.cache/hf` too."""
    (tmp_path / ".cache" / "hf").mkdir(parents=True)
    (tmp_path / ".cache" / "hf" / "a.bin").touch()
    assert heard(lambda root: (root / ".cache" / "hf" / "a.bin").read_bytes()) == [".cache/hf/a.bin"]


def test_a_hidden_file_counts(heard):
    """`.env` is read by trainers."""
    assert heard(lambda root: ((root / ".env").touch(), (root / ".env").read_bytes(), None)[2]) == []

    def read(root):
        (root / ".env").read_bytes()

    assert heard(read) == [".env"]


def test_outside_the_block_nothing_is_heard(tmp_path):
    """Before and after a recording the hook is deaf."""
    (tmp_path / "a.txt").touch()
    files = OpenedFiles()
    (tmp_path / "a.txt").read_bytes()
    with files.recording():
        pass
    (tmp_path / "a.txt").read_bytes()
    assert files.files(tmp_path) == []


def test_an_import_is_heard_as_its_source(tmp_path, monkeypatch):
    """A module read from its compiled file counts as the source; the import system's own listing of folders does not count."""
    (tmp_path / "heard_module.py").write_text("x = 1\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    found = []
    for _ in range(2):
        files = OpenedFiles()
        with files.recording():
            __import__("heard_module")
        del sys.modules["heard_module"]
        found.append(
            [path.name for path in (*files.sources(tmp_path), *files.files(tmp_path), *files.folders(tmp_path))]
        )
    assert found == [["heard_module.py"], ["heard_module.py"]]


def test_odd_arguments_are_no_error(tmp_path, monkeypatch):
    """Descriptors, None, and a working directory that is gone."""
    files = OpenedFiles()
    gone = tmp_path / "gone"
    gone.mkdir()
    with files.recording():
        os.fdopen(os.dup(0), "rb").close()
        os.listdir()  # noqa: PTH208  # without an argument
        monkeypatch.chdir(gone)
        gone.rmdir()
        with pytest.raises(FileNotFoundError):
            Path("x").read_bytes()
    assert files.files(tmp_path) == []
