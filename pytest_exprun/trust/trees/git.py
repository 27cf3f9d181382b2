"""Git as it is started for states of the code: no hook runs, nothing is cleaned up on the side, no variable of a hook leads it astray."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pytest_exprun.terms.errors import RefusedError, one_line

_QUIET = (
    *("core.hooksPath=/dev/null", "core.fsmonitor=false", "core.trustctime=false"),
    *("advice.addEmbeddedRepo=false", "gc.auto=0", "core.splitIndex=false", "core.safecrlf=false"),
)
"""What git must not do on the side. The time at which we made a file read only is no change of it."""
_OF_HOOKS = frozenset(
    {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"}
    | {"GIT_COMMON_DIR", "GIT_NAMESPACE", "GIT_PREFIX", "GIT_QUARANTINE_PATH"}
)
"""Variables that git sets for a hook, and that would lead ours to another repository or index."""


@dataclass(frozen=True)
class Git:
    """Git in a folder, with environment variables of our own."""

    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def index(self) -> Path:
        """The index that it has for itself."""
        return Path(self.variables["GIT_INDEX_FILE"])

    def __call__(self, *words: str, told: bytes = b"") -> str:
        """Return what a git command prints, as text."""
        return self.bytes(*words, told=told).decode("utf-8", "surrogateescape")

    def bytes(self, *words: str, told: bytes = b"") -> bytes:
        """Return what a git command prints.

        Raises:
            RefusedError: it failed, with its own words.
        """
        inherited = {name: value for name, value in os.environ.items() if name not in _OF_HOOKS}
        options = [word for setting in _QUIET for word in ("-c", setting)]
        try:
            done = subprocess.run(  # noqa: S603  # git
                ["git", *options, *words],  # noqa: S607  # the user's
                cwd=self.folder,
                env={**inherited, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", **self.variables},
                input=told,
                capture_output=True,
                check=False,
            )
        except FileNotFoundError:
            raise RefusedError(
                "git is not installed, and states of the project's files are compared with its help"
            ) from None
        if done.returncode:
            said = one_line(done.stderr.decode("utf-8", "replace").strip() or f"exit status {done.returncode}")
            raise RefusedError(f"git {words[0]} in {self.folder}: {said}")
        return done.stdout


def is_ignored(path: Path) -> bool:
    """Whether git leaves a file out of every state; also where no git can be asked."""
    try:
        Git(path.parent)("check-ignore", "--quiet", "--", path.name)
    except RefusedError as error:
        return not str(error).endswith("exit status 1")
    return True


def refuse_bare(folder: Path) -> None:
    """Refuse a bare repository; where no git can be asked, nothing is said.

    Raises:
        RefusedError: it is one, and `git init` would be the wrong word.
    """
    try:
        is_bare = Git(folder)("rev-parse", "--is-bare-repository").strip() == "true"
    except RefusedError:
        return
    if is_bare:
        raise RefusedError(
            f"{folder} is a bare repository, which holds no files to train with: clone it, or give it a working tree "
            "(git worktree add ../work), and start there"
        )
