"""Trees as folders: `<store>/trees/<tree id>`, each complete or absent, its files read only.

A folder is used again, by any session, as long as it is what was written; a run that left something there gets the next session a new one.
Nobody waits for anybody, and nothing is put right under a run that is on. What nobody used for some days is removed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from pytest_exprun.settings.settings import RUNS_ON_TREES, Settings
from pytest_exprun.terms.errors import StoreError, describe
from pytest_exprun.terms.model import Tree
from pytest_exprun.trust.trees.shared import link, links
from pytest_exprun.trust.trees.snapshot import Repository

_UNUSED_SECONDS = 7 * 24 * 3600
_UNFINISHED_SECONDS = 3600
"""After so long nobody writes a tree or takes a state any more: he was killed."""
_YOUNGER_SECONDS = 2
_WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
_INDEX = ".index"
_UNFINISHED = (".new-", ".index-")


@dataclass(frozen=True)
class Trees:
    """The folders of trees in one store."""

    settings: Settings
    repository: Repository

    @property
    def folder(self) -> Path:
        """Where they all are. No git sees it, whatever the store's own rules are."""
        return self.settings.path("store") / "trees"

    def place(self, tree: Tree) -> Path:
        """Return the root directory of a tree, written if need be.

        Raises:
            StoreError: it cannot be written here.
            RefusedError: git cannot.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._sweep()
            root = self._whole(tree) / self.repository.prefix
            link(self.settings, root)
        except OSError as error:
            raise StoreError(
                f"{tree} cannot be put into {self.folder}: {describe(error)}; set exprun_store to a folder with room"
            ) from None
        return root

    def _whole(self, tree: Tree) -> Path:
        for number in count():
            folder = self.folder / (f"{tree.id}-{number}" if number else tree.id)
            if not folder.exists():
                self._write(tree, folder)
            if self._is_as_written(folder):
                os.utime(folder)
                return folder
        raise AssertionError("numbers do not end")

    def _write(self, tree: Tree, folder: Path) -> None:
        """Write it beside its place and give it its name as a whole; of two who do so at once the first one wins."""
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=".new-") as new:
            files = Path(new, "files")
            files.mkdir()
            self.repository.write(tree, files, Path(new, "index"))
            # Where a filter does not give back what it was given, git takes a file for changed whenever it reads it again. It does not
            # where the index is younger: then the time stamps of what was just written are believed.
            younger = time.time() + _YOUNGER_SECONDS
            os.utime(Path(new, "index"), (younger, younger))
            for path in _files(files):
                path.chmod(path.stat().st_mode & ~_WRITABLE)
            Path(new, "index").replace(_index(folder))
            with contextlib.suppress(OSError):  # somebody else has written it meanwhile
                files.rename(folder)

    def _is_as_written(self, folder: Path) -> bool:
        """Whether a tree has the files that it was written with, and no others."""
        found = {folder / name for name in self.repository.departures(folder, _index(folder))}
        return found <= links(self.settings, folder / self.repository.prefix)

    def _sweep(self) -> None:
        """Remove what nobody has used for long, and what killed sessions left."""
        runs = self.settings.path("store") / RUNS_ON_TREES
        kept = (self.repository.objects, self.folder / ".gitignore", runs)
        for path in (*self.folder.iterdir(), *runs.glob("*")):
            folder = path.with_suffix("") if path.name.endswith(_INDEX) else path
            with contextlib.suppress(OSError):
                used = (folder if folder.exists() else path).stat().st_mtime
                allowed = _UNFINISHED_SECONDS if path.name.startswith(_UNFINISHED) else _UNUSED_SECONDS
                if path not in kept and time.time() - used > allowed:
                    remove(path)


def remove(path: Path) -> None:
    """Remove a file, or a tree with its read-only files."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink()


def _index(folder: Path) -> Path:
    return folder.with_name(folder.name + _INDEX)


def _files(folder: Path) -> Iterator[Path]:
    for place, _, names in os.walk(folder):
        yield from (path for path in (Path(place, name) for name in names) if not path.is_symlink())
