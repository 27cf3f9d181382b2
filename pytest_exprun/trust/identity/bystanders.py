"""What else runs in a process beside its trainers: the conftest files of the tests, which may patch anything before a run.

Runs of their own processes never meet them. They are no part of a key, for `exprun why` loads none of them; they are stored with each run
as sources are that only hearing knows.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from pytest_exprun.trust.files.places import is_below
from pytest_exprun.trust.identity.imports import Closure, import_closure


def is_of_tests(file: str) -> bool:
    """Whether a file is a test module or a conftest, by its name."""
    name = os.path.basename(file)  # noqa: PTH119  # texts
    return name.startswith("test_") or name.endswith("_test.py") or name == "conftest.py"


def conftests(root: Path) -> list[Path]:
    """Return the conftest.py of every folder between the root and a test module of this process, there or not."""
    folders: set[str] = set()
    for module in list(sys.modules.values()):
        file = getattr(module, "__dict__", {}).get("__file__")  # asks no lazy module
        if isinstance(file, str) and is_of_tests(file):
            folder = os.path.dirname(file)  # noqa: PTH120  # texts
            while is_below(folder, str(root)) and folder not in folders:
                folders.add(folder)
                folder = os.path.dirname(folder)  # noqa: PTH120  # texts
    return [Path(folder, "conftest.py") for folder in sorted(folders)]


def bystanders(root: Path, trainer: Closure, search: Sequence[str]) -> Iterator[Path]:
    """Yield these files, and what one imports if it may reach the trainer: if both import one package or one file of the project."""
    for path in conftests(root):
        yield path
        if path.is_file():
            theirs = import_closure(path.stem, [str(path.parent), *search])
            if _meet(theirs.files, trainer.files) or _meet(theirs.packages - {"pytest"}, trainer.packages):
                yield from (file for file in theirs.files if file not in trainer.files)


def _meet(some: Collection[object], others: Collection[object]) -> bool:
    return any(each in others for each in some)
