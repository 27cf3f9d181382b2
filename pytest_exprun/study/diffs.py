"""Experiments that are diffs: which states of the files are compared, pinned when the session begins.

A ref that moves and an edit that is made afterwards change nothing any more: both arms are trees.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from pytest_exprun.running.executors.contract import check_trees
from pytest_exprun.settings.declaration import STATES, apart, declare_diff
from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.errors import RefusedError, SettingsError
from pytest_exprun.terms.model import Diff, Experiment, Tree
from pytest_exprun.terms.whole_file import replace_file
from pytest_exprun.trust.trees.materialise import Trees
from pytest_exprun.trust.trees.snapshot import Commit, Repository

MERGE_BASE, HERE = "merge-base", "."
_MOST_NAMED = 3


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
            SettingsError: the executor cannot train another state of the files.
        """
        check_trees(self.settings)
        # A state by two names is one question; two that would share the name of a report are told apart.
        found = {each.comparison_id: each for each in self._declared()}
        names = Counter(each.name for each in found.values())
        return [apart(each) if names[each.name] > 1 else each for each in found.values()]

    def _declared(self) -> Iterator[Experiment]:
        repository, against = self.repository, self.settings.against or MERGE_BASE
        head = repository.commit("HEAD")
        for name in self.settings.tried or (HERE,):
            tip = head if name == HERE else repository.commit(name)
            tree = self._here if name == HERE else repository.tree_of(tip)
            base = self._base(tip, tree, against)
            control = repository.tree_of(base)
            yield self._experiment(name, base, tip, control, tree)

    def _base(self, tip: Commit, tree: Tree, against: str) -> Commit:
        """Return the control's commit: of the default branch what the tip grew from, here or at the remote, whichever is nearer.

        Commits that are not pushed yet (how to train here, in a clone of somebody else's) are no part of an edit on top of them. Where
        they are all that differs, they are what is judged.
        """
        repository = self.repository
        if against != MERGE_BASE:
            return repository.commit(against)
        pushed = repository.merge_base(tip, repository.default_branch)
        own = repository.grown_from_local(tip)
        is_nearer = own is not None and own.id != pushed.id and repository.is_ancestor(pushed, own)
        return own if is_nearer and own is not None and repository.tree_of(own).id != tree.id else pushed

    def _experiment(self, name: str, base: Commit, tip: Commit, control: Tree, tree: Tree) -> Experiment:
        uncommitted = name == HERE and self.repository.tree_of(tip).id != tree.id
        label = f"{tree.name}-{tree.id[:7]}" if uncommitted else tree.name
        tree = replace(tree, name=label)  # on the default branch both arms would be called alike
        tree, refused = self._sealed(label, control, tree)
        diff = replace(self._diff(base, tip, control, tree), uncommitted=uncommitted, refused=refused)
        return declare_diff(self.settings, label, control, tree, diff)

    def _diff(self, base: Commit, tip: Commit, control: Tree, tree: Tree) -> Diff:
        """Return what differs; the diff itself is stored."""
        patch = self.repository.changes(control, tree)
        digest = hashlib.sha256(patch).hexdigest()
        if self.settings.mode != "plan":
            replace_file(patch_file(self.settings, digest), patch)
        files = self.repository.changed_files(control, tree)
        return Diff(
            base.id,
            tip.id,
            uncommitted=False,
            files=tuple((name, *counts) for name, counts in files.items()),
            patch=digest,
        )

    def _sealed(self, label: str, control: Tree, tree: Tree) -> tuple[Tree, str]:
        """Return the state to judge, and why it may not be: whoever is judged does not write the rules.

        Raises:
            SettingsError: `exprun_sealed` names nothing.
        """
        words = self.settings.sealed
        for word in words:
            if not self.repository.matching([word], control) and not any(self.settings.root.glob(word)):
                raise SettingsError(
                    f"exprun_sealed = {word!r}: nothing of that name in {control}, nor in {self.settings.root}; allowed are paths and "
                    "globs below the root directory"
                )
        changed = self.repository.matching(words, control, tree)
        if not changed:
            return tree, ""
        if self.settings.seal == "overlay":
            return self.repository.overlaid(tree, control, words), ""
        names = ", ".join(changed[:_MOST_NAMED]) + (", ..." if changed[_MOST_NAMED:] else "")
        return tree, (
            f"{label} changes {names}, which exprun_sealed keeps as in {control}: nobody is judged by rules of its own. Take the change "
            f"out, or have it trained with the files of {control}: exprun_seal = overlay"
        )

    # Of a marked test.

    @cached_property
    def _here(self) -> Tree:
        return self.repository.working_tree(self.repository.branch)

    def on_states(self, experiment: Experiment, states: Mapping[str, str]) -> Experiment:
        """Put a marked experiment's arms on states of the code: `ref`, or `patch` on the files as they are, `against` a commit.

        Raises:
            RefusedError: a name means no commit, a patch is not there or does not apply.
        """
        repository, head = self.repository, self.repository.commit("HEAD")
        ref, patch, against = (states.get(name) for name in STATES)
        tip = repository.commit(ref) if ref else head
        base = repository.commit(against) if against else repository.merge_base(tip, head) if ref else head
        tree = repository.tree_of(tip) if ref else self._patched(patch) if patch else None
        control = repository.tree_of(base) if against or ref else None
        if tree is not None:
            tree, refused = self._sealed(experiment.name, control or self._here, tree)
        diff = replace(
            self._diff(base, tip, control or self._here, tree or self._here), refused=refused if tree else ""
        )
        return replace(
            experiment,
            variant=replace(experiment.variant, tree=tree),
            control=replace(experiment.control, tree=control),
            diff=diff,
        )

    def _patched(self, name: str) -> Tree:
        path = self.settings.root / name
        try:
            patch = path.read_bytes()
        except OSError as error:
            raise RefusedError(f"patch={name!r}: {error.strerror or error}: {path}") from None
        try:
            return self.repository.patched(self._here, patch, Path(name).stem)
        except RefusedError as error:
            raise RefusedError(f"patch={name!r} does not apply to the files as they are: {error}") from None


def patch_file(settings: Settings, digest: str) -> Path:
    """Return where a diff is stored by its hash."""
    return settings.path("store") / "diffs" / f"{digest}.patch"
