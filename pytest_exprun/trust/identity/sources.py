"""When two Python sources are the same program: the digest of a source that ignores what cannot change a result.

A source stands for the bytecode it compiles to. So comments, layout, the names of local variables and their annotations do not count;
nor do docstrings (unless somebody reads `__doc__`), the order in which plain functions are defined side by side, and functions that
nobody mentions. Each is left out only where that can be proved from the text; in doubt it counts.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import CodeType
from typing import Any

_HAS_VARARGS, _HAS_VARKEYWORDS = 0x04, 0x08
_BODIES = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef
_ANNOTATION_PARTS = (
    ast.Name,
    ast.Attribute,
    ast.Subscript,
    ast.Constant,
    ast.Tuple,
    ast.List,
    ast.BinOp,
    ast.BitOr,
    ast.Load,
)
# Where these are mentioned, a function may be found by a name that stands nowhere in the text.
_REFLECTION = frozenset(
    {
        "getattr",
        # Libraries that look a function up by its name: pydoc, pkgutil, hydra, werkzeug, Django, fire, jsonargparse.
        "locate",
        "resolve_name",
        "instantiate",
        "import_string",
        "import_object",
        "Fire",
        "CLI",
        "auto_cli",
        "globals",
        "locals",
        "vars",
        "dir",
        "__dict__",
        "eval",
        "exec",
        "inspect",
        "__getattr__",
        "import_module",
        "__import__",
    }
    | {"getmembers", "attrgetter", "methodcaller", "modules", "__builtins__", "__main__"}
)
# Where these are mentioned, the names of local variables may be read.
_READS_LOCALS = frozenset({"locals", "vars", "dir", "eval", "exec", "f_locals", "inspect"})
_WORD = re.compile(r"[^\W\d]\w*")


def parse(source: bytes) -> ast.Module | None:
    """Return the syntax tree, None if there is none."""
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


@dataclass(frozen=True)
class Reach:
    """Names that a program may use.

    Attributes:
        names: those that stand in its text.
        everything: it looks names up at run time, so any may be used.
        local_names: it may read the names of local variables.
    """

    names: frozenset[str] = frozenset()
    everything: bool = True
    local_names: bool = True

    def __contains__(self, name: str) -> bool:
        return self.everything or name in self.names or name.startswith("__")


def reach(trees: Iterable[ast.Module], entry_points: Iterable[str]) -> Reach:
    """Find the plain functions that can be reached by name from the entry points and from what runs at import, over all files together.

    Names are taken without regard to scope: a mention anywhere, also inside a string, counts as a use.
    """
    functions: dict[str, list[ast.stmt]] = {}
    pending: list[str] = list(entry_points)
    seen: set[str] = set()
    for tree in trees:
        for statement in tree.body:
            if isinstance(statement, _FUNCTIONS) and _is_plain(statement):
                functions.setdefault(statement.name, []).append(statement)
            else:
                pending.extend(_mentions(statement))
    while pending:
        name = pending.pop()
        if name not in seen:
            seen.add(name)
            for function in functions.get(name, ()):
                pending.extend(_mentions(function))
    return Reach(frozenset(seen), everything=bool(seen & _REFLECTION), local_names=bool(seen & _READS_LOCALS))


def _mentions(node: ast.AST) -> Iterator[str]:
    """Every name in a piece of source, but for `getattr` where the name that it looks up stands there too."""
    pending = [node]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from _WORD.findall(node.value)
        elif isinstance(node, ast.alias):
            yield from node.name.split(".")
        elif isinstance(node, ast.keyword) and node.arg:
            yield node.arg
        if isinstance(node, ast.Call) and _is_plain_getattr(node):
            pending.extend([*node.args, *node.keywords])
        else:
            pending.extend(ast.iter_child_nodes(node))


def _is_plain_getattr(node: ast.Call) -> bool:
    """Whether it is `getattr` with a name that stands there."""
    is_getattr = isinstance(node.func, ast.Name) and node.func.id == "getattr"
    return is_getattr and len(node.args) > 1 and isinstance(node.args[1], ast.Constant)


def _is_plain(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether defining it does nothing but bind its name: no decorators, constant defaults, annotations without calls."""
    arguments = function.args
    defaults = [*arguments.defaults, *(default for default in arguments.kw_defaults if default is not None)]
    listed = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    annotations = [each.annotation for each in listed if each is not None and each.annotation is not None]
    annotations += [function.returns] if function.returns is not None else []
    return (
        not function.decorator_list
        and all(isinstance(default, ast.Constant) for default in defaults)
        and all(isinstance(part, _ANNOTATION_PARTS) for annotation in annotations for part in ast.walk(annotation))
    )


def source_digest(source: bytes, *, docstrings: bool = False, used: Reach | None = None) -> str:
    """SHA-256 of what a source compiles to; of its bytes if it does not compile.

    Args:
        source: a Python file.
        docstrings: they are part of the program.
        used: functions outside it are left out; without it all are kept.
    """
    tree = parse(source)
    digest = None if tree is None else tree_digest(tree, docstrings=docstrings, used=used)
    return digest or hashlib.sha256(source).hexdigest()


def tree_digest(tree: ast.Module, *, docstrings: bool = False, used: Reach | None = None) -> str | None:
    """SHA-256 of what a syntax tree compiles to, None if it does not. The tree is modified: use it for nothing else."""
    used = used or Reach()
    _normalise(tree, docstrings=docstrings, used=used)
    try:
        code = compile(tree, "", "exec", dont_inherit=True)
        text = repr(_describe(code, local_names=used.local_names))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _normalise(tree: ast.Module, *, docstrings: bool, used: Reach) -> None:
    tree.body = [
        each for each in tree.body if not (isinstance(each, _FUNCTIONS) and each.name not in used and _is_plain(each))
    ]
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, _BODIES):
            if not docstrings:
                _strip_docstring(node)
            if isinstance(node, ast.Module | ast.ClassDef):
                node.body = list(_in_fixed_order(node.body))
            if isinstance(node, ast.ClassDef):
                # Its line is a value in the class namespace from Python 3.13 on.
                node.lineno = node.end_lineno = 1
                node.col_offset = node.end_col_offset = 0
        if not isinstance(node, ast.expr):
            pending.extend(
                child
                for child in ast.iter_child_nodes(node)
                if isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case)
            )


def _strip_docstring(node: ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
    while node.body and _is_text(node.body[0]):
        del node.body[0]  # all of them: the second string would become the docstring
    if not node.body and not isinstance(node, ast.Module):
        node.body.append(ast.copy_location(ast.Pass(), node))


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _in_fixed_order(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Sort neighbouring plain functions of different names: defining one cannot see the other."""
    group: dict[str, ast.stmt] = {}
    for statement in body:
        plain = isinstance(statement, _FUNCTIONS) and _is_plain(statement)
        if not plain or (isinstance(statement, _FUNCTIONS) and statement.name in group):
            yield from (group[name] for name in sorted(group))
            group = {}
        if isinstance(statement, _FUNCTIONS) and plain:
            group[statement.name] = statement
        else:
            yield statement
    yield from (group[name] for name in sorted(group))


def _describe(code: CodeType, *, local_names: bool) -> tuple[Any, ...]:
    """Everything of a code object that its execution depends on: not lines, not file names, names of plain local variables if asked."""
    named = code.co_argcount + code.co_kwonlyargcount
    named += bool(code.co_flags & _HAS_VARARGS) + bool(code.co_flags & _HAS_VARKEYWORDS)
    return (
        code.co_name,
        code.co_code,
        code.co_exceptiontable,
        code.co_flags,
        (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount),
        code.co_names,
        code.co_varnames if local_names else code.co_varnames[:named],
        code.co_cellvars,
        code.co_freevars,
        tuple(_describe_constant(value, local_names=local_names) for value in _constants(code)),
    )


def _constants(code: CodeType) -> tuple[Any, ...]:
    if "__static_attributes__" not in code.co_names:
        return code.co_consts
    # Python 3.13 stores the attributes that methods assign, in no fixed order; they are in the methods' own code too.
    last = max(n for n, value in enumerate(code.co_consts) if isinstance(value, tuple))
    return (*code.co_consts[:last], *code.co_consts[last + 1 :])


def _describe_constant(value: Any, *, local_names: bool) -> Any:
    if isinstance(value, CodeType):
        return _describe(value, local_names=local_names)
    if isinstance(value, tuple):
        return ("tuple", tuple(_describe_constant(each, local_names=local_names) for each in value))
    if isinstance(value, frozenset):
        return ("frozenset", tuple(sorted(repr(_describe_constant(each, local_names=local_names)) for each in value)))
    return (type(value).__name__, repr(value))
