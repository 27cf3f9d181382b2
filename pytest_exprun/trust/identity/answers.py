"""What a run asked of its surroundings, as labels, and what the answers are now, as digests.

A record holds both (`Record.opened`) and stands only while the answers are the same. A label's first word says how it is answered.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pytest_exprun.terms.secrets import digest, looks_secret
from pytest_exprun.trust.files.accesses import OpenedFiles
from pytest_exprun.trust.files.places import Own, is_below
from pytest_exprun.trust.identity.contents import BYTES, MOST_BYTES, MOST_FILES, NAMES, TARGET, TIMES, TREE, Watched
from pytest_exprun.trust.identity.imports import installed
from pytest_exprun.trust.identity.key import Key
from pytest_exprun.trust.identity.packages import ABSENT, package_versions

FILE, LISTED, SOURCE, VARIABLE, LIBRARY, PROGRAM, FOLDER, LINK, PACKAGE = (
    "file ",
    "names in ",
    "source ",
    "environment ",
    "library ",
    "program ",
    "times in ",
    "link ",
    "package ",
)
_HOW = {FILE: BYTES, LISTED: NAMES, SOURCE: TREE, LIBRARY: BYTES, PROGRAM: BYTES, FOLDER: TIMES, LINK: TARGET}
_HOME = "~/"
_SHARE = 100
"""Of very much data, a folder with at least a hundredth of the limit counts by the times of modification of its files."""


def hidden(name: str, root: Path) -> str:
    """Return what is kept of an environment variable: a hash. Records are committed; of what looks like a secret it is a salted one."""
    value = os.environ.get(name)
    if value is not None and looks_secret(name, value, root):
        return digest(name, value)
    return ABSENT if value is None else hashlib.sha256(value.encode("utf-8", "surrogateescape")).hexdigest()


def versions(name: str) -> str:
    """Return the versions of the package of a module and of all that it requires; `absent` if there is none."""
    found = package_versions([name])
    return ABSENT if set(found.values()) == {ABSENT} else ", ".join(f"{each} {found[each]}" for each in sorted(found))


def may_be_harmless(label: str) -> bool:
    """Whether one seed trained again may show that a change does not matter: of sources, and of data that are sources too."""
    return label.startswith(SOURCE) or (label.startswith(FILE) and label.endswith(".py"))


def unproven(changed: Iterable[str], opened: Iterable[str], key: Key) -> list[str]:
    """Name those of the changed labels that turned out to be data only: no source of that name has run."""
    ran = {*opened, *key.components}
    return [label for label in changed if label.startswith(FILE) and SOURCE + label.removeprefix(FILE) not in ran]


def _is_package_of(path: Path, sources: Collection[Path]) -> bool:
    """Whether it would be the package in the place of a module that the key names, which is looked up before each session."""
    return path.name == "__init__.py" and path.parent.with_suffix(".py") in sources


@dataclass
class Answers:
    """The answers of one session. Each is read once, and measured again after a run (`Watched.measure`).

    Attributes:
        root: the root directory, links resolved.
        own: what the plugin writes itself.
        watched: what the key names and what runs asked for, by label.
    """

    root: Path
    own: Own
    watched: dict[str, Watched] = field(default_factory=dict)
    _versions: dict[str, str] = field(default_factory=dict)

    def labels(self, files: OpenedFiles, sources: Iterable[Path], known: Iterable[Path]) -> Iterator[str]:
        """Yield a label for everything that runs asked for.

        Args:
            files: what was heard.
            sources: those that the key names.
            known: files that the key names by their bytes.
        """
        named, given = set(sources), set(known)
        data = [path for path in files.files(self.root) if path not in given and path not in self.own]
        folders = self._by_times(data)
        yield from (f"{FOLDER}{self.name(path)}" for path in folders)
        yield from (f"{FILE}{self.name(path)}" for path in data if path.parent not in folders)
        for word, paths in (
            (FILE, (path for path in files.absent(self.root) if not _is_package_of(path, named))),
            (LINK, files.links(self.root)),
            (LISTED, files.folders(self.root)),
            (LIBRARY, files.libraries(self.root)),
            (PROGRAM, files.programs(self.root)),
            (SOURCE, files.sources(self.root)),
        ):
            yield from (
                f"{word}{self.name(path)}" for path in paths if path not in named | given and path not in self.own
            )
        # The key knows those that the sources import which it names; others may be in memory already, where nobody hears an import.
        heard = {*files.modules(), *(name for path in files.sources(self.root) for name in installed(path))}
        yield from (f"{PACKAGE}{name}" for name in sorted(heard))
        yield from (f"{VARIABLE}{name}" for name in files.variables())

    def _by_times(self, data: Iterable[Path]) -> list[Path]:
        """Name the folders that are too big to be read before each session."""
        sizes: dict[Path, list[int]] = {}
        for path in data:
            sizes.setdefault(path.parent, []).append(path.stat().st_size)
        total, number = sum(map(sum, sizes.values())), sum(map(len, sizes.values()))
        if total <= MOST_BYTES and number <= MOST_FILES:
            return []
        share = (MOST_BYTES / _SHARE, MOST_FILES / _SHARE)
        return sorted(
            folder
            for folder, each in sizes.items()
            if folder != self.root and (sum(each) > share[0] or len(each) > share[1])
        )

    def name(self, path: Path) -> str:
        """Name a path from the root directory; elsewhere from the home folder, so that colleagues can share records."""
        if is_below(str(path), str(self.root)):
            return str(path)[len(str(self.root)) + 1 :] or "."
        home = Path(os.path.expanduser("~"))  # noqa: PTH111  # Path.home raises where nobody is at home
        return _HOME + path.relative_to(home).as_posix() if path.is_relative_to(home) else path.as_posix()

    def of(self, label: str) -> str:
        """Return the digest of what a label asks for, as it is now; `absent` if there is nothing."""
        if label.startswith(VARIABLE):
            return hidden(label.removeprefix(VARIABLE), self.root)
        if label.startswith(PACKAGE):
            # Once a session, as for files: a notebook may install another version between two.
            if label not in self._versions:
                self._versions[label] = versions(label.removeprefix(PACKAGE))
            return self._versions[label]
        word = next((word for word in _HOW if label.startswith(word)), None)
        if word is None:
            return ABSENT  # of a newer version
        name = label.removeprefix(word)
        path = Path(os.path.expanduser(name)) if name.startswith(_HOME) else self.root / name  # noqa: PTH111  # see `name`
        return self.watch(label, [path], _HOW[word])

    def watch(self, label: str, paths: Iterable[Path], how: str = BYTES) -> str:
        """Return the digest of some paths, read once a session."""
        if label not in self.watched:
            self.watched[label] = Watched(label, tuple(paths), self.own.folders, self.own.links, how)
        return self.watched[label].digest

    def is_heard(self, label: str) -> bool:
        """Whether a label is known only because a run asked."""
        return label.startswith(tuple(_HOW))
