"""The directory that one run may write in: made for it, marked with a token, and removed only if it is still the one that was made."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from pytest_exprun.terms.errors import StoreError

TOKEN_FILE = ".exprun-owner"  # noqa: S105  # of ownership; no secret
_RACES = 100
_made: set[Path] = set()


@contextlib.contextmanager
def run_directory(root: Path, name: str) -> Iterator[Path]:
    """Make `<root>/<name>-<8 hex>` for one run and remove it afterwards, if it is still the directory that was made here.

    Raises:
        StoreError: it cannot be made; the message says where and what to change.
    """
    token = secrets.token_hex(16)
    path = root / f"{name}-{secrets.token_hex(4)}"
    made_root = not root.exists()
    try:
        _make_below(root, path)
        (path / TOKEN_FILE).write_text(token)
    except OSError as error:
        raise StoreError(
            f"checkpoint folder {root} cannot be written: {(error.strerror or str(error)).lower()}; "
            "set exprun_checkpoint_dir to a folder that can"
        ) from error
    _made.add(path)
    try:
        yield path
    finally:
        remove_owned(path, token)
        if made_root:
            with contextlib.suppress(OSError):
                root.rmdir()


def is_run_directory(path: Path) -> bool:
    """Whether a path was made for a run in this process; it may be gone."""
    return path in _made


def _make_below(root: Path, path: Path) -> None:
    """Make a folder and its root. Another session may remove the root, empty for it, between the two: then once more."""
    for _ in range(_RACES):
        root.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            path.mkdir()
            return
    path.mkdir()


def remove_owned(path: Path, token: str) -> bool:
    """Delete a directory that holds our token, following no link and crossing into no other file system; tell whether it is gone."""
    try:
        place = path.lstat()
        token_file = path / TOKEN_FILE
        owned = stat.S_ISDIR(place.st_mode) and not token_file.is_symlink() and token_file.read_text() == token
        if owned and not _crosses_mounts(path, place.st_dev):
            shutil.rmtree(path)
    except (OSError, ValueError):
        return not path.exists()
    return not path.exists()


def _crosses_mounts(path: Path, device: int) -> bool:
    """Whether something below is mounted: `shutil.rmtree` would delete the content of that file system."""
    if os.path.ismount(path):
        return True
    for folder, names, _ in os.walk(path):
        for name in names:
            below = Path(folder, name)
            if not below.is_symlink() and (below.lstat().st_dev != device or os.path.ismount(below)):
                return True
    return False
