"""The options of a training script, read from its source and never by running it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any

from pytest_exprun.trust.identity.sources import parse

SPELLINGS: Mapping[str, list[str]] = {
    what: names.split()
    for what, names in {
        "seed": "seed random_seed manual_seed rng_seed global_seed random_state",
        "output_dir": "output_dir out_dir save_dir checkpoint_dir ckpt_dir default_root_dir log_dir logdir workdir work_dir "
        "run_dir exp_dir output out save_path checkpoint_path",
        "tokens": "train_tokens max_tokens num_tokens total_tokens max_train_tokens",
        "steps": "max_iters max_steps total_timesteps num_iterations num_steps train_steps total_steps num_train_steps steps "
        "iterations iters n_iters num_iters max_iterations n_steps epochs num_epochs n_epochs max_epochs num_train_epochs",
        "seconds": "time_budget max_seconds seconds max_time train_seconds",
        "batch": "batch_size device_batch_size train_batch_size",
        "context": "block_size context_length seq_len sequence_length max_seq_len context ctx_len",
        "accumulation": "gradient_accumulation_steps grad_accum_steps grad_accum accumulation_steps",
        "rate": "learning_rate lr max_lr peak_lr",
    }.items()
}
"""What scripts call the options that matter here, the likeliest first."""
_PARSER_METHODS = frozenset(
    {"add_argument", "parse_args", "set_defaults", "add_argument_group", "add_mutually_exclusive_group", "print_help"}
)
BUDGETS = ("train_tokens", "train_steps", "train_seconds")
"""The parameters by which a function is told how long to train."""
_READS_FIELDS = frozenset(
    {
        *("tyro", "HfArgumentParser", "simple_parsing", "draccus", "pyrallis", "jsonargparse", "LightningCLI", "chz"),
        *(
            "OmegaConf",
            "hydra",
            "fire",
            "Fire",
            "cyclopts",
            "argv",
            "fields",
            "__dataclass_fields__",
            "__annotations__",
        ),
    }
)
"""Names of which one must be in a source that makes options of the fields of a class."""
_READS_OPTIONS = frozenset({"argparse", "ArgumentParser", "click", "typer", "absl", "docopt", *_READS_FIELDS})
_CONFIGURATOR = re.compile(r"exec\(open\(|globals\(\)\[")
_PARSES = frozenset({"parse_args", "parse_known_args", "cli", "parse", "parse_args_into_dataclasses"})


@dataclass(frozen=True)
class Option:
    """One option: its name as it is spelled without dashes, its default if that is written out, whether it stands alone."""

    name: str
    default: Any = None
    is_switch: bool = False


_OF_TRANSFORMERS = (Option("seed", 42), Option("output_dir"), Option("max_steps"), Option("learning_rate", 5e-5))
"""What transformers' TrainingArguments has of the options that matter here."""


@dataclass
class Script:
    """What a script's source says about its command line.

    Attributes:
        options: by name, dashes as underscores.
        complete: no other option can exist, as far as the source tells.
        fields: options that are fields of a class and nothing else.
        variables: module variables that the command line sets.
        words: every name that the source uses.
        overwritten: options that are computed again after the command line was read.
        has_main: it has `main(argv)` that returns something.
        is_idle: run as a script, it does nothing but define.
        functions: the parameters of top-level functions that take a seed and a budget by name, in a file without argparse.
    """

    options: dict[str, Option] = field(default_factory=dict)
    complete: bool = False
    fields: set[str] = field(default_factory=set)
    variables: set[str] = field(default_factory=set)
    words: set[str] = field(default_factory=set)
    overwritten: set[str] = field(default_factory=set)
    has_main: bool = False
    is_idle: bool = False
    functions: dict[str, dict[str, Option]] = field(default_factory=dict)
    text: str = ""

    def takes(self, *names: str) -> Option | None:
        """Return the first of these options that a command line sets."""
        return next((self.settable[name] for name in names if name in self.settable), None)

    def called(self, what: str) -> Option | None:
        """Return the option for one of SPELLINGS, by the likeliest of its names."""
        return self.takes(*SPELLINGS[what])

    @property
    def settable(self) -> dict[str, Option]:
        """The options that a command line sets: fields of classes are none where nothing reads them, nor is what is computed again."""
        lost = self.overwritten | (set() if self.words & _READS_FIELDS else self.fields)
        return {name: option for name, option in self.options.items() if name not in lost}

    @property
    def has_options(self) -> bool:
        """Whether it reads a command line at all."""
        return bool(self.words & _READS_OPTIONS or self.variables)


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
    declared = set(script.options)
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and any("dataclass" in ast.unparse(each) for each in node.decorator_list):
            _add(script, assignments(node.body))
    script.fields = set(script.options) - declared
    if _CONFIGURATOR.search(script.text):  # every module variable is an option
        before = list(takewhile(lambda node: not _CONFIGURATOR.search(ast.unparse(node)), tree.body))
        script.variables = {option.name for option in assignments(before)}
        script.fields -= script.variables
        _add(script, assignments(before))
    script.overwritten = set(_overwritten(tree))
    script.words = set(_words(tree))
    if {"HfArgumentParser", "TrainingArguments"} <= script.words:
        _add(script, iter(_OF_TRANSFORMERS))
    script.has_main = any(isinstance(node, ast.FunctionDef) and _is_main(node) for node in tree.body)
    script.is_idle = all(map(_only_defines, tree.body))
    if "argparse" not in script.text:
        script.functions = {
            node.name: parameters_of(node) for node in tree.body if isinstance(node, ast.FunctionDef) and _trains(node)
        }
    script.complete = bool(script.options) and _is_complete(tree)
    return script


def _add(script: Script, options: Iterator[Option]) -> None:
    for option in options:
        script.options.setdefault(option.name.replace("-", "_"), option)


def _read_call(call: ast.Call, script: Script) -> None:
    if _called(call) in {"add_argument", "option"}:
        spelled = [each.value for each in call.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
        long = [each.removeprefix("--") for each in spelled if each.startswith("--")]
        keywords = {each.arg: _constant(each.value) for each in call.keywords}
        is_switch = str(keywords.get("action", "")).startswith("store_") or keywords.get("is_flag") is True
        _add(script, (Option(each, keywords.get("default"), is_switch) for each in long))


def assignments(body: list[ast.stmt]) -> Iterator[Option]:
    """Return the variables that are given something written out, and those that are only declared."""
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


def number_of(node: ast.expr) -> int | float | None:
    """Return a number that is written out, `5 * 60` too."""
    value = _constant(node)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


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


def _words(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (getattr(node, "module", None) or "").split(".")
            yield from (part for alias in node.names for part in alias.name.split("."))


def _overwritten(tree: ast.Module) -> Iterator[str]:
    """Return the options that are assigned again, whatever the command line said: `args.steps = args.total // args.batch`."""
    parsed = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and _called(node.value) in _PARSES:
            parsed |= {each.id for each in ast.walk(node.targets[0]) if isinstance(each, ast.Name)}
    for statement in _always_reached(tree.body):
        target = statement.targets[0] if isinstance(statement, ast.Assign) else None
        if isinstance(target, ast.Attribute) and getattr(target.value, "id", "") in parsed:
            assert isinstance(statement, ast.Assign)
            itself = ast.unparse(target)
            if not any(
                ast.unparse(each) == itself for each in ast.walk(statement.value) if isinstance(each, ast.Attribute)
            ):
                yield target.attr


def _always_reached(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Return statements that stand under no condition but `if __name__ == "__main__"`."""
    for statement in body:
        yield statement
        if isinstance(statement, ast.FunctionDef | ast.With) or (
            isinstance(statement, ast.If) and "__name__" in ast.unparse(statement.test)
        ):
            yield from _always_reached(statement.body)


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


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


def parameters_of(function: ast.FunctionDef) -> dict[str, Option]:
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
    nodes = list(ast.walk(tree))
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    makers = [each for each in calls if ast.unparse(each.func) in {"argparse.ArgumentParser", "ArgumentParser"}]
    if len(makers) != 1 or any(
        each.arg in {"parents", "prefix_chars", "fromfile_prefix_chars"} for each in makers[0].keywords
    ):
        return False
    names = _names_of(makers, nodes)
    returned = [node for node in nodes if isinstance(node, ast.Return) and getattr(node.value, "id", "") in names]
    builders = {
        each.name
        for each in nodes
        if isinstance(each, ast.FunctionDef) and any(node in returned for node in ast.walk(each))
    }
    built = [each for each in calls if getattr(each.func, "id", "") in builders]
    names |= _names_of(built, nodes)
    owned = {id(node.value) for node in nodes if isinstance(node, ast.Attribute) and node.attr in _PARSER_METHODS}
    owned |= {id(node.value) for node in returned} | {id(node.value) for node in nodes if isinstance(node, ast.Assign)}
    loads = [
        node for node in nodes if isinstance(node, ast.Name) and node.id in names and isinstance(node.ctx, ast.Load)
    ]
    renamed = {id(node.value) for node in nodes if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name)}
    loose = [node for node in (*loads, *built) if id(node) not in owned or id(node) in renamed]
    computed = [
        each
        for each in calls
        if _called(each) == "add_argument" and not all(isinstance(word, ast.Constant) for word in each.args)
    ]
    return bool(names) and not loose and not computed


def _names_of(values: list[ast.Call], nodes: list[ast.AST]) -> set[str]:
    """Return the names that are given to one of these."""
    assignments = [
        node for node in nodes if isinstance(node, ast.Assign) and any(node.value is each for each in values)
    ]
    return {target.id for node in assignments for target in node.targets if isinstance(target, ast.Name)}
