"""A project in a git repository, for the tests of experiments that are diffs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from pytest_exprun.settings.settings import Settings
from pytest_exprun.trust.trees.snapshot import Repository

SOMEBODY = {f"GIT_{who}_{what}": "x@x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def sampled(first: object, *others: object) -> list[object]:
    """Return the parameters of a test that is a whole session each: the first one, and those that wait for `make slow`."""
    return [
        first,
        *(pytest.param(*(each if isinstance(each, tuple) else (each,)), marks=pytest.mark.slow) for each in others),
    ]


class Checkout:
    """A folder with a git repository on the branch `main`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *words: str, cwd: Path | None = None) -> str:
        """Return what git prints, as somebody on a machine without a configuration."""
        environment = os.environ | SOMEBODY | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        settings = ("-c", "protocol.file.allow=always")
        return subprocess.run(
            ["git", *settings, *words],
            cwd=cwd or self.root,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()

    def write(self, **files: str) -> None:
        """Write files by name; `__` in a name is a folder."""
        for name, text in files.items():
            path = self.root / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def commit(self, message: str = "change", **files: str) -> str:
        """Write files and commit everything; return the commit."""
        self.write(**files)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")

    def branch(self, name: str, **files: str) -> str:
        """Commit files on a new branch off main; leave main checked out."""
        self.git("checkout", "--quiet", "-b", name, "main")
        commit = self.commit(name, **files)
        self.git("checkout", "--quiet", "main")
        return commit

    def state(self) -> dict[str, str]:
        """Return all of a repository that its user can see or that git would act on."""
        told = {
            words: self.git(*words.split())
            for words in (
                "status --porcelain --ignored",
                "for-each-ref",
                "stash list",
                "worktree list",
                "reflog --all",
                "count-objects -v",
            )
        }
        return told | {
            "index": (self.root / ".git" / "index").read_bytes().hex(),
            "HEAD": self.git("rev-parse", "HEAD"),
        }

    def repository(self, **settings: object) -> Repository:
        """Return what we see of it."""
        return Repository.around(self.settings(**settings))

    def settings(self, **settings: object) -> Settings:
        """Return the settings of a session in its root."""
        return Settings.read({"trainer": "toy:main", **settings}, self.root)
