"""The folder where processes note what they hear."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pytest_exprun.terms.errors import TrainerError
from pytest_exprun.trust.files.notes import NotesFolder, parse
from pytest_exprun.trust.files.started_python import END, Notes


def test_a_note_that_was_cut_off_says_nothing(tmp_path):
    """A process that is killed while it notes something leaves a beginning; names may hold anything."""
    (tmp_path / Notes.FILE).touch()
    names = ["/a b\r\x85.txt", "/c\nd", "/\udcff"]
    for name in names:
        Notes(str(tmp_path)).note("r", name)
    notes = (tmp_path / Notes.FILE).read_bytes() + b"r12" + END + b"l1."
    assert [(kind, name) for kind, _, name in parse(notes) if name] == [("r", name) for name in names]


def test_no_place_for_notes_is_one_line(tmp_path, monkeypatch):
    """A full temporary folder is the user's to empty; the next run tries again."""
    with monkeypatch.context() as broken:
        broken.setattr("tempfile.tempdir", str(tmp_path / "none"))
        with pytest.raises(
            TrainerError, match=r"cannot be noted among temporary files \(.*none.*\): make room there, or set"
        ):
            NotesFolder()


def test_the_folder_of_the_notes_goes_with_the_process(tmp_path):
    """Nothing is left among temporary files; a forked process leaves it to the first one."""
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom pytest_exprun.trust.files.accesses import OPENED\nOPENED.listen()\n"
        "if os.fork() == 0:\n    sys.exit()\nos.wait()\nprint(Path(OPENED._folder.path).is_dir())\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
    assert done.stdout == "True\n"
    assert list(tmp_path.iterdir()) == []
