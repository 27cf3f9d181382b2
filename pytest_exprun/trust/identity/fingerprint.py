"""Everything that must agree before a stored run may stand for a new one, read without importing the trainer.

Only what can be seen before a run is in a key; what a run itself reports (data checksums, device, dtype) is compared elsewhere.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.errors import SettingsError, TrainerError
from pytest_exprun.terms.model import Budget, Variant
from pytest_exprun.trust.files.accesses import OPENED, OpenedFiles
from pytest_exprun.trust.files.known_outputs import Outputs
from pytest_exprun.trust.files.places import Own, import_path, in_tree, is_at_home, not_of_the_tree
from pytest_exprun.trust.identity.answers import SOURCE, VARIABLE, Answers, hidden
from pytest_exprun.trust.identity.bystanders import bystanders
from pytest_exprun.trust.identity.checkouts import Foreign, foreign_code, refusal
from pytest_exprun.trust.identity.command_sources import Program
from pytest_exprun.trust.identity.command_sources import components as command_components
from pytest_exprun.trust.identity.contents import Watched, file_digest
from pytest_exprun.trust.identity.imports import Closure, import_closure, locate
from pytest_exprun.trust.identity.key import SCHEMA, Key
from pytest_exprun.trust.identity.packages import ABSENT, machine, package_versions
from pytest_exprun.trust.identity.sources import source_digest

__all__ = ["Fingerprinter", "Key"]


@dataclass
class Fingerprinter:
    """Computes the keys of one session on one state of the files. What cannot change between runs is read once, at first use.

    Attributes:
        settings: of the session; on a tree with its root.
        heard: what the runs there asked for.

    Raises (from `key`):
        TrainerError: the trainer's module is not found, or what it imports is not this project's code.
        SettingsError: `exprun_inputs` names nothing.
    """

    settings: Settings
    heard: OpenedFiles = OPENED
    _unchanged: dict[Path, str] = field(default_factory=dict, init=False)

    def key(self, variant: Variant, budget: Budget, common_args: Sequence[str] = ()) -> Key:
        """Return the key of every run of one arm; a record is named by it and the seed."""
        components = {
            "schema": SCHEMA,
            "flags": json.dumps(list(variant.tokens)),
            "common args": json.dumps(list(common_args)),
            "budget": f"{budget.amount} {budget.unit}",
        }
        components |= command_components(self.settings) if self._program else {"trainer": self.settings.trainer}
        components |= self.session_components
        for token in (*common_args, *variant.flags):
            components |= self._paths_named_by(token)
        return Key(components)

    @property
    def sources(self) -> list[Path]:
        """The first-party files that run, as far as reading tells; `main` is among them."""
        return list(self._closure.files)

    @property
    def main(self) -> Path | None:
        """The script or module that is run, None where it is not one Python file."""
        if self._program is not None:
            return next((path for path in self._program.scripts if path.suffix == ".py"), None)
        return locate(self.settings.trainer.partition(":")[0], self._search)[-1].path

    @cached_property
    def session_components(self) -> dict[str, str]:
        """Components that all arms of a session share: sources, declared inputs, python, packages, environment variables, machine."""
        if self._foreign:
            raise TrainerError(refusal(self._foreign, self.settings))
        if left := [
            path for path in self._closure.files if self.settings.home and is_at_home(str(path), self.settings)
        ]:
            raise TrainerError(not_of_the_tree(left, self.settings))
        components = {f"source {label}": digest for label, (_, digest) in self._sources.items()}
        for pattern in self.settings.inputs:
            components |= self._declared(pattern)
        for word in self._program.fixed_words if self._program else ():
            components |= self._paths_named_by(word)
        for path, name in sorted(self._closure.file_names):
            components |= self._literal_file(path, name)
        components["python"] = f"{platform.python_implementation()} {sys.version}"
        components["machine"] = machine()
        components |= {
            f"package {name}": version for name, version in package_versions(sorted(self._closure.packages)).items()
        }
        asked = self._closure.environment - self._variables_told
        components |= {f"{VARIABLE}{name}": hidden(name, self.root) for name in asked}
        return components

    def sources_changed(self) -> list[str]:
        """Read sources and inputs again and name those that are not what the keys were made from. Ask after a run, before storing it."""
        changed = []
        for label, (path, digest) in self._sources.items():
            if not self._is_as_read(path, digest):
                changed.append(f"source {label}")
            elif elsewhere := self._loaded_from_elsewhere(path):
                changed.append(f"source {label} (what ran was {elsewhere})")
        watched = (each for each in self.answers.watched.values() if each.measure() != each.digest)
        return changed + [each.label for each in watched if not self._is_of_runs(each)]

    def _is_as_read(self, path: Path, digest: str) -> bool:
        """Whether a source still means what the keys were made from. The same bytes as last time need not be parsed again."""
        try:
            content = file_digest(path)
        except OSError:
            content = ABSENT
        if content != ABSENT and self._unchanged.get(path) == content:
            return True
        same = content != ABSENT and digest == (source_digest(path.read_bytes()) if path.suffix == ".py" else content)
        if same:
            self._unchanged[path] = content
        return same

    def _loaded_from_elsewhere(self, path: Path) -> str | None:
        """The file of the module that this process has under the name of `path`, if it is another: one that shadows it on sys.path."""
        if not self.settings.trains_here or self.settings.home:
            return None  # it ran in another process
        module = sys.modules.get(self._closure.names.get(path, ""))
        file = getattr(module, "__file__", None)
        return file if isinstance(file, str) and Path(file).resolve() != path.resolve() else None

    def _is_of_runs(self, watched: Watched) -> bool:
        """Whether it was only heard of because runs read it, and a run of this session has written it: then it is no input."""
        if watched.label.removeprefix("input ") in self._outputs.names:
            return True
        return self.answers.is_heard(watched.label) and all(map(self.heard.is_written, watched.paths))

    def learn_outputs(self, written: Iterable[str]) -> None:
        """Take in what a run wrote outside its folder and never read: if the sources name it, it is no input of the next session."""
        named = {
            self._label(base / name) for source, name in self._closure.file_names for base in (self.root, source.parent)
        }
        self._outputs.learn(name for name in written if name in named and name not in self.settings.inputs)

    @cached_property
    def _outputs(self) -> Outputs:
        return Outputs(self.settings.path("store"), self.root, self.heard)

    def opened(self) -> dict[str, str]:
        """Return label -> digest of what the runs of this session asked for and the key does not name, for `Store.save`.

        What changes between two runs of a session shows in `sources_changed` after the second.
        """
        # Exactly what was hashed: a declared folder leaves out hidden files and what lies behind links to folders.
        given = [
            file
            for each in self.answers.watched.values()
            if not self.answers.is_heard(each.label)
            for file in each.files
        ]
        heard = self.answers.labels(self.heard, self._closure.files, given)
        labels = [*heard, *(f"{SOURCE}{self.answers.name(path)}" for path in self._bystanders)]
        told = {f"{VARIABLE}{name}" for name in self._variables_told}
        return {
            label: self.content_of(label)
            for label in labels
            if label not in self.session_components and label not in told
        }

    def content_of(self, label: str) -> str:
        """Return the present digest of what a label of `opened` asks for; `absent` if it is gone. Files are read once a session."""
        return self.answers.of(label)

    @cached_property
    def answers(self) -> Answers:
        """What the session knows of the surroundings."""
        return Answers(self.root, Own(self.settings))

    @cached_property
    def _bystanders(self) -> list[Path]:
        """Sources that run in the process of an in-process trainer and that it does not import."""
        alone = bool(self.settings.command or self.settings.home) or self.settings.executor != "inprocess"
        return [] if alone else list(bystanders(self.root, self._closure, self._search))

    @property
    def _variables_told(self) -> set[str]:
        return set(self._program.variables) if self._program else set()

    @cached_property
    def root(self) -> Path:
        """The root directory, links resolved."""
        return self.settings.root.resolve()

    @cached_property
    def _program(self) -> Program | None:
        return Program.of(self.settings) if self.settings.command else None

    @cached_property
    def _search(self) -> list[str]:
        if self._program is not None:
            return self._program.search
        return import_path(self.settings, sys.path)

    @cached_property
    def _closure(self) -> Closure:
        importlib.invalidate_caches()
        if self._program is not None:
            return self._program.closure(declared=bool(self.settings.inputs))
        module = self.settings.trainer.partition(":")[0]
        found = locate(module, self._search)
        if len(found) < len(module.split(".")) or found[-1].path is None:
            raise TrainerError(
                f"trainer module {module!r} not found in {self.root} nor on sys.path: exprun_trainer = "
                f"{self.settings.trainer!r} must name a module:function; set it in the ini file or with --exprun-trainer"
            )
        return import_closure(module, self._search)

    @cached_property
    def _foreign(self) -> list[Foreign]:
        """What would run in place of this project's own code."""
        return list(foreign_code(self._closure.names, self.root, self._program.folders if self._program else ()))

    @cached_property
    def _sources(self) -> dict[str, tuple[Path, str]]:
        """Map label to (path, digest)."""
        return {self._label(path): (path, digest) for path, digest in sorted(self._closure.files.items())}

    def _label(self, path: Path) -> str:
        if path.is_relative_to(self.root):
            return path.relative_to(self.root).as_posix()
        for entry in self._search[1:]:
            if entry and path.is_relative_to(entry):
                return path.relative_to(entry).as_posix()
        return path.as_posix()

    def _declared(self, pattern: str) -> dict[str, str]:
        """Content of what one `exprun_inputs` entry names."""
        single = self.root / pattern
        globbed = [] if Path(pattern).is_absolute() else self.root.glob(pattern)
        paths = [single] if _is(Path.exists, single) else sorted(globbed)
        if not paths:
            raise SettingsError(
                f"exprun_inputs = {pattern!r}: nothing of that name in {self.root}; allowed are existing files, folders and globs below it"
            )
        return {f"input {pattern}": self.answers.watch(f"input {pattern}", paths)}

    def _paths_named_by(self, token: str) -> dict[str, str]:
        """Content of the files and folders that a command-line token names, from the root directory or the working directory."""
        value = token.partition("=")[2] if token.startswith("--") else token
        if not value or "\0" in value:
            return {}
        name = os.path.expanduser(value)  # noqa: PTH111  # Path.expanduser raises for an unknown user
        found = {}
        working = self._program.cwd if self._program else Path(in_tree(str(Path.cwd()), self.settings))
        for place, base in (("", self.root), (" (working directory)", working)):
            path = base / name
            if not (_is(Path.is_file, path) or _is(Path.is_dir, path)) or self.root.is_relative_to(path.resolve()):
                continue  # nothing there, a device, or a folder that holds the whole project
            if place and path.resolve() == (self.root / name).resolve():
                continue
            found[f"input {value}{place}"] = self.answers.watch(f"input {value}{place}", [path])
        return found

    def _literal_file(self, source: Path, name: str) -> dict[str, str]:
        """Content of a file that a string in the source names, relative to the root or to the source's folder."""
        for base in (self.root, source.parent):
            path = base / name
            if (
                _is(Path.is_file, path)
                and path.resolve() not in self._closure.files
                and (path.resolve().is_relative_to(base) or any(map(path.is_relative_to, self.answers.own.links)))
                and self._label(path) not in self._outputs.names
            ):
                label = f"input {self._label(path)}"
                return {label: self.answers.watch(label, [path])}
        return {}


def _is(question: Callable[[Path], bool], path: Path) -> bool:
    """Ask about a path that may be no path at all (too long, a NUL)."""
    try:
        return question(path)
    except (OSError, ValueError):
        return False
