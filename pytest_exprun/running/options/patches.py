"""Changes of sources that nobody has made yet, such as numbers that become told from outside: a diff for `git apply` or `patch -p1`."""

from __future__ import annotations

import ast
import difflib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pytest_exprun.terms.errors import SettingsError

_NO_NEWLINE = "\\ No newline at end of file\n"


@dataclass(frozen=True)
class Literal:
    """A number as a source has it: where, from which to which byte of its line, and its text."""

    path: Path
    line: int
    start: int
    end: int
    text: str

    @classmethod
    def of(cls, path: Path, node: ast.expr, text: str = "") -> Literal:
        """Return where an expression of one line stands; `text` is its value if it is computed there."""
        return cls(
            path, node.lineno, node.col_offset, node.end_col_offset or node.col_offset, text or ast.unparse(node)
        )


@dataclass
class Patch:
    """The changes of several files, gathered before they are written out together."""

    _replaced: dict[Literal, str] = field(default_factory=dict)
    _added: dict[tuple[Path, int], list[str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self._replaced or self._added)

    def tell(self, literal: Literal, variable: str) -> None:
        """Let an environment variable say a number; without it the number stays what it is."""
        self.replace(literal, f'int(os.environ.get("{variable}", "{literal.text}"))')

    def replace(self, literal: Literal, text: str) -> None:
        """Write something else in place of a number."""
        self._replaced[literal] = text

    def insert(self, path: Path, line: int, at: int, follows: bool, text: str) -> None:
        """Insert words into a list, at this byte of a line; `follows` others."""
        if text:
            self._replaced[Literal(path, line, at, at, "")] = f", {text}" if follows else text

    def add(self, path: Path, after: int, lines: Sequence[str]) -> None:
        """Add lines after this one."""
        self._added.setdefault((path, after), []).extend(lines)

    def files(self) -> list[Path]:
        """The files that change."""
        return sorted({each.path for each in self._replaced} | {path for path, _ in self._added})

    def diff(self, root: Path) -> str:
        """Return the unified diff, its paths relative to this folder.

        Raises:
            SettingsError: a file is not UTF-8.
        """
        parts = []
        for path in self.files():
            before = _lines(path)
            name = Path(os.path.relpath(path, root)).as_posix()
            lines = difflib.unified_diff(before, self._changed(path, before), f"a/{name}", f"b/{name}")
            parts += [line if line.endswith("\n") else f"{line}\n{_NO_NEWLINE}" for line in lines]
        return "".join(parts)

    def _changed(self, path: Path, lines: Sequence[str]) -> list[str]:
        """Return the lines of a file with its changes."""
        changed = dict(enumerate(lines, 1))
        end = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"
        # From the right to the left: what stands before a change stays where it is.
        for literal in sorted((each for each in self._replaced if each.path == path), key=lambda each: -each.start):
            line = changed[literal.line].encode()
            changed[literal.line] = (
                line[: literal.start] + self._replaced[literal].encode() + line[literal.end :]
            ).decode()
        added = {after: new for (where, after), new in self._added.items() if where == path}
        uses_os = any("os.environ" in text for literal, text in self._replaced.items() if literal.path == path)
        uses_os |= any("os.environ" in line for new in added.values() for line in new)
        if uses_os and (at := _where_os_is_missing(ast.parse("".join(lines)))):
            added[at - 1] = ["import os", *added.get(at - 1, [])]
        found = []
        for number in range(len(lines) + 1):
            found += [changed[number]] if number else []
            if number in added and found and not found[-1].endswith("\n"):
                found[-1] += end
            found += [f"{line}{end}" for line in added.get(number, [])]
        return found


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"{path} is to be changed by a patch and must be UTF-8 for that: {error.reason}, byte {error.start}"
        ) from None
    # Only what ends a line for patch, too: a form feed inside one does not.
    return text.splitlines(keepends=True) if "\f" not in text else [f"{line}\n" for line in text.split("\n")]


def _where_os_is_missing(tree: ast.Module) -> int:
    """Return before which line `import os` belongs, 0 if it is there."""
    imports = [node for node in tree.body if isinstance(node, ast.Import)]
    if any(alias.name == "os" and alias.asname is None for node in imports for alias in node.names):
        return 0
    return next((first_line(node) for node in tree.body if not _comes_first(node)), 1)


def _comes_first(node: ast.stmt) -> bool:
    """Whether it is a docstring, or an import that must be the first."""
    if isinstance(node, ast.ImportFrom):
        return node.module == "__future__"
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def first_line(node: ast.stmt) -> int:
    """Return where a statement begins, its decorators counted."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(each.lineno for each in decorators)])
