"""What a script lacks to be told its seed and its budget, as a patch: a line each; run by itself the script does what it did."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_exprun.running.options.patches import Literal, Patch, first_line
from pytest_exprun.running.options.script_options import SPELLINGS, number_of
from pytest_exprun.running.options.seedings import Seeding, Sources

SEED = "SEED"
OUTPUT_DIR = "OUTPUT_DIR"
_LIBRARIES = {
    "torch": ("torch", "{}.manual_seed({})"),
    "numpy": ("numpy", "{}.random.seed({})"),
    "sklearn": ("numpy", "{}.random.seed({})"),
    "tensorflow": ("tensorflow", "{}.keras.utils.set_random_seed({})"),
    "keras": ("keras", "{}.utils.set_random_seed({})"),
    "random": ("random", "{}.seed({})"),
}
"""Libraries that draw random numbers: the module that seeds them, and how."""
_FROM_ENVIRONMENT = f'int(os.environ.get("{SEED}", "0"))'
_RATE = re.compile(r"(^|_)lr(_|$)|rate")
_NOT_LEARNT = re.compile(r"seed|token|step|iter|epoch|second|time|budget|size|eps|split|threshold")
_LOOP = re.compile(r"step|iter|epoch|update|^it$", re.IGNORECASE)
_TRAINING = re.compile(r"backward\(|\.step\(|fit\(|train", re.IGNORECASE)


@dataclass(frozen=True)
class Length:
    """How long a script trains, where its source has it as a number: so many units, told by an environment variable.

    Attributes:
        literal: where the source has it.
        is_told: the variable is read there already.
    """

    unit: str
    amount: int
    variable: str
    literal: Literal
    is_told: bool = False


def seed_seam(path: Path, sources: Sources, patch: Patch, option: str | None) -> list[Seeding]:
    """Let the script take its seed from the environment wherever no option tells it; return the fixed seedings that stay.

    What makes the data stays as it is: they must be the same for every seed. So does a generator of its own beside a seed that is told.
    """
    found = sources.seedings()
    told = any(not each.fixed for each in found) and (option is None or sources.reads(option))
    fixed = [each for each in found if each.fixed]
    changed = [each for each in fixed if not each.makes_data and (each.is_global or not told)]
    for each in changed:
        if each.fixed is not None:
            patch.tell(each.fixed, SEED)
    if not told and not changed and not (option and sources.reads(option)):
        after, lines = _first_seeding(sources.trees[path], sources)
        patch.add(path, after, lines)
    return [each for each in fixed if each not in changed]


def _first_seeding(tree: ast.Module, sources: Sources) -> tuple[int, list[str]]:
    """Return lines that seed what the program draws its numbers with, and after which line they belong: that of the last import."""
    used = {name for each in sources.trees.values() for name in _imported(each)}
    here = {alias.name: alias.asname or alias.name for node in _imports(tree) for alias in node.names}
    taken = {
        alias.asname or alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    wanted = dict.fromkeys(_LIBRARIES[name] for name in _LIBRARIES if name in used) or {_LIBRARIES["random"]: None}
    lines = [
        f"import {module}" if module not in taken else f"import {module} as {module}_module"
        for module, _ in wanted
        if module not in here
    ]
    names = {module: here.get(module, f"{module}_module" if module in taken else module) for module, _ in wanted}
    lines += [call.format(names[module], _FROM_ENVIRONMENT) for module, call in wanted]
    ends = [node.end_lineno or node.lineno for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    return max(ends, default=first_line(tree.body[0]) - 1 if tree.body else 0), lines


def _imports(tree: ast.Module) -> Iterator[ast.Import]:
    return (node for node in tree.body if isinstance(node, ast.Import))


def _imported(tree: ast.Module) -> set[str]:
    """The top-level names of what a file imports."""
    plain = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    froms = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    return {name.partition(".")[0] for name in plain | froms}


def length_in(path: Path, sources: Sources) -> Length | None:
    """Return how long the script trains: by a variable that it reads, a constant of a known name, or the bound of its loop."""
    if told := next(_told(sources), None):
        return told
    order = [path, *(each for each in sources.trees if each != path)]
    for unit in ("tokens", "steps", "seconds"):
        for name in SPELLINGS[unit]:
            for where in order:
                for statement in sources.trees[where].body:
                    target, value = assignment(statement)
                    amount = number_of(value) if value is not None and target.lower() == name else None
                    if value is not None and type(amount) is int and amount > 0 and value.lineno == value.end_lineno:
                        return Length(unit, amount, target.upper(), Literal.of(where, value, str(amount)))
    return next(_loops(path, sources), None)


def _told(sources: Sources) -> Iterator[Length]:
    """Return what the environment tells already, as after our patch: `int(os.environ.get("STEPS", "200"))`."""
    units = {name: unit for unit in ("tokens", "steps", "seconds") for name in SPELLINGS[unit]}
    for path, tree in sources.trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"os.environ.get", "os.getenv"}:
                name, number = [*(str(each.value) for each in node.args if isinstance(each, ast.Constant)), "", ""][:2]
                if name.lower() in units and number.isdecimal():
                    yield Length(units[name.lower()], int(number), name, Literal.of(path, node), is_told=True)


def assignment(statement: ast.stmt) -> tuple[str, ast.expr | None]:
    """Return the variable that a statement gives a value and that value; no name if it gives none."""
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
        return statement.targets[0].id, statement.value
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        return statement.target.id, statement.value
    return "", None


def output_seam(sources: Sources, patch: Patch) -> bool:
    """Let the environment name the output folder where a source has it as one text of a known name; return whether it does."""
    found = [each for path, tree in sources.trees.items() for each in _folders(path, tree)]
    for literal in found:
        patch.replace(literal, f'os.environ.get("{OUTPUT_DIR}", {literal.text})')
    return bool(found)


def _folders(path: Path, tree: ast.Module) -> Iterator[Literal]:
    """Return the folders to write in that are given to a name once and used: `out_dir = "out"`, `OUT = Path("out")`."""
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    for target, value in map(assignment, tree.body):
        if target.lower() not in SPELLINGS["output_dir"]:
            continue
        uses = [isinstance(node.ctx, ast.Load) for node in names if node.id == target]
        text = value
        if isinstance(value, ast.Call) and ast.unparse(value.func) in {"Path", "pathlib.Path"} and len(value.args) == 1:
            text = value.args[0]
        is_folder = isinstance(text, ast.Constant) and isinstance(text.value, str) and not Path(text.value).suffix
        if text is not None and is_folder and uses.count(False) == 1 and True in uses:
            yield Literal.of(path, text)


def _loops(path: Path, sources: Sources) -> Iterator[Length]:
    """Return the loops over rounds whose number is written in the source, those that show how they train first."""
    loops = [
        node
        for node in ast.walk(sources.trees[path])
        if isinstance(node, ast.For) and _LOOP.search(ast.unparse(node.target))
    ]
    for node in sorted(loops, key=lambda node: not _TRAINING.search("\n".join(map(ast.unparse, node.body)))):
        ranges = [
            each for each in ast.walk(node.iter) if isinstance(each, ast.Call) and "range" in ast.unparse(each.func)
        ]
        bound = ranges[0].args[min(1, len(ranges[0].args) - 1)] if ranges and ranges[0].args else None
        literal = None if bound is None else sources.fixed(path, bound)
        if literal is not None:
            name = "EPOCHS" if "epoch" in ast.unparse(node.target) else "STEPS"
            yield Length("steps", int(literal.text), name, literal)


def flag_seam(path: Path, sources: Sources, patch: Patch) -> str | None:
    """Give a script without a command line its first option, for a number at its top; return the flag that doubles it."""
    found = list(
        _numbers(sources.trees[path], {each.line for each in sources.seedings() if each.fixed and not each.makes_data})
    )
    rates = [each for each in found if _RATE.search(each[0].lower())]
    for name, line, value in [*rates, *(each for each in found if not _NOT_LEARNT.search(each[0].lower()))]:
        number, option = number_of(value), name.lower()
        assert number is not None
        kind = type(number).__name__
        declared = f'flags.add_argument("--{option}", type={kind}, default={ast.unparse(value)})'
        patch.add(path, line - 1, ["import argparse", "", "flags = argparse.ArgumentParser()", declared])
        patch.replace(Literal.of(path, value), f"flags.parse_args().{option}")
        return f"--{option}={2 * number:g}"
    return None


def _numbers(tree: ast.Module, seeded: Collection[int]) -> Iterator[tuple[str, int, ast.expr]]:
    """Return the numbers at the top of a script: fractions with a name, then what a model is made with where it is given its seed."""
    for statement in tree.body:
        name, value = assignment(statement)
        if value is not None and isinstance(number_of(value), float) and number_of(value):
            yield name, statement.lineno, value
    for statement in tree.body:
        if isinstance(statement, ast.Assign | ast.Expr):
            calls = [node for node in ast.walk(statement) if isinstance(node, ast.Call) and node.lineno in seeded]
            yield from (
                (each.arg, statement.lineno, each.value)
                for call in calls
                for each in call.keywords
                if each.arg and number_of(each.value) and "state" not in each.arg
            )


def function_seam(path: Path, sources: Sources, patch: Patch) -> tuple[str, int] | None:
    """Give the one function that trains the parameters seed and train_steps; return its name and how many steps it takes now."""
    able = [each for each in sources.trees[path].body if isinstance(each, ast.FunctionDef) and _could_train(each)]
    named = [each for each in able if re.match("train|fit|main|run|experiment|objective", each.name)]
    if len(named or able) != 1:
        return None
    function = (named or able)[0]
    loops = [
        each
        for each in _loops(path, sources)
        if each.literal.line in range(function.lineno, (function.end_lineno or 0) + 1)
    ]
    parameters = {each.arg for each in (*function.args.args, *function.args.kwonlyargs)}
    steps = loops[0].amount if loops else 1
    new = [f"{name}={value}" for name, value in (("seed", 0), ("train_steps", steps)) if name not in parameters]
    patch.insert(path, *_end_of_signature(path, function), ", ".join(new))
    for loop in loops[:1]:
        patch.replace(loop.literal, "train_steps")
    inside = range(_body_starts(function), (function.end_lineno or 0) + 1)
    fixed = [each for each in sources.seedings() if each.fixed and not each.makes_data and each.line in inside]
    for each in fixed:
        if each.given is not None:
            patch.replace(each.given, "seed")
    own = sorted(parameters & {"random_state", "random_seed"})
    indent = " " * function.body[0].col_offset
    lines = [f"{indent}{name} = seed" for name in own]
    if not fixed and not own and "seed" not in parameters:
        lines = [
            f"{indent}{line.replace(_FROM_ENVIRONMENT, 'seed')}"
            for line in _first_seeding(sources.trees[path], sources)[1]
        ]
    if lines:
        patch.add(path, _body_starts(function) - 1, lines)
    return function.name, steps


def _could_train(function: ast.FunctionDef) -> bool:
    spec = function.args
    needed = {each.arg for each in spec.args[: len(spec.args) - len(spec.defaults)]} - {
        "seed",
        "output_dir",
        "train_steps",
    }
    returns = any(isinstance(node, ast.Return) and node.value is not None for node in ast.walk(function))
    return not needed and returns and spec.kwarg is None and spec.vararg is None and not function.decorator_list


def _body_starts(function: ast.FunctionDef) -> int:
    body = function.body[1:] if ast.get_docstring(function) and len(function.body) > 1 else function.body
    return first_line(body[0])


def _end_of_signature(path: Path, function: ast.FunctionDef) -> tuple[int, int, bool]:
    """Return the line and byte after the last parameter, and whether there is one."""
    spec = function.args
    ends: list[ast.arg | ast.expr] = [*spec.args, *spec.kwonlyargs, *spec.defaults, *filter(None, spec.kw_defaults)]
    ends += [each.annotation for each in (*spec.args, *spec.kwonlyargs) if each.annotation is not None]
    if ends:
        return *max((each.end_lineno or 0, each.end_col_offset or 0) for each in ends), True
    line = path.read_bytes().split(b"\n")[function.lineno - 1]
    return function.lineno, line.index(b"(") + 1, False
