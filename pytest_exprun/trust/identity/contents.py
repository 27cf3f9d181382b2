"""Content of files and folders that a run depends on, as digests."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pytest_exprun.trust.identity.packages import ABSENT
from pytest_exprun.trust.identity.sources import source_digest

_STAT_TRUSTED_ABOVE = 1 << 20
# A file written within this time of being read may change again without its time stamps changing (coarse clocks of file systems).
_RACY_SECONDS = 2.0
_CHUNK = 1 << 20
# Above these, reading everything before each session would take longer than it is worth: names, sizes and times count instead.
MOST_BYTES, MOST_FILES = 1 << 30, 10_000
BYTES, NAMES, TIMES, TREE, TARGET = "bytes", "names", "times", "tree", "target"

Stamp = tuple[tuple[int, ...], ...]


@dataclass
class Watched:
    """Something on disk whose content is part of a key or of a record.

    Attributes:
        label: its name there.
        paths: files, or folders for all files below them.
        skip: folders that are left out.
        follow: links to folders that are followed; others are not.
        how: by its bytes, the names in a folder, the times of modification in a folder,
            the syntax tree of a source, or where a link leads.
        files: those whose content was read, or stood for by its time stamps, at the last measurement.
    """

    label: str
    paths: tuple[Path, ...]
    skip: frozenset[Path] = frozenset()
    follow: frozenset[Path] = frozenset()
    how: str = BYTES
    files: tuple[Path, ...] = ()
    _stamp: Stamp = ()
    _read_at: float = 0.0
    _digest: str = ""

    def __post_init__(self) -> None:
        self.digest = self.measure()

    def measure(self) -> str:
        """SHA-256 of what is there now, `absent` if it cannot be read.

        A big file whose time stamps did not move is not read again in a session; above 1 GiB or 10,000 files, names, sizes and times of
        modification stand for the content.
        """
        try:
            if self.how == NAMES:
                return _names_digest(self.paths[0])
            if self.how == TARGET:
                return hashlib.sha256(str(self.paths[0].readlink()).encode("utf-8", "surrogateescape")).hexdigest()
            below = _files_in if self.how == TIMES else partial(files_below, skip=self.skip, follow=self.follow)
            files = [file for path in self.paths for file in (below(path) if path.is_dir() else [path])]
            self.files = tuple(files)
            stamp = tuple(map(_stamp_of, files))
            if not (self._digest and stamp == self._stamp and _settled(stamp, self._read_at)):
                self._stamp, self._read_at = stamp, time.time()
                too_much = self.how == TIMES or sum(entry[0] for entry in stamp) > MOST_BYTES or len(files) > MOST_FILES
                self._digest = self._from_stamps(files, stamp) if too_much else self._read(files)
        except OSError:
            return ABSENT
        return self._digest

    def _from_stamps(self, files: list[Path], stamp: Stamp) -> str:
        lines = (
            f"{os.path.relpath(file, self.paths[0])}\0{size}\0{mtime}\n"
            for file, (size, mtime, *_) in zip(files, stamp, strict=True)
        )
        return "by time stamps " + hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()

    def _read(self, files: list[Path]) -> str:
        if len(files) == 1 and files[0] == self.paths[0]:
            is_source = self.how == TREE and files[0].suffix == ".py"
            return source_digest(files[0].read_bytes()) if is_source else file_digest(files[0])
        whole = hashlib.sha256()
        for file in files:
            name = os.path.relpath(file, self.paths[0])
            whole.update(f"{name}\0{file_digest(file)}\n".encode("utf-8", "surrogateescape"))
        return whole.hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def files_below(
    folder: Path, skip: frozenset[Path] = frozenset(), follow: frozenset[Path] = frozenset()
) -> Iterator[Path]:
    """Files below a folder in a fixed order, without hidden ones, caches, virtual environments, folders to skip, and links to others."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name == "__pycache__" or path in skip:
            continue
        if path.is_dir():
            if (path in follow or not path.is_symlink()) and not (path / "pyvenv.cfg").exists():
                yield from files_below(path, skip, follow)
        elif path.is_file():
            yield path


def _files_in(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.iterdir()) if path.is_file())


def _names_digest(folder: Path) -> str:
    names = sorted(
        path.name for path in folder.iterdir() if not path.name.startswith(".") and path.name != "__pycache__"
    )
    return hashlib.sha256("\0".join(names).encode("utf-8", "surrogateescape")).hexdigest()


def _stamp_of(path: Path) -> tuple[int, ...]:
    stat = path.stat()
    return (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_dev)


def _settled(stamp: Stamp, read_at: float) -> bool:
    """Whether equal time stamps prove equal content: big files, and changed long enough before they were read."""
    big = sum(entry[0] for entry in stamp) > _STAT_TRUSTED_ABOVE
    return big and all(max(entry[1], entry[2]) / 1e9 < read_at - _RACY_SECONDS for entry in stamp)
