"""Pythons that a run starts tell what they ask for, however they are started, and see nothing of it."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_exprun.trust.files.accesses import OpenedFiles


def read(name):
    """Read a file, in a process of its own."""
    return Path(name).read_text(encoding="utf-8")


def spawned(method):
    """Return a way to read in a process that multiprocessing starts."""

    def start(root):
        process = multiprocessing.get_context(method).Process(target=read, args=(str(root / "a.txt"),))
        process.start()
        process.join()

    return start


WAYS = {
    "subprocess": lambda root: subprocess.run([sys.executable, "-c", "open('a.txt').read()"], cwd=root, check=True),
    "a shell": lambda root: subprocess.run(  # noqa: S602  # what trainers write
        f"cd {root} && {sys.executable} -c \"open('a.txt').read()\"", shell=True, check=True
    ),
    "os.system": lambda root: os.system(f"cd {root} && {sys.executable} -c \"open('a.txt').read()\""),  # noqa: S605
    "a grandchild": lambda root: subprocess.run(
        [
            sys.executable,
            "-c",
            "import subprocess, sys; subprocess.run([sys.executable, '-c', 'open(\"a.txt\").read()'])",
        ],
        cwd=root,
        check=True,
    ),
    "spawn": spawned("spawn"),
    "forkserver": spawned("forkserver"),
}


@pytest.mark.parametrize("way", WAYS)
def test_it_is_heard(tmp_path, way):
    """A file that it reads; and what it was given is gone afterwards."""
    (tmp_path / "a.txt").write_text("1", encoding="utf-8")
    before = dict(os.environ)
    files = OpenedFiles()
    with files.recording(tmp_path):
        WAYS[way](tmp_path)
    assert tmp_path / "a.txt" in files.files(tmp_path)
    assert dict(os.environ) == before


def test_variables_that_a_program_sets_itself_are_no_answers(tmp_path, monkeypatch):
    """A launcher gives each process its rank; what the session's environment gave counts."""
    monkeypatch.setenv("GIVEN", "1")
    code = "import os; os.environ.get('GIVEN'); os.environ.get('RANK_OF_MINE'); os.environ.get('NOT_THERE')"
    files = OpenedFiles()
    with files.recording(tmp_path):
        subprocess.run([sys.executable, "-c", code], env={**os.environ, "RANK_OF_MINE": "3"}, check=True)
    assert {"GIVEN", "NOT_THERE"} <= set(files.variables())
    assert "RANK_OF_MINE" not in files.variables()


def test_no_compiled_file_of_the_project_is_run(tmp_path):
    """It passes for current after an edit of the same second and size."""
    (tmp_path / "mod.py").write_text("x = 1\n", encoding="utf-8")
    os.utime(tmp_path / "mod.py", (1_700_000_000, 1_700_000_000))
    files, outputs = OpenedFiles(), []
    for text in ("x = 1\n", "x = 2\n"):
        (tmp_path / "mod.py").write_text(text, encoding="utf-8")
        os.utime(tmp_path / "mod.py", (1_700_000_000, 1_700_000_000))
        with files.recording(tmp_path):
            command = [sys.executable, "-c", "import mod; print(mod.x)"]
            outputs.append(subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout)
    assert outputs == ["1\n", "2\n"]
    assert files.sources(tmp_path) == [tmp_path / "mod.py"]


def test_the_folder_of_the_notes_goes_with_the_process(tmp_path):
    """Nothing is left among temporary files; a forked process leaves it to the first one."""
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom pytest_exprun.trust.files.accesses import OPENED\nOPENED.listen()\n"
        "if os.fork() == 0:\n    sys.exit()\nos.wait()\nprint(Path(OPENED._folder).is_dir())\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
    assert done.stdout == "True\n"
    assert list(tmp_path.iterdir()) == []
