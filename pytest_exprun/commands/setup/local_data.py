"""Data that the sources name and git ignores: no state of the code has them, so they are to be shared."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_exprun.running.options.script_options import SPELLINGS, Option
from pytest_exprun.running.options.seams import assignment
from pytest_exprun.running.options.seedings import Sources
from pytest_exprun.terms.errors import RefusedError
from pytest_exprun.trust.trees.git import Git

_DEEPEST = 6
_LONGEST = 300
_NO_DATA = frozenset({"__pycache__", ".git"})


def ignored_data(sources: Sources, options: Mapping[str, Option], root: Path) -> list[str]:
    """Return what `exprun_shared` should name: paths and globs from the root directory.

    Args:
        sources: the files that name the data, by literals, joined literals, variables and options with a default.
        options: the options of the script.
        root: the project's root directory.
    """
    here, outputs = Path.cwd(), set(_outputs(sources, options))
    named = {
        os.path.normpath(text)
        for path, tree in sources.trees.items()
        for text in _Paths(path, tree, options).named(tree)
        if _is_below(here, text)
    }
    named -= {name for name in named if any(name == each or name.startswith(f"{each}{os.sep}") for each in outputs)}
    lines = dict.fromkeys(line for each in _ignored(here) for line in _lines(each, sorted(named))) if named else {}
    # What lies in a folder that is shared need not be said.
    folders = {each: each.removesuffix("/*") for each in lines}
    kept = [
        line
        for line in lines
        if not any(line.startswith(f"{each}/") for whole, each in folders.items() if whole != line)
    ]
    return [Path(os.path.relpath(here / each, root)).as_posix() for each in kept]


def _ignored(folder: Path) -> list[str]:
    """Return what git ignores below a folder, whole folders with a slash at their end; nothing where there is no git."""
    try:
        listed = Git(folder)("ls-files", "--others", "--ignored", "--exclude-standard", "--directory", "-z").split("\0")
    except RefusedError:
        return []
    return [each for each in listed if each and not _NO_DATA & set(Path(each).parts)]


def _lines(ignored: str, named: Sequence[str]) -> Iterator[str]:
    """Return what is to be shared for the sake of something that git ignores, where it is, holds, or is held by what is named."""
    path = ignored.rstrip("/")
    yield from (each for each in named if f"{each}/".startswith(f"{path}/"))
    if path not in named and any(path.startswith(f"{each}/") for each in named):
        # Of a folder with other files all that is in it: what a tree has itself stays.
        yield path if ignored.endswith("/") else f"{Path(path).parent.as_posix()}/*"


def _is_below(folder: Path, text: str) -> bool:
    """Whether a text is the path of something in this folder that is no environment of Python."""
    if not text or len(text) > _LONGEST or "\n" in text or "\0" in text:
        return False
    path = Path(os.path.normpath(folder / text))
    try:
        return path != folder and path.is_relative_to(folder) and path.exists() and not (path / "pyvenv.cfg").exists()
    except OSError:
        return False


def _outputs(sources: Sources, options: Mapping[str, Option]) -> Iterator[str]:
    """Return the folders that runs write in: what lies there is of earlier runs."""
    names = SPELLINGS["output_dir"]
    defaults = [each.default for name, each in options.items() if name in names]
    yield from (os.path.normpath(each) for each in defaults if isinstance(each, str))
    for tree in sources.trees.values():
        for target, value in map(assignment, tree.body):
            if target.lower() in names and isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield os.path.normpath(value.value)


@dataclass(frozen=True)
class _Paths:
    """The texts that expressions of one file come down to."""

    path: Path
    tree: ast.Module
    options: Mapping[str, Option]

    def named(self, node: ast.AST) -> Iterator[str]:
        """Return the texts in a syntax tree; what a longer path is joined of is none of its own."""
        for child in ast.iter_child_nodes(node):
            text = self.text(child) if isinstance(child, ast.expr) else None
            if text is not None:
                yield text
            else:
                yield from self.named(child)

    def text(self, node: ast.expr, depth: int = 0) -> str | None:
        """Return the text of an expression, None if the source does not tell."""
        if depth > _DEEPEST:
            return None
        spelled = ast.unparse(node)
        if "__file__" in spelled and ("dirname" in spelled or spelled.endswith(".parent")):
            return None if "join" in spelled else str(self.path.parent)
        if isinstance(node, ast.Name | ast.Attribute):
            return self._of_name(node, depth)
        parts, between = _parts(node, spelled)
        texts = [self.text(each, depth + 1) for each in parts]
        return between.join(map(str, texts)) if texts and None not in texts else _constant(node)

    def _of_name(self, node: ast.Name | ast.Attribute, depth: int) -> str | None:
        name = node.id if isinstance(node, ast.Name) else node.attr
        if name in self.options:
            default = self.options[name].default
            return default if isinstance(default, str) else None
        if isinstance(node, ast.Attribute):
            return None
        values = [value for target, value in map(assignment, self.tree.body) if target == name and value is not None]
        return self.text(values[0], depth + 1) if len(values) == 1 else None


def _parts(node: ast.expr, spelled: str) -> tuple[list[ast.expr], str]:
    """Return of which expressions a text is made, and what stands between them."""
    if isinstance(node, ast.JoinedStr):
        return [each.value if isinstance(each, ast.FormattedValue) else each for each in node.values], ""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div | ast.Add):
        return [node.left, node.right], "/" if isinstance(node.op, ast.Div) else ""
    if isinstance(node, ast.Call) and spelled.startswith(("os.path.join(", "join(", "Path(", "pathlib.Path(")):
        return node.args, "/"
    return [], ""


def _constant(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None
