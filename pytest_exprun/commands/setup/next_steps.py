"""What to type after `exprun init`: commands that can be pasted, each with what it is for."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_exprun.terms.errors import RefusedError
from pytest_exprun.trust.trees.git import Git, is_ignored, refuse_bare

PATCH = "exprun-init.patch"
_NOT_IN_ONE = "not a git repository"
"""How git says that a folder is in no repository."""
_NO_REPOSITORY = (
    "exprun try compares states in git, and this folder is in no repository: name data and outputs in .gitignore, "
    "then git init, as below"
)


@dataclass(frozen=True)
class Place:
    """What git knows of a folder.

    Attributes:
        trouble: why it can say nothing: it is not installed, or refuses to look at the folder.
        is_repository: the folder is in a working tree.
        has_commit: something was committed there.
    """

    trouble: str = ""
    is_repository: bool = False
    has_commit: bool = False

    @classmethod
    def of(cls, folder: Path) -> Place:
        """Look at a folder.

        Raises:
            RefusedError: it is a bare repository, where no file can be.
        """
        git = Git(folder)
        refuse_bare(folder)
        try:
            inside = git("rev-parse", "--is-inside-work-tree").strip() == "true"
        except RefusedError as error:
            return cls(trouble="" if _NOT_IN_ONE in str(error) else str(error))
        try:
            git("rev-parse", "--verify", "--quiet", "HEAD")
        except RefusedError:
            return cls(is_repository=inside)
        return cls(is_repository=inside, has_commit=True)

    def notes(self) -> list[str]:
        """Say what `exprun try` lacks."""
        if self.trouble:
            return [f"exprun try needs git: {self.trouble}"]
        return [] if self.is_repository else [_NO_REPOSITORY]

    def commit(self, files: Iterable[Path]) -> list[str]:
        """Return the commands that commit these files, all there are where there was no commit yet; none where git cannot."""
        if self.trouble:
            return []
        begin = [] if self.is_repository else ["git init"]
        if not self.has_commit:
            return [*begin, "git add .", 'git commit -m "how to train"']
        names = dict.fromkeys(os.path.relpath(each) for each in files if not is_ignored(each.absolute()))
        return [f"git add {shlex.join(names)}", 'git commit -m "how to train"'] if names else []

    @staticmethod
    def is_committed(path: Path) -> bool:
        """Whether a file is in the last commit as it is."""
        try:
            return not Git(path.absolute().parent)("status", "--porcelain", "--", path.name)
        except RefusedError:
            return False


def next_steps(place: Place, *, patched: bool, files: Iterable[Path], test: Path | None) -> Iterator[tuple[str, str]]:
    """Return commands, each with what it is for.

    Args:
        place: what git knows of the folder.
        patched: there is a patch to apply.
        files: what must be in a commit, besides the patch, which must not.
        test: the first experiment, None where none was written.
    """
    apply = [f"patch -p1 < {PATCH}" if place.trouble else f"git apply {PATCH}", f"rm {PATCH}"] if patched else []
    if first := [*apply, *place.commit(files)]:
        yield " && ".join(first), ""
    if not place.trouble:
        yield "exprun try", "after an edit: that edit against the commit"
    if test is not None:
        chosen = f"pytest {shlex.quote(os.path.relpath(test.parent))}/ -k {test.stem.removeprefix('test_')}"
        yield chosen, "or by a flag; its cost: --exprun-mode=plan"
