"""The options of a training script, read from its source and never by running it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_exprun.trust.identity.sources import parse

_PARSER_METHODS = frozenset(
    {"add_argument", "parse_args", "set_defaults", "add_argument_group", "add_mutually_exclusive_group", "print_help"}
)
BUDGETS = ("train_tokens", "train_steps", "train_seconds")
"""The parameters by which a function is told how long to train."""
_SEEDING = frozenset(
    {"manual_seed", "manual_seed_all", "seed", "set_seed", "seed_everything", "default_rng", "PRNGKey"}
)


@dataclass(frozen=True)
class Option:
    """One option: its name as it is spelled without dashes, its default if that is written out, whether it stands alone."""

    name: str
    default: Any = None
    is_switch: bool = False


@dataclass
class Script:
    """What a script's source says about its command line.

    Attributes:
        options: by name, dashes as underscores.
        complete: no other option can exist, as far as the source tells.
        seedings: line and text of calls that set a random seed to a number written there.
        has_main: it has `main(argv)` that returns something.
        is_idle: run as a script, it does nothing but define.
        functions: the parameters of top-level functions that take a seed and a budget by name, in a file without argparse.
    """

    options: dict[str, Option] = field(default_factory=dict)
    complete: bool = False
    seedings: list[tuple[int, str]] = field(default_factory=list)
    has_main: bool = False
    is_idle: bool = False
    functions: dict[str, dict[str, Option]] = field(default_factory=dict)
    text: str = ""

    def takes(self, *names: str) -> Option | None:
        """Return the first of these options that the script has."""
        return next((self.options[name] for name in names if name in self.options), None)


def read_script(path: Path) -> Script | None:
    """Return what a file says; None if it is no Python that can be read."""
    try:
        source = path.read_bytes()
    except OSError:
        return None
    tree = parse(source)
    if tree is None:
        return None
    script = Script(text=source.decode("utf-8", "replace"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            _read_call(node, script)
        elif isinstance(node, ast.ClassDef) and any("dataclass" in ast.unparse(each) for each in node.decorator_list):
            _add(script, _assignments(node.body))
    if re.search(r"exec\(open\(|globals\(\)\[", script.text):  # a configurator: every module variable is an option
        _add(script, _assignments(tree.body))
    script.has_main = any(isinstance(node, ast.FunctionDef) and _is_main(node) for node in tree.body)
    script.seedings += _named_seeds(tree)
    script.is_idle = all(map(_only_defines, tree.body))
    if "argparse" not in script.text:
        script.functions = {
            node.name: _parameters(node) for node in tree.body if isinstance(node, ast.FunctionDef) and _trains(node)
        }
    script.complete = bool(script.options) and _is_complete(tree)
    return script


def _add(script: Script, options: Iterator[Option]) -> None:
    for option in options:
        script.options.setdefault(option.name.replace("-", "_"), option)


def _read_call(call: ast.Call, script: Script) -> None:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name in {"add_argument", "option"}:
        spelled = [each.value for each in call.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
        long = [each.removeprefix("--") for each in spelled if each.startswith("--")]
        keywords = {each.arg: _constant(each.value) for each in call.keywords}
        is_switch = str(keywords.get("action", "")).startswith("store_") or keywords.get("is_flag") is True
        _add(script, (Option(each, keywords.get("default"), is_switch) for each in long))
    elif name in _SEEDING and call.args and isinstance(call.args[0], ast.Constant):
        script.seedings.append((call.lineno, ast.unparse(call)))


def _assignments(body: list[ast.stmt]) -> Iterator[Option]:
    for statement in body:
        target: ast.expr | None = statement.target if isinstance(statement, ast.AnnAssign) else None
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target = statement.targets[0]
        value = getattr(statement, "value", None)
        if (
            isinstance(target, ast.Name)
            and not target.id.startswith("_")
            and (value is None or _constant(value) is not None)
        ):
            yield Option(target.id, None if value is None else _constant(value))


def _constant(node: ast.expr) -> Any:
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return _product(node)
    return value if isinstance(value, bool | int | float | str) else None


def _product(node: ast.expr) -> Any:
    """Return `5 * 8` as people write defaults."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        left, right = _constant(node.left), _constant(node.right)
        if isinstance(left, int | float) and isinstance(right, int | float):
            return left * right
    return None


def _is_main(function: ast.FunctionDef) -> bool:
    arguments = [each.arg for each in function.args.args]
    returns = any(isinstance(node, ast.Return) and node.value is not None for node in ast.walk(function))
    return function.name == "main" and arguments[:1] == ["argv"] and returns


def _named_seeds(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Return the lines `SEED = 1337` whose name is given to a call that seeds."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args]
    given = {ast.unparse(each.args[0]) for each in calls if ast.unparse(each.func).rpartition(".")[2] in _SEEDING}
    plain = [node for node in tree.body if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)]
    for statement in plain:
        if ast.unparse(statement.targets[0]) in given:
            yield statement.lineno, ast.unparse(statement)


def _only_defines(statement: ast.stmt) -> bool:
    """Whether a statement at module level calls nothing."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom):
        return True
    plain = isinstance(statement, ast.Assign | ast.AnnAssign | ast.Expr)
    return plain and not any(isinstance(node, ast.Call) for node in ast.walk(statement))


def _trains(function: ast.FunctionDef) -> bool:
    """Whether it takes a seed and a budget by name, needs nothing else, and returns something."""
    spec, own = function.args, {"seed", "output_dir", *BUDGETS}
    names = [each.arg for each in (*spec.args, *spec.kwonlyargs)]
    needed = {each.arg for each in spec.args[: len(spec.args) - len(spec.defaults)]}
    needed |= {each.arg for each, value in zip(spec.kwonlyargs, spec.kw_defaults, strict=True) if value is None}
    returns = any(isinstance(node, ast.Return) and node.value is not None for node in ast.walk(function))
    return (
        "seed" in names
        and bool(set(names) & set(BUDGETS))
        and needed <= own
        and returns
        and not function.decorator_list
    )


def _parameters(function: ast.FunctionDef) -> dict[str, Option]:
    """Return the parameters with their defaults."""
    spec = function.args
    defaults = [*[None] * (len(spec.args) - len(spec.defaults)), *spec.defaults, *spec.kw_defaults]
    values = [None if each is None else _constant(each) for each in defaults]
    return {
        each.arg: Option(each.arg, value, value is False)
        for each, value in zip((*spec.args, *spec.kwonlyargs), values, strict=True)
    }


def _is_complete(tree: ast.Module) -> bool:
    """Whether one argparse parser is made, filled and used in this file alone, with options written out."""
    makers = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"argparse.ArgumentParser", "ArgumentParser"}
    ]
    if len(makers) != 1 or any(
        each.arg in {"parents", "prefix_chars", "fromfile_prefix_chars"} for each in makers[0].keywords
    ):
        return False
    names = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and node.value is makers[0]
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    owned = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr in _PARSER_METHODS
    }
    loose = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and node.id in names and isinstance(node.ctx, ast.Load) and id(node) not in owned
    ]
    computed = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "add_argument"
        and not all(isinstance(each, ast.Constant) for each in node.args)
    ]
    return bool(names) and not loose and not computed
