"""The first-party import closure of a module, found by reading source and never by importing it.

A static reading cannot see everything: what it misses is heard when a run asks for it (`trust.files.accesses`). It names what can be named
before the first run.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import NamedTuple

from pytest_exprun.trust.identity.contents import file_digest
from pytest_exprun.trust.identity.sources import parse, source_digest

_IMPORT_CALLS = frozenset({"import_module", "__import__"})
_ENVIRONMENT_CALLS = frozenset({"getenv", "get", "pop", "setdefault"})
_LONGEST_NAME = 255
_FILE_LIKE = re.compile(r"[\w.~/\\ -]*[./\\][\w. -]+")
_INSTALLED = frozenset({"site-packages", "dist-packages"})
_STDLIB = str(Path(os.__file__).resolve().parent)


@dataclass
class Facts:
    """What one file says about other files, and the environment variables that it asks for by a literal name."""

    imports: set[tuple[int, str, tuple[str, ...]]] = field(default_factory=set)
    environment: set[str] = field(default_factory=set)
    file_names: set[str] = field(default_factory=set)


@dataclass
class Closure:
    """All that a module imports, directly or not.

    Attributes:
        files: first-party files -> the digest that each counts by.
        names: their dotted names as modules.
        packages: top-level names of third-party imports.
        environment: names of environment variables that the sources ask for by a literal name.
        file_names: string literals that could name a file.
    """

    files: dict[Path, str] = field(default_factory=dict)
    names: dict[Path, str] = field(default_factory=dict)
    packages: set[str] = field(default_factory=set)
    environment: set[str] = field(default_factory=set)
    file_names: set[tuple[Path, str]] = field(default_factory=set)


class Found(NamedTuple):
    """A module that was found: its dotted name and where it would be loaded from."""

    name: str
    spec: ModuleSpec

    @property
    def path(self) -> Path | None:
        """Its file, None for a namespace package and what is built in."""
        return Path(self.spec.origin).absolute() if self.spec.has_location and self.spec.origin else None

    @property
    def is_package(self) -> bool:
        """Whether it may have submodules."""
        return self.spec.submodule_search_locations is not None


def locate(name: str, search: Sequence[str]) -> list[Found]:
    """Find a dotted name and its parents, outermost first; shorter than the name where it ends in an attribute. Nothing is executed."""
    found: list[Found] = []
    path: Sequence[str] | None = search
    parts = name.split(".")
    for depth, part in enumerate(parts):
        # Asked for by its last part alone: for a namespace package inside another the full name would ask for its parent's import.
        spec = PathFinder.find_spec(part, path) if path else None
        if spec is None and depth == 0:
            spec = _from_hooks(part)
        if spec is None:
            break
        found.append(Found(".".join(parts[: depth + 1]), spec))
        path = list(spec.submodule_search_locations or ())
    return found


def _from_hooks(name: str) -> ModuleSpec | None:
    """Ask the finders that editable installs put beside PathFinder. A top-level name has no parent to execute."""
    for finder in sys.meta_path:
        module = getattr(finder, "__module__", "")
        if module.startswith("__editable__"):
            spec = finder.find_spec(name, None)
            if spec is not None:
                return spec
    return None


def is_first_party(path: Path) -> bool:
    """Whether a file belongs to the user: neither the standard library nor an installed package."""
    return not (_INSTALLED & set(path.parts)) and not str(path).startswith(_STDLIB + os.sep)


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _may_name_a_file(text: str) -> bool:
    return len(text) <= _LONGEST_NAME and _FILE_LIKE.fullmatch(text) is not None


def _literal(args: Sequence[ast.expr]) -> str | None:
    first = args[0] if args else None
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None


def _read_call(node: ast.Call, facts: Facts) -> None:
    name = _last_name(node.func)
    literal = _literal(node.args)
    if name in _IMPORT_CALLS and literal and not literal.startswith("."):
        facts.imports.add((0, literal, ()))
    elif name in _ENVIRONMENT_CALLS and literal:
        owner = node.func.value if isinstance(node.func, ast.Attribute) else None
        if name == "getenv" or (owner is not None and _last_name(owner) == "environ"):
            facts.environment.add(literal)


def _read_node(node: ast.AST, facts: Facts) -> None:
    if isinstance(node, ast.Import):
        facts.imports.update((0, alias.name, ()) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        facts.imports.add((node.level, node.module or "", tuple(alias.name for alias in node.names)))
    elif isinstance(node, ast.Call):
        _read_call(node, facts)
    elif isinstance(node, ast.Subscript) and _last_name(node.value) == "environ":
        literal = _literal([node.slice])
        facts.environment.update([literal] if literal else [])
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        facts.file_names.update([node.value] if _may_name_a_file(node.value) else [])


def read_facts(tree: ast.Module) -> Facts:
    """Walk a syntax tree once and note what it imports and reads."""
    facts = Facts()
    for node in ast.walk(tree):
        _read_node(node, facts)
    return facts


def _absolute(imports: set[tuple[int, str, tuple[str, ...]]], package: str) -> Iterator[str]:
    """Turn what the import statements of a module in `package` say into absolute dotted names that may be modules."""
    for level, module, names in sorted(imports):
        base = package.split(".") if level else []
        base = base[: len(base) - level + 1] if level else []
        target = ".".join([*base, *([module] if module else [])])
        if target:
            yield target
        yield from (f"{target}.{name}" if target else name for name in names if name != "*")


@dataclass
class _Walk:
    search: Sequence[str]
    closure: Closure = field(default_factory=Closure)
    pending: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    def run(self, *modules: str) -> Closure:
        self.pending.extend(modules)
        while self.pending:
            name = self.pending.pop()
            if name not in self.seen:
                self.seen.add(name)
                self._visit(name)
        return self.closure

    def _visit(self, name: str) -> None:
        top = name.partition(".")[0]
        if top in self.closure.packages:
            return
        # A standard-library name can only be the user's if a file of the root shadows it; no need to search all of sys.path for it.
        found = locate(name, self.search[:1] if top in sys.stdlib_module_names else self.search)
        for module in found:
            path = module.path
            if path is None:
                continue
            if is_first_party(path):
                self._add(path, module)
            elif top not in sys.stdlib_module_names:
                self.closure.packages.add(top)
                return
        if not found and top not in {*sys.stdlib_module_names, "__main__"}:
            self.closure.packages.add(top)  # not found: an optional import, whose appearance later must change the key

    def _add(self, path: Path, module: Found) -> None:
        if path in self.closure.files:
            return
        content = path.read_bytes()
        tree = parse(content) if path.suffix == ".py" else None
        digest = source_digest(content, tree) if path.suffix == ".py" else file_digest(path)
        self.closure.files[path], self.closure.names[path] = digest, module.name
        if tree is None:
            return
        facts = read_facts(tree)
        package = module.name if module.is_package else module.name.rpartition(".")[0]
        self.pending.extend(_absolute(facts.imports, package))
        self.closure.environment |= facts.environment
        self.closure.file_names |= {(path, name) for name in facts.file_names}


def import_closure(module: str, search: Sequence[str]) -> Closure:
    """Return everything first-party that `module` imports, itself included, looked up on `search` (the root directory first)."""
    return _Walk(search).run(module)


def script_closure(scripts: Sequence[Path], modules: Sequence[str], search: Sequence[str]) -> Closure:
    """Return everything first-party that scripts and modules import, themselves included."""
    walk = _Walk(search)
    for path in map(Path.absolute, scripts):
        spec = ModuleSpec("__main__", None, origin=str(path))
        spec.has_location = True
        walk._add(path, Found("__main__", spec))  # noqa: SLF001  # of this module
    return walk.run(*modules)


def installed(source: Path) -> set[str]:
    """Return the first names of what a source imports and that is installed."""
    try:
        content = source.read_bytes()
    except OSError:
        return set()
    tree = parse(content) if source.suffix == ".py" else None
    names = {name.partition(".")[0] for level, name, _ in (read_facts(tree).imports if tree else ()) if level == 0}
    return {name for name in names - {*sys.stdlib_module_names, ""} if _is_installed(name)}


def _is_installed(name: str) -> bool:
    found = locate(name, sys.path)
    return bool(found) and found[0].path is not None and not is_first_party(found[0].path)
