"""The forms of lines that carry metrics, in the output of scripts that we did not write: one reader for each.

A line is either read whole or not at all. A line of a known form whose value is no number is remembered as unreadable, so that
an older value is never taken for the last one; whoever needs that metric then gets an error that quotes the line.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.judged_at import counts_in

NUMBER = r"[+-]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?|nan|inf(?:inity)?)"
_NUMBER = re.compile(NUMBER, re.ASCII | re.IGNORECASE)
_TIME = re.compile(rf"({NUMBER})(us|ms|s)", re.ASCII | re.IGNORECASE)
_TERMINAL_CODES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
# What loggers and launchers put before a line; nothing that could change what the line says ("best ...").
_PREFIX = re.compile(
    r"(?:\s*(?:\[(?:rank|default)?\d+\]:"
    r"|(?:\[\d+\]|\[?\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d[\d.,+:Z]*\]?|\[?(?:INFO|DEBUG)\]?:?|-)(?=\s)))*\s*",
    re.ASCII,
)
_BEGIN_OF_PREFIX = frozenset("[-ID0123456789")
_NAME = r"[A-Za-z_]\w*"
_STEP = r"(\d{1,18})"
_WORDS = rf"{_NAME}(?: {_NAME}){{0,3}}"
_LONGEST_NAME = 100
# A piece without a name may belong to the number before it: `val_loss:1 2`, `val_loss:1 e-5`.
_TAIL_OF_NUMBER = re.compile(r"\s*(?:[^A-Za-z_\s]|[eE][+-]?\d)", re.ASCII)
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


@dataclass(frozen=True)
class Reading:
    """What one line says.

    Attributes:
        step: as the line counts, None if it does not.
        values: metric -> number, which may be NaN or infinite.
        unreadable: names that the line mentions without a number that can be trusted.
    """

    step: int | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    unreadable: frozenset[str] = frozenset()

    @property
    def counts(self) -> dict[str, float]:
        """How far the run is by this line: its step, or what it names as one (`epoch`)."""
        return counts_in(self.values) if self.step is None else {"step": self.step}


LineReader = Callable[[str], Reading | None]
"""Reads one line without terminal codes and line ends; None for a line of another form."""


def plain_text(line: str) -> str:
    """Take away colours, other terminal codes and what loggers put before a line."""
    text = (_TERMINAL_CODES.sub("", line) if "\x1b" in line else line).strip()
    if text[:1] not in _BEGIN_OF_PREFIX:
        return text
    return text[_PREFIX.match(text).end() :]  # type: ignore[union-attr]  # it matches the empty text too


def number(text: str) -> float | None:
    """Return a number that stands alone; None for anything else, a number with a unit or a decimal comma included."""
    return float(text) if _NUMBER.fullmatch(text) else None


class _Collected:
    """Gathers the pairs of one line. A name that is there twice with different numbers is unreadable."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}
        self.unreadable: set[str] = set()

    def pair(self, name: str, text: str) -> None:
        value = _in_seconds(name, text)
        if value is None:
            self.unreadable.add(name)
            self.unclear(text)
        elif repr(self.values.setdefault(name, value)) != repr(value):
            self.unreadable.add(name)

    def unclear(self, text: str) -> None:
        """Whatever this piece of a line could be about is unreadable."""
        self.unreadable.update(_snake(name) for name in re.findall(_WORDS, text))
        self.unreadable.update(re.findall(_NAME, text))

    def reading(self, step: int | None) -> Reading:
        return Reading(
            step, {k: v for k, v in self.values.items() if k not in self.unreadable}, frozenset(self.unreadable)
        )


def _snake(name: str) -> str:
    return "_".join(name.lower().split())


def _in_seconds(name: str, text: str) -> float | None:
    """Return the number, a time in seconds whatever its unit."""
    match = _TIME.fullmatch(text) if name.endswith("time") else None
    return float(match[1]) * _SECONDS[match[2].lower()] if match else number(text)


def _pairs_reader(
    words: tuple[str, ...], head: str, separator: str, pair: str, spelled: Callable[[str], str] = str
) -> LineReader:
    """Return a reader of lines that begin with the step and go on with pairs.

    Args:
        words: what a line begins with. Most lines of most runs are none of these: they must be passed over quickly.
        head: regular expression of what follows, its first group the step.
        separator: regular expression of what stands between two pairs.
        pair: regular expression of a pair, its groups name and value.
        spelled: turns a name into the metric's.
    """
    head_pattern = re.compile(rf"(?:{'|'.join(words)}){head}", re.ASCII)
    separator_pattern, pair_pattern = re.compile(separator), re.compile(pair, re.ASCII)

    def read(line: str) -> Reading | None:
        start = head_pattern.match(line) if line.startswith(words) else None
        if start is None:
            return None
        collected = _Collected()
        before = ""
        for piece in separator_pattern.split(line[start.end() :]):
            found = pair_pattern.fullmatch(piece.strip())
            if found:
                before = spelled(found[1])
                collected.pair(before, found[2])
                continue
            collected.unclear(piece)
            if _TAIL_OF_NUMBER.match(piece):
                collected.unreadable.add(before)
        return collected.reading(int(start[1]))

    return read


_protocol = _pairs_reader(("Step ",), rf"{_STEP} \|", r"\|", rf"({_NAME}): *(\S+)")
_nanogpt = _pairs_reader(("step ", "iter "), rf"{_STEP}: ", r", ", rf"({_WORDS}):? (\S+)", _snake)
_modded = _pairs_reader(("step:",), rf"{_STEP}/\d+,? ", r",? +", rf"({_NAME}):(\S+)")
_kit = _pairs_reader(("Step ",), rf"{_STEP}: ", r", ", rf"({_WORDS}): (\S+)", _snake)
_DICTIONARY = re.compile(r"\{['\"]")
_BLOCK_LINE = re.compile(rf"({_NAME}):\s+(\S.*)", re.ASCII)


def _autoresearch(line: str) -> Reading | None:
    """`val_bpb:          0.997900`, one metric a line."""
    match = _BLOCK_LINE.fullmatch(line) if ":" in line else None
    if match is None:
        return None
    collected = _Collected()
    collected.pair(match[1], match[2])
    return collected.reading(None)


def _huggingface(line: str) -> Reading | None:
    """`{'eval_loss': 1.2, 'epoch': 1.0}`: a dictionary as Python or JSON writes it, perhaps with a progress bar around it.

    `eval_loss` is called val_loss too, and so are the others.
    """
    start = _DICTIONARY.search(line) if "{" in line else None
    if start is None:
        return None
    end = line.rfind("}")
    collected = _Collected()
    entries = _entries(line[start.start() : end + 1])
    if entries is None:
        collected.unclear(line[start.start() :])
        # Where a closing quote is lost, a name may have taken in what follows it: any beginning of a word may be one.
        for word in set(re.findall(r"\w+", line[start.start() :])):
            collected.unreadable.update(word[:end] for end in range(1, min(len(word), _LONGEST_NAME) + 1))
    for name, value in entries or ():
        collected.pair(name, value)
    for name in list(collected.unreadable):
        collected.unreadable |= {_for_validation(name)}
    for name, found in list(collected.values.items()):
        collected.pair(_for_validation(name), repr(found))
    return collected.reading(None) if collected.values or collected.unreadable else None


def _for_validation(name: str) -> str:
    return "val_" + name.removeprefix("eval_") if name.startswith("eval_") else name


def _entries(text: str) -> list[tuple[str, str]] | None:
    """Return name and value, as text, of a dictionary; None if it is none. Nothing is evaluated."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if not isinstance(tree, ast.Dict):
        return None
    entries = []
    for key, value in zip(tree.keys, tree.values, strict=True):
        if not (isinstance(key, ast.Constant) and isinstance(key.value, str)):
            return None
        entries.append((key.value, _source_of_number(value)))
    return entries


def _source_of_number(node: ast.expr) -> str:
    """Return a number as text: a literal, one in quotes, or numpy's `np.float64(1.5)`; anything else as it is written."""
    if isinstance(node, ast.Call) and ast.unparse(node.func) in {"np.float64", "np.float32"} and len(node.args) == 1:
        node = node.args[0]
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.Constant) and isinstance(node.value, bool | complex):
        return "no number"
    text = ast.unparse(node)
    return {"1e309": "inf", "-1e309": "-inf"}.get(text, text)


FORMATS: Mapping[str, LineReader] = {
    "protocol": _protocol,
    "nanogpt": _nanogpt,
    "modded-nanogpt": _modded,
    "autoresearch": _autoresearch,
    "huggingface": _huggingface,
    "llm-research-kit": _kit,
}
"""Readers by the name of the format in `exprun_log_format`."""
_HUGGINGFACE = ("runtime", "samples_per_second", "steps_per_second")
CLOCKS: Mapping[str, tuple[str, ...]] = {
    "protocol": (),
    "nanogpt": ("time", "mfu"),
    "modded-nanogpt": ("train_time", "step_avg"),
    "autoresearch": ("training_seconds", "total_seconds", "startup_seconds", "peak_vram_mb", "mfu_percent"),
    "huggingface": tuple(f"{stage}_{name}" for stage in ("train", "eval", "val", "test") for name in _HUGGINGFACE),
    "llm-research-kit": (),
}
"""What a clock or the machine measured of the numbers that a format prints, as its own programs name them."""


def declared_clocks(settings: Settings) -> tuple[str, ...]:
    """Return the metrics of a run that no comparison of two runs looks at: those of `exprun_clocks`, and of the format of its output."""
    formats = CLOCKS if settings.log_format not in CLOCKS else {settings.log_format: CLOCKS[settings.log_format]}
    printed = (
        (name for names in formats.values() for name in names) if settings.command and not settings.pattern else ()
    )
    return (*settings.clocks, *printed)
