"""What runs stand on: a state of the project's files, what its runs asked for, and the store as seen from there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.model import Tree, Variant
from pytest_exprun.trust.files.accesses import OPENED, OpenedFiles
from pytest_exprun.trust.files.stray_writes import Outside
from pytest_exprun.trust.identity.fingerprint import Fingerprinter
from pytest_exprun.trust.store.store import Store


@dataclass(eq=False)
class Ground:
    """One state of the files. Each has its own knowledge: what one tree's runs read says nothing of another's.

    Attributes:
        settings: of the session; on a tree with its root (`Settings.on_tree`).
        heard: what runs there asked for.
    """

    settings: Settings
    heard: OpenedFiles = OPENED

    @property
    def is_tree(self) -> bool:
        """Whether its files are not the session's own: then runs have a process of their own."""
        return self.settings.home is not None

    @cached_property
    def fingerprinter(self) -> Fingerprinter:
        """What makes the keys of its runs."""
        return Fingerprinter(self.settings, self.heard)

    @cached_property
    def store(self) -> Store:
        """The session's store, whose records are compared with the files here."""
        return Store(
            self.settings.path("store"),
            self.settings.mode in ("frozen", "plan"),
            content_of=self.fingerprinter.content_of,
            metric=self.settings.metric,
        )

    @cached_property
    def outside(self) -> Outside:
        """What its runs left outside their folders."""
        return Outside(self.settings, self.heard)


def _no_tree(tree: Tree) -> Path:
    raise AssertionError(f"nobody said where {tree} lies")


@dataclass
class Grounds:
    """The grounds of one session: its own root, and the trees that its experiments are on.

    Attributes:
        here: the session's own.
        place: where a tree's files lie, put there if need be; the root within it.
    """

    here: Ground
    place: Callable[[Tree], Path] = _no_tree
    _trees: dict[Tree, Ground] = field(default_factory=dict)

    def of(self, variant: Variant) -> Ground:
        """Return what a variant's runs stand on."""
        if variant.tree is None:
            return self.here
        if variant.tree not in self._trees:
            settings = self.here.settings.on_tree(self.place(variant.tree))
            self._trees[variant.tree] = Ground(settings, OpenedFiles())
        return self._trees[variant.tree]
