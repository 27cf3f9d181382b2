"""Experiments that are diffs: which states of the files are compared, pinned when the session begins.

A ref that moves and an edit that is made afterwards change nothing any more: both arms are trees.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pytest_exprun.settings.declaration import declare_diff
from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.model import Diff, Experiment, Tree
from pytest_exprun.terms.whole_file import replace_file
from pytest_exprun.trust.trees.materialise import Trees
from pytest_exprun.trust.trees.snapshot import Commit, Repository

MERGE_BASE, HERE = "merge-base", "."


@dataclass(frozen=True)
class Diffs:
    """The diffs that the settings ask for."""

    settings: Settings

    @cached_property
    def repository(self) -> Repository:
        """Where the states come from."""
        return Repository.around(self.settings)

    @cached_property
    def trees(self) -> Trees:
        """Where they lie."""
        return Trees(self.settings, self.repository)

    def place(self, tree: Tree) -> Path:
        """Return the root directory in a tree."""
        return self.trees.place(tree)

    def declared(self) -> list[Experiment]:
        """Return one experiment a state, all against one control where they are asked for in one go.

        Raises:
            RefusedError: a name means no commit, there is no git, or no branch that work is merged into.
        """
        return list(self._declared())

    def _declared(self) -> Iterator[Experiment]:
        repository, against = self.repository, self.settings.against or MERGE_BASE
        head = repository.commit("HEAD")
        for name in self.settings.tried or (HERE,):
            tip = head if name == HERE else repository.commit(name)
            tree = repository.working_tree(repository.branch) if name == HERE else repository.tree_of(tip)
            base = self._base(tip, against)
            control = repository.tree_of(base)
            yield self._experiment(name, base, tip, control, tree)

    def _base(self, tip: Commit, against: str) -> Commit:
        """Return the control's commit: of the default branch what the tip grew from, which on that branch is its own last commit."""
        if against != MERGE_BASE:
            return self.repository.commit(against)
        return self.repository.merge_base(tip, self.repository.default_branch)

    def _experiment(self, name: str, base: Commit, tip: Commit, control: Tree, tree: Tree) -> Experiment:
        files = self.repository.changed_files(control, tree)
        patch = self.repository.changes(control, tree)
        digest = hashlib.sha256(patch).hexdigest()
        uncommitted = name == HERE and self.repository.tree_of(tip).id != tree.id
        diff = Diff(base.id, tip.id, uncommitted, tuple((file, *counts) for file, counts in files.items()), digest)
        if self.settings.mode != "plan":
            replace_file(patch_file(self.settings, digest), patch)
        label = f"{tree.name}-{tree.id[:7]}" if uncommitted else tree.name
        return declare_diff(self.settings, label, control, tree, diff)


def patch_file(settings: Settings, digest: str) -> Path:
    """Return where a diff is stored by its hash."""
    return settings.path("store") / "diffs" / f"{digest}.patch"
