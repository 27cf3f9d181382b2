"""Which metrics a program will print, and how, before it runs: its texts, filled with numbers, are read by the readers of its output."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from string import Formatter

from pytest_exprun.running.training.lines import FORMATS, plain_text
from pytest_exprun.terms.model import lower_is_better

_HOLE = "\x00"
_PERCENT = re.compile(r"%(?:\(\w+\))?[-+ #0]*\d*(?:\.\d+)?[diouxXeEfFgGrs]")
_NAMED = re.compile(rf"([A-Za-z]\w*(?:[ /]\w+){{0,2}})(['\"]?\s*[=:]\s*\[?\s*|\s+){_HOLE}(?!\s*%)")
_COUNT = re.compile(rf"\b(step|global_step|iteration|iter|epoch)(\s*[=:]?\s*){_HOLE}", re.IGNORECASE)
_PLAIN_NUMBER = r"[-+.\deE]+"
_HELD_OUT = re.compile(r"val|eval|valid|dev|test", re.IGNORECASE)
_LOGS = ("print", "info", "log", "write", "warning", "debug", "echo")


@dataclass(frozen=True)
class Printed:
    """A metric that is printed: its name as the readers have it, and the pattern that reads it where no known format does."""

    metric: str
    pattern: str = ""

    @property
    def rank(self) -> tuple[int, int, int]:
        """How good it is to judge by: held-out data, returns and scores first; losses, which have the most digits, before the rest."""
        lower = lower_is_better(self.metric, {})
        held_out = bool(_HELD_OUT.search(self.metric)) or bool(re.search(r"return|reward|score", self.metric))
        return (-held_out, self.metric.startswith("test"), 0 if lower and "loss" in self.metric else 1)


def printed_metrics(trees: Iterable[ast.Module]) -> list[Printed]:
    """Return the metrics that sources print, of which it is known which direction is better, the best to judge by first."""
    found: dict[str, Printed] = {}
    for text in (text for tree in trees for text in _texts(tree)):
        for line in filter(str.strip, text.splitlines()):
            for each in _metrics(line):
                found.setdefault(each.metric, each)
    known = [each for each in found.values() if lower_is_better(each.metric, {}) is not None]
    return sorted((each for each in known if not re.search("train|time", each.metric)), key=lambda each: each.rank)


def _metrics(line: str) -> Iterator[Printed]:
    """Return what a line prints, its holes standing for numbers."""
    sample = plain_text(line.replace(_HOLE, "1"))
    readings = [reading for reader in FORMATS.values() if (reading := reader(sample)) is not None and reading.values]
    for reading in readings:
        yield from (Printed(name) for name in reading.values)
    if not readings:
        for match in _NAMED.finditer(line):
            name = re.sub(r"\W+", "_", match[1].strip().lower())
            yield Printed(name, _pattern(line, match, name))


def _pattern(line: str, match: re.Match[str], name: str) -> str:
    """Return a regular expression for a metric at its place in a line, with the count that stands before it."""
    count = _COUNT.search(line[: match.start()])
    head = re.escape(match[1] + match[2].rstrip("[ ")).replace(r"\ ", " ")
    own = rf"{head}[\s\[]*(?P<{name}>{_PLAIN_NUMBER})"
    if count is None:
        return own
    return rf"{re.escape(count[1] + count[2].rstrip())}\s*(?P<{count[1].lower()}>\d+).*{own}"


def _texts(tree: ast.Module) -> Iterator[str]:
    """Return the texts that a source prints or logs, with a hole for each value."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name_of(node.func) in _LOGS:
            yield " ".join(map(_text, node.args))


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else _HOLE
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_text, node.values))
    if isinstance(node, ast.BinOp) and isinstance(node.left, ast.Constant) and isinstance(node.left.value, str):
        return _PERCENT.sub(_HOLE, node.left.value) if isinstance(node.op, ast.Mod) else node.left.value
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left) + _text(node.right)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        return _formatted(node.func.value)
    return _HOLE


def _formatted(template: ast.expr) -> str:
    """Return what `"...".format()` gives, with its holes."""
    if not (isinstance(template, ast.Constant) and isinstance(template.value, str)):
        return _HOLE
    try:
        return "".join(
            text + (_HOLE if name is not None else "") for text, name, _, _ in Formatter().parse(template.value)
        )
    except ValueError:
        return _HOLE


def returned_metrics(function: ast.FunctionDef) -> list[str]:
    """Return what a function calls the numbers that it returns: the keys of a dictionary, or a lone number's own name."""
    found: list[str] = []
    for node in ast.walk(function):
        value = node.value if isinstance(node, ast.Return) else None
        if isinstance(value, ast.Call) and not value.keywords:
            value = value.args[0] if ast.unparse(value.func) == "float" and value.args else value.func
        if isinstance(value, ast.Dict):
            found += [key.value for key in value.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]
        elif isinstance(value, ast.Name | ast.Attribute | ast.Call):
            found.append(_name_of(value).removesuffix("_score"))
    return [name for name in dict.fromkeys(found) if name]


def _name_of(node: ast.expr) -> str:
    if isinstance(node, ast.Call):
        return _name_of(node.func)
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
