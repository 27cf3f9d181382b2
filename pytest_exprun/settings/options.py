"""What an option is, whatever reads or shows it, and the kinds of text that options are given as."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_exprun.settings.templates import placeholders
from pytest_exprun.terms.model import SEED_BY_SEED, Budget

PREFIX = "exprun_"


@dataclass(frozen=True)
class Kind:
    """What a text may be: `parse` raises ValueError for anything else. If `explains`, its words are shown beside what is allowed."""

    parse: Callable[[str], Any]
    allowed: str
    explains: bool = False


@dataclass(frozen=True)
class Option:
    """One option: its name everywhere, what it is about (the heading that it is listed under), what it is and what it may be."""

    name: str
    default: Any
    about: str
    kind: Kind
    what: str
    allowed: str

    @property
    def key(self) -> str:
        """The name in ini files and in messages."""
        return PREFIX + self.name

    @property
    def flag(self) -> str:
        """The name on pytest's command line."""
        return f"--{self.key.replace('_', '-')}"

    @property
    def help(self) -> str:
        """What it is and what is allowed, in a line."""
        return f"{self.what} ({self.allowed})"


def option(about: str, default: Any, kind: Kind, what: str, allowed: str = "") -> Any:
    """Return a field of the settings that is an option; `allowed` says more than its kind does."""
    return field(
        default=default, metadata={"about": about, "kind": kind, "what": what, "allowed": allowed or kind.allowed}
    )


def choice(*words: str) -> Kind:
    """One of these words."""

    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(text)
        return text

    return Kind(parse, f"{', '.join(words[:-1])} or {words[-1]}")


def number(low: float, kind: type[int | float] = float) -> Kind:
    """A number of at least `low`; `20_000` is one."""

    def parse(text: str) -> float:
        value = kind(text.replace("_", ""))
        # A whole number too large for a float is none that anything here can count with.
        if not low <= value <= sys.float_info.max:
            raise ValueError(text)
        return value

    return Kind(parse, f"a {'whole ' if kind is int else ''}number of at least {low}")


def entry_point(*instead: str) -> Kind:
    """`module:name`, or one of these words instead."""

    def parse(text: str) -> str:
        module, _, name = text.partition(":")
        if text not in instead and not all(part.isidentifier() for part in (name, *module.split("."))):
            raise ValueError(text)
        return text

    return Kind(parse, ", ".join([*filter(None, instead), "module:name"]))


def _words(text: str) -> tuple[str, ...]:
    return tuple(shlex.split(text))


def _amounts(text: str) -> tuple[str, ...]:
    for word in (found := _words(text)):
        name, equals, amount = word.partition("=")
        if not name or not equals:
            raise ValueError(word)
        number(0).parse(amount)
    return found


def _template(text: str) -> str:
    placeholders(text)
    return text


def _templates(text: str) -> tuple[str, ...]:
    return tuple(map(_template, _words(text)))


def _variables(text: str) -> tuple[str, ...]:
    for word in (found := _templates(text)):
        if not re.match(r"[A-Za-z_]\w*=", word, re.ASCII):
            raise ValueError(f"{word!r} is no NAME=value")
    return found


def _pattern(text: str) -> str:
    try:
        groups = re.compile(text).groupindex
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from None
    if text and not groups:
        raise ValueError("it has no named group")
    return text


def _budget(text: str) -> Budget | None:
    """Nothing, or `tokens` alone, leaves it to exprun_tokens."""
    if text in {"", "tokens"}:
        return None
    amount, _, unit = text.rpartition(" ")
    return Budget(number(1, int).parse(amount), choice("tokens", "steps", "seconds").parse(unit))


def _futility(text: str) -> float | str:
    if text in {"auto", SEED_BY_SEED}:
        return text
    return 0.0 if text == "never" else number(0).parse(text)


def _path(text: str) -> Path:
    if not text.strip() or "\0" in text:
        raise ValueError(text)
    # Path.expanduser raises RuntimeError for an unknown user; as in a shell, `~nobody` then is a name like any other.
    return Path(os.path.expanduser(os.path.expandvars(text)))  # noqa: PTH111


def _revision(text: str) -> str:
    if (name := text.strip()).startswith("-") or not name.isprintable():
        raise ValueError(text)
    return name


def _name(text: str) -> str:
    if not (name := text.strip()):
        raise ValueError(text)
    return name


REVISION = Kind(_revision, "a name that git knows a commit by")
NAME = Kind(_name, "a name the trainer returns")
WORDS = Kind(_words, "words, split as a shell would")
AMOUNTS = Kind(_amounts, "name=amount, as num_cpus=1 num_gpus=1")
TEMPLATE = Kind(_template, "a text with placeholders", explains=True)
TEMPLATES = Kind(_templates, "words with placeholders", explains=True)
VARIABLES = Kind(_variables, "words NAME=value", explains=True)
PATTERN = Kind(_pattern, "a regular expression with a group for each metric", explains=True)
BUDGET = Kind(_budget, "an amount and its unit: 300 seconds, or 2000 steps")
FUTILITY = Kind(_futility, f"auto, never, {SEED_BY_SEED} or a number of at least 0")
PATH = Kind(_path, "a path")
