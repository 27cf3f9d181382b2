"""Everything that must agree before a stored run may stand for a new one, read without importing the trainer.

A key is a mapping of named components, each a short text that a person can compare. Only what can be seen before a run is in it; what a
run itself reports (data checksums, device, dtype) is compared elsewhere.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.metadata
import json
import os
import platform
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pytest_exprun.errors import SettingsError, TrainerError
from pytest_exprun.imports import Closure, import_closure, locate, parse
from pytest_exprun.model import Budget, Variant
from pytest_exprun.opened import OPENED, OpenedFiles
from pytest_exprun.settings import Settings

SCHEMA = "1"
"""Raised when the meaning of a record changes, so that older records are trained again and not misread."""
QUESTION = ("flags", "source ref", "common args", "budget")
"""Components that say what is asked. The others say under which conditions it was answered."""
ABSENT = "absent"
_OPENED, _LISTED = "file ", "names in "

_COMPILED = (
    ".py",
    ".pyx",
    ".pxd",
    ".pyi",
    ".c",
    ".cc",
    ".cpp",
    ".cu",
    ".cuh",
    ".h",
    ".hpp",
    ".so",
    ".pyd",
    ".dll",
    ".dylib",
)
_CONFIGURED = (".json", ".toml", ".yaml", ".yml", ".ini", ".cfg", ".sh")
_SOURCE_SUFFIXES = frozenset({*_COMPILED, *_CONFIGURED})
# Read by development tools. A trainer that reads one of these names it in its source, or is heard reading it.
_TOOL_FILES = frozenset(
    {"pytest.ini", "tox.ini", "setup.cfg", "pyproject.toml", "mypy.ini", "ruff.toml", "package.json", "setup.py"}
)
_LONGEST_SHOWN = 80
_STAT_TRUSTED_ABOVE = 1 << 20
# A file written within this time of being read may change again without its time stamps changing (coarse clocks of file systems).
_RACY_SECONDS = 2.0
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Key:
    """What a run depends on, by component. Equal digests mean that one run may stand for the other."""

    components: Mapping[str, str]

    def __hash__(self) -> int:
        return hash(self.digest)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the canonical JSON of the components, in hex."""
        text = json.dumps(dict(self.components), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def short(self) -> str:
        """The first 12 hex digits: a folder name. Records are compared by all components, never by this."""
        return self.digest[:12]

    @property
    def question(self) -> tuple[str, ...]:
        """The components that say what is asked, whatever the code and the machine."""
        return tuple(self.components.get(name, "") for name in QUESTION)

    def changes(self, other: Key) -> list[tuple[str, str, str]]:
        """Return (component, value here, value in `other`) for each that differs; a missing one reads `absent`."""
        names = sorted({*self.components, *other.components})
        pairs = ((name, self.components.get(name, ABSENT), other.components.get(name, ABSENT)) for name in names)
        return [(name, old, new) for name, old, new in pairs if old != new]

    def may_be_equal(self, other: Key) -> bool:
        """Whether training one seed again can show that only code changed, and nothing that matters.

        So it is where sources differ, and beyond them only what the sources newly name or name no more (an input, a package, an
        environment variable); not where something that both name has another value.
        """
        changes = self.changes(other)
        sources = [change for change in changes if change[0].startswith("source ")]
        others = [change for change in changes if not change[0].startswith("source ")]
        named = ("input ", "package ", "environment ")
        return bool(sources) and all(name.startswith(named) and ABSENT in (old, new) for name, old, new in others)

    def why(self, other: Key) -> str:
        """Say in one line what differs from this key to `other`: `source train_llm.py changed; package torch 2.12.0 -> 2.13.0`."""
        return "; ".join(_say_change(*change) for change in self.changes(other)) or "nothing"


def _say_change(name: str, old: str, new: str) -> str:
    if old == ABSENT:
        return f"{name} is new"
    if new == ABSENT:
        return f"{name} is gone"
    if re.fullmatch(r"[0-9a-f]{64}", old) or (len(old) + len(new) > _LONGEST_SHOWN and name != "python"):
        return f"{name} changed"
    return f"{name} {' '.join(old.split())} -> {' '.join(new.split())}"


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _strip_docstrings(tree: ast.Module) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body[:1] = [] if len(node.body) > 1 or isinstance(node, ast.Module) else [ast.Pass()]


def source_digest(source: bytes, *, docstrings: bool = False) -> str:
    """SHA-256 of a Python source without comments, layout and (unless `docstrings`) docstrings; of the bytes if it does not parse."""
    tree = parse(source)
    return hashlib.sha256(source).hexdigest() if tree is None else tree_digest(tree, docstrings=docstrings)


def tree_digest(tree: ast.Module, *, docstrings: bool = False) -> str:
    """SHA-256 of a syntax tree, which is modified: see `source_digest`."""
    if not docstrings:
        _strip_docstrings(tree)
    try:
        text = ast.dump(tree)
    except RecursionError:
        text = repr([ast.dump(statement, indent=None) for statement in tree.body])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _files_below(folder: Path, skip: frozenset[Path]) -> Iterator[Path]:
    """Files below a folder in a fixed order, without hidden ones, caches, virtual environments and what we write ourselves."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name == "__pycache__" or path in skip:
            continue
        if path.is_dir():
            if not path.is_symlink() and not (path / "pyvenv.cfg").exists():
                yield from _files_below(path, skip)
        elif path.is_file():
            yield path


def machine() -> str:
    """`cpu x86_64`, or `cuda ...` where the device file of a GPU is visible and not hidden by CUDA_VISIBLE_DEVICES."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "all").strip() in {"", "-1", "NoDevFiles"}
    present = any(Path(device).exists() for device in ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg", "/dev/kfd"))
    return f"{'cuda' if present and not hidden else 'cpu'} {platform.machine()}"


def _distribution_of(package: str) -> importlib.metadata.Distribution | None:
    try:
        return importlib.metadata.distribution(package)
    except (importlib.metadata.PackageNotFoundError, ValueError):
        pass
    for candidate in importlib.metadata.distributions():
        if package in (candidate.read_text("top_level.txt") or "").split():
            return candidate
    for candidate in importlib.metadata.distributions():
        record = candidate.read_text("RECORD") or ""
        if f"\n{package}/" in record or record.startswith(f"{package}/") or f"\n{package}.py," in record:
            return candidate
    return None


def _requirements(distribution: importlib.metadata.Distribution) -> list[str]:
    """Names of what a distribution needs, extras left out. The header is scanned: parsing the whole text costs milliseconds."""
    names = []
    for line in (distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or "").splitlines():
        if not line:
            break
        if line.startswith("Requires-Dist:") and "extra ==" not in line:
            match = re.match(r"[A-Za-z0-9._-]+", line.removeprefix("Requires-Dist:").strip())
            names.extend([match.group()] if match else [])
    return names


def _header(distribution: importlib.metadata.Distribution, name: str) -> str:
    for line in (distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or "").splitlines():
        if line.startswith(name + ":"):
            return line.partition(":")[2].strip()
    return ""


def package_versions(packages: Sequence[str]) -> dict[str, str]:
    """Versions of the distributions behind import names and of everything these require, by normalised name.

    A name that no installed distribution provides has the version `absent`: an optional import that appears later changes the key.
    """
    versions: dict[str, str] = {}
    pending = [(name, True) for name in packages]
    while pending:
        name, imported = pending.pop()
        if _normalised(name) in versions:
            continue
        distribution = _distribution_of(name) if imported else _installed(name)
        if distribution is None:
            if imported:
                versions[_normalised(name)] = ABSENT
            continue
        versions[_normalised(name)] = _header(distribution, "Version") or "unknown"
        pending.extend((requirement, False) for requirement in _requirements(distribution))
    return versions


def _installed(name: str) -> importlib.metadata.Distribution | None:
    try:
        return importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@dataclass
class _Watched:
    """One thing on disk whose content is part of a key."""

    label: str
    paths: tuple[Path, ...]
    digest: str = ""
    stamp: tuple[tuple[int, ...], ...] = ()
    read_at: float = 0.0


@dataclass
class Fingerprinter:
    """Computes the keys of one session. What cannot change between runs is read once, at first use.

    Raises (from `key`):
        TrainerError: the trainer's module is not found.
        SettingsError: `exprun_inputs` names nothing.
    """

    settings: Settings
    _inputs: dict[str, _Watched] = field(default_factory=dict, init=False)

    def key(self, variant: Variant, budget: Budget, common_args: Sequence[str] = ()) -> Key:
        """Return the key of every run of one arm; a record is named by it and the seed."""
        components = {
            "schema": SCHEMA,
            "flags": json.dumps(list(variant.identity)),
            "common args": json.dumps(list(common_args)),
            "budget": f"{budget.amount} {budget.unit}",
            "trainer": self.settings.trainer,
        }
        if variant.ref is not None:
            components["source ref"] = variant.ref
        components |= self.session_components
        for token in (*common_args, *variant.flags):
            components |= self._paths_named_by(token)
        return Key(components)

    @cached_property
    def session_components(self) -> dict[str, str]:
        """Components that all arms of a session share: sources, declared inputs, python, packages, environment variables, machine."""
        components = {f"source {label}": digest for label, (_, digest) in self._sources.items()}
        for pattern in self.settings.inputs:
            watched = self._watch_pattern(pattern)
            components[watched.label] = watched.digest
        for path, name in sorted(self._closure.file_names):
            components |= self._literal_file(path, name)
        components["python"] = f"{platform.python_implementation()} {sys.version}"
        components["machine"] = machine()
        components |= {
            f"package {name}": version for name, version in package_versions(sorted(self._closure.packages)).items()
        }
        components |= {f"environment {name}": _hidden(os.environ.get(name)) for name in self._closure.environment}
        return components

    def sources_changed(self) -> list[str]:
        """Read sources and inputs again and name those that are not what the keys were made from. Ask after a run, before storing it."""
        changed = []
        for label, (path, digest) in self._sources.items():
            if self._hash_source(path) != digest:
                changed.append(f"source {label}")
        changed.extend(watched.label for watched in self._inputs.values() if self._digest(watched) != watched.digest)
        return changed

    def opened(self, files: OpenedFiles = OPENED) -> dict[str, str]:
        """Return label -> digest of what the runs of this process read and the key does not name, for `Store.save`.

        A file that changes between two runs of a session shows in `sources_changed` after the second.
        """
        root = self.settings.root.resolve()
        known = {*self._closure.files, *(path for path, _ in self._sources.values())}
        known |= {
            path for watched in self._inputs.values() for path in watched.paths if not watched.label.startswith(_OPENED)
        }
        found = {}
        for path in (*files.files(root), *files.folders(root)):
            if path == root or any(path == each or path.is_relative_to(each) for each in (*known, *self._own_folders)):
                continue
            label = f"{_LISTED if path.is_dir() else _OPENED}{path.relative_to(root).as_posix()}"
            found[label] = self.content_of(label)
        return found

    def content_of(self, label: str) -> str:
        """Return the digest of what a label of `opened` names, as it is on disk; `absent` if it is gone. Read once a session."""
        if label not in self._inputs:
            path = self.settings.root.resolve() / label.removeprefix(_LISTED).removeprefix(_OPENED)
            self._watch(label, [path])
        return self._inputs[label].digest

    @cached_property
    def _search(self) -> list[str]:
        root = str(self.settings.root.resolve())
        return [root, *(entry for entry in sys.path if entry != root)]

    @cached_property
    def _closure(self) -> Closure:
        module = self.settings.trainer.partition(":")[0]
        importlib.invalidate_caches()
        if len(specs := locate(module, self._search)) < len(module.split(".")) or not specs[-1].origin:
            raise TrainerError(
                f"trainer module {module!r} not found in {self.settings.root.resolve()} nor on sys.path: exprun_trainer = "
                f"{self.settings.trainer!r} must name a module:function; set it in the ini file or with --exprun-trainer"
            )
        return import_closure(module, self._search)

    @cached_property
    def _sources(self) -> dict[str, tuple[Path, str]]:
        """Map label to (path, digest), of the closure and of opaque files' whole packages too."""
        paths: dict[Path, None] = dict.fromkeys(sorted(self._closure.files))
        for path in sorted(self._closure.opaque | self._closure.placed):
            paths |= dict.fromkeys(self._package_files(path))
        sources = {}
        for path in paths:
            tree = self._closure.files.get(path)
            digest = file_digest(path) if tree is None else tree_digest(tree, docstrings=self._closure.reads_docstrings)
            sources[self._label(path)] = (path, digest)
        return sources

    def _hash_source(self, path: Path) -> str:
        try:
            if self._closure.files.get(path) is None:
                return file_digest(path)
            return source_digest(path.read_bytes(), docstrings=self._closure.reads_docstrings)
        except OSError:
            return ABSENT

    def _package_files(self, path: Path) -> Iterator[Path]:
        """What may belong to a module that hides what it reads: its whole package, bytes of everything.

        A module in no package has no such bounds: all source-like files below its folder if it is opaque, configuration files beside it
        if it reads `__file__`.
        """
        folder = path.parent
        if (folder / "__init__.py").exists():
            while (folder.parent / "__init__.py").exists():
                folder = folder.parent
            yield from _files_below(folder, self._own_folders)
        elif path in self._closure.opaque:
            yield from (file for file in _files_below(folder, self._own_folders) if _may_be_source(file))
        else:
            yield from (
                file for file in sorted(folder.iterdir()) if file.suffix in _CONFIGURED and _may_be_source(file)
            )

    @cached_property
    def _own_folders(self) -> frozenset[Path]:
        """What this plugin writes is no input of a run."""
        root = self.settings.root.resolve()
        return frozenset(root / getattr(self.settings, name) for name in ("report_dir", "store", "checkpoint_dir"))

    def _label(self, path: Path) -> str:
        root = self.settings.root.resolve()
        if path.is_relative_to(root):
            return path.relative_to(root).as_posix()
        for entry in self._search[1:]:
            if entry and path.is_relative_to(entry):
                return path.relative_to(entry).as_posix()
        return path.as_posix()

    def _watch_pattern(self, pattern: str) -> _Watched:
        """Hash what one `exprun_inputs` entry names."""
        label = f"input {pattern}"
        if label not in self._inputs:
            root = self.settings.root.resolve()
            single = root / pattern
            paths = (
                [single] if single.exists() else sorted(root.glob(pattern)) if not Path(pattern).is_absolute() else []
            )
            if not paths:
                raise SettingsError(
                    f"exprun_inputs = {pattern!r}: nothing of that name in {root}; allowed are existing files, folders and globs below it"
                )
            self._watch(label, paths)
        return self._inputs[label]

    def _watch(self, label: str, paths: Sequence[Path]) -> None:
        watched = _Watched(label, tuple(paths))
        watched.digest = self._digest(watched)
        self._inputs[label] = watched

    def _paths_named_by(self, token: str) -> dict[str, str]:
        """Content of the files and folders that a command-line token names, from the root directory or the working directory."""
        value = token.partition("=")[2] if token.startswith("--") else token
        if not value or "\0" in value:
            return {}
        name = os.path.expanduser(value)  # noqa: PTH111  # Path.expanduser raises for an unknown user
        found = {}
        for place, base in (("", self.settings.root.resolve()), (" (working directory)", Path.cwd())):
            path = base / name
            if not _exists(path) or (place and path.resolve() == (self.settings.root.resolve() / name)):
                continue
            label = f"input {value}{place}"
            if label not in self._inputs:
                self._watch(label, [path])
            found[label] = self._inputs[label].digest
        return found

    def _literal_file(self, source: Path, name: str) -> dict[str, str]:
        """Content of a file that a string in the source names, relative to the root or to the source's folder."""
        for base in (self.settings.root.resolve(), source.parent):
            path = base / name
            if _is_file(path) and path.resolve() not in self._closure.files and path.resolve().is_relative_to(base):
                label = f"input {self._label(path)}"
                if label not in self._inputs:
                    self._watch(label, [path])
                return {label: self._inputs[label].digest}
        return {}

    def _digest(self, watched: _Watched) -> str:
        """Hash of all files with their relative names. A big file whose time stamps did not move is not read again."""
        if watched.label.startswith(_LISTED):
            return _names_digest(watched.paths[0])
        files = [
            file
            for path in watched.paths
            for file in ([path] if path.is_file() else _files_below(path, self._own_folders))
        ]
        try:
            stamp = tuple(_stamp(file) for file in files)
            if watched.digest and stamp == watched.stamp and _settled(stamp, watched.read_at):
                return watched.digest
            watched.stamp, watched.read_at = stamp, time.time()
            if len(files) == 1 and files[0] == watched.paths[0]:
                is_source = watched.label.startswith(_OPENED) and files[0].suffix == ".py"
                return source_digest(files[0].read_bytes()) if is_source else file_digest(files[0])
            whole = hashlib.sha256()
            for file in files:
                whole.update(
                    f"{os.path.relpath(file, watched.paths[0])}\0{file_digest(file)}\n".encode(
                        "utf-8", "surrogateescape"
                    )
                )
            return whole.hexdigest()
        except OSError:
            return ABSENT


def _names_digest(folder: Path) -> str:
    try:
        names = sorted(name for name in os.listdir(folder) if not name.startswith(".") and name != "__pycache__")  # noqa: PTH208  # names
    except OSError:
        return ABSENT
    return hashlib.sha256("\0".join(names).encode("utf-8", "surrogateescape")).hexdigest()


def _stamp(path: Path) -> tuple[int, ...]:
    stat = path.stat()
    return (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_dev)


def _settled(stamp: tuple[tuple[int, ...], ...], read_at: float) -> bool:
    """Whether equal time stamps prove equal content: big files, and changed long enough before they were read."""
    size = sum(entry[0] for entry in stamp)
    return size > _STAT_TRUSTED_ABOVE and all(
        max(entry[1], entry[2]) / 1e9 < read_at - _RACY_SECONDS for entry in stamp
    )


def _hidden(value: str | None) -> str:
    """An environment variable's value may be a secret and records are committed: only a hash of it is kept."""
    return ABSENT if value is None else hashlib.sha256(value.encode("utf-8", "surrogateescape")).hexdigest()


def _may_be_source(path: Path) -> bool:
    is_test = path.name.startswith("test_") or path.name == "conftest.py"
    return path.suffix in _SOURCE_SUFFIXES and not is_test and path.name not in _TOOL_FILES and path.is_file()


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
