"""Durable steps on files: what is said to be written survives a power cut, and a name never changes its content.

Every call to the operating system that changes something goes through `FileSystem.call`, so that a test can fail or kill any one of them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import time
from pathlib import Path
from typing import Any

_NO_LINKS = {errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}
_NO_FOLDER_FSYNC = {errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES}
_CHUNK = 1 << 20
_CLOEXEC = getattr(os, "O_CLOEXEC", 0)


class FileSystem:
    """The store's only way to the disk. Every method raises OSError as the system gives it."""

    def call(self, name: str, *arguments: Any) -> Any:
        """Call `os.<name>`: the seam."""
        return getattr(os, name)(*arguments)

    def read(self, path: Path, limit: int) -> bytes | None:
        """Return at most `limit + 1` bytes of a regular file; None if there is none of that name, nothing of what is no file."""
        # O_NONBLOCK: a FIFO put in a record's place must not hang the session.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _CLOEXEC
        try:
            descriptor = self.call("open", path, flags)
        except (FileNotFoundError, NotADirectoryError):
            return None
        chunks: list[bytes] = []
        try:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                while sum(map(len, chunks)) <= limit and (chunk := self.call("read", descriptor, _CHUNK)):
                    chunks.append(chunk)
        finally:
            self.call("close", descriptor)
        return b"".join(chunks)

    def make_folder(self, folder: Path) -> None:
        """Make a folder and its parents, each entry durable in its parent."""
        missing = []
        while not folder.is_dir() and folder.parent != folder:
            missing.append(folder)
            folder = folder.parent
        for path in reversed(missing):
            try:
                self.call("mkdir", path)
            except FileExistsError:
                if not path.is_dir():
                    raise NotADirectoryError(errno.ENOTDIR, "a file is in the way", str(path)) from None
            self.sync_folder(path.parent)

    def publish(self, path: Path, data: bytes, temporary_folder: Path) -> bool:
        """Write a new file, complete and durable before it has its name; False, and nothing changed, if the name is taken."""
        temporary = temporary_folder / f"{path.name}-{os.getpid()}-{secrets.token_hex(4)}"
        try:
            self._write_new(temporary, data)
            published = self._give_name(temporary, path)
        finally:
            self._discard(temporary)
        if published:
            self.sync_folder(path.parent)
        return published

    def move(self, source: Path, target: Path) -> None:
        """Rename a file or folder, durably; the target's name must be new."""
        self.call("rename", source, target)
        self.sync_folder(target.parent)
        self.sync_folder(source.parent)

    def remove(self, path: Path) -> None:
        """Unlink one file."""
        self.call("unlink", path)

    def sync_folder(self, folder: Path) -> None:
        """Make a folder's entries durable, where the system can."""
        try:
            descriptor = self.call("open", folder, os.O_RDONLY | _CLOEXEC)
        except OSError as error:
            if error.errno in _NO_FOLDER_FSYNC:
                return
            raise
        try:
            self.call("fsync", descriptor)
        except OSError as error:
            if error.errno not in _NO_FOLDER_FSYNC:
                raise
        finally:
            self.call("close", descriptor)

    def _write_new(self, path: Path, data: bytes) -> None:
        descriptor = self.call("open", path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _CLOEXEC, 0o644)
        try:
            view = memoryview(data)
            while view:
                view = view[self.call("write", descriptor, view) :]
            self.call("fsync", descriptor)
        finally:
            self.call("close", descriptor)

    def _give_name(self, temporary: Path, path: Path) -> bool:
        try:
            self.call("link", temporary, path)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            if path.exists():
                return False
            # No links on this file system: two sessions may both come here, and the later record replaces the earlier; never half of one.
            self.call("rename", temporary, path)
        return True

    def _discard(self, temporary: Path) -> None:
        with contextlib.suppress(OSError):  # an orphan, removed by a later session
            self.call("unlink", temporary)


def listed(folder: Path) -> list[Path]:
    """Entries of a folder by name, none if it cannot be listed."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def remove_older(folder: Path, seconds: float) -> None:
    """Remove files that nobody has touched for so long: what killed sessions left."""
    for path in listed(folder):
        with contextlib.suppress(OSError):
            if time.time() - path.lstat().st_mtime > seconds:
                path.unlink()
