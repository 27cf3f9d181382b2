"""Training functions with keyword arguments, `def train(seed, train_tokens, output_dir, lr=3e-4, rope=False)`: flags become arguments.

Whether a function takes keywords or an argv list is decided by its signature; how the text of a flag is read, by its annotation.
"""

from __future__ import annotations

import collections.abc
import difflib
import enum
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_exprun.terms.errors import TrainerError
from pytest_exprun.terms.model import RunSpec, revealed

_SEQUENCES = (list, tuple, collections.abc.Sequence, set, frozenset)
_WORDS: Mapping[Any, Mapping[str, Any]] = {
    bool: {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False},
    type(None): {"none": None},
}
_ABSENT = inspect.Parameter.empty
_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class Keywords:
    """The signature of a training function that takes keywords.

    Raises:
        TrainerError: it has no way to be given its seed or budget, or wants something that no flag can give.
    """

    def __init__(self, signature: inspect.Signature, hints: Mapping[str, Any]) -> None:
        self._parameters = {each.name: each for each in signature.parameters.values() if each.kind in _BY_NAME}
        self._any = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in signature.parameters.values())
        self._hints = hints
        nameless = [
            each.name for each in signature.parameters.values() if each.kind is inspect.Parameter.POSITIONAL_ONLY
        ]
        if nameless:
            raise TrainerError(f"its parameter {nameless[0]} cannot be given by name: take the / out of the signature")

    def arguments(self, spec: RunSpec, output_dir: str) -> dict[str, Any]:
        """Return the keyword arguments of one run.

        Raises:
            TrainerError: a flag that the function does not take, or a value that its annotation does not allow.
        """
        given = self._own(spec, output_dir)
        for name, texts in _options(revealed((*spec.common_args, *spec.variant.flags))):
            given |= self._argument(name, texts)
        missing = [name for name, each in self._parameters.items() if each.default is _ABSENT and name not in given]
        if missing:
            raise TrainerError(
                f"needs the argument {missing[0]}: give it a default, or --{missing[0]}=... in exprun_args"
            )
        return given

    def _own(self, spec: RunSpec, output_dir: str) -> dict[str, Any]:
        budget = f"train_{spec.budget.unit}"
        own = {"seed": spec.seed, budget: spec.budget.amount, "output_dir": output_dir}
        for name in ("seed", budget):
            if not self._takes(name):
                raise TrainerError(f"has no parameter {name}: every run is told its own; add it, and use it")
        return {name: value for name, value in own.items() if self._takes(name)}

    def _takes(self, name: str) -> bool:
        return self._any or name in self._parameters

    def _argument(self, option: str, texts: Sequence[str]) -> dict[str, Any]:
        name = option.replace("-", "_")
        if name not in self._parameters and name.startswith("no_") and not texts:
            positive = name.removeprefix("no_")
            if self._takes(positive) and self._kind(positive) in (bool, _ABSENT):
                return {positive: False}
        if not self._takes(name):
            close = difflib.get_close_matches(name, self._parameters, n=1)
            raise TrainerError(f"has no parameter {name}" + (f"; did you mean --{close[0]}?" if close else ""))
        try:
            return {name: _read(texts, self._kind(name))}
        except ValueError:
            shown = " ".join([f"--{option}", *texts])
            raise TrainerError(f"cannot be given {shown}: {name} must be {_said(self._kind(name))}") from None

    def _kind(self, name: str) -> Any:
        """The annotation of a parameter, else the type of its default."""
        if name in self._hints:
            return self._hints[name]
        default = self._parameters[name].default if name in self._parameters else _ABSENT
        return _ABSENT if default is _ABSENT or default is None else type(default)


def keywords_of(function: Callable[..., object]) -> Keywords | None:
    """Return how a function takes keywords; None if it takes an argv list.

    It takes keywords if it has a parameter `seed`, or collects keywords and has no other parameter.

    Raises:
        TrainerError: it takes neither.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    kinds = [each.kind for each in signature.parameters.values()]
    if not kinds:
        raise TrainerError(
            "takes no argument: it needs argv, a list of words, or the keywords seed, train_tokens and output_dir"
        )
    if "seed" not in signature.parameters and kinds != [inspect.Parameter.VAR_KEYWORD]:
        return None
    try:
        hints = typing.get_type_hints(function)
    except Exception:  # noqa: BLE001  # an annotation that names something only a type checker imports
        hints = {}
    return Keywords(signature, hints)


def _options(tokens: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Split tokens into options and the texts that belong to each: `--lr=3` and `--lr 3` are the same."""
    options: list[tuple[str, list[str]]] = []
    for token in tokens:
        if token.startswith("--"):
            name, equals, value = token[2:].partition("=")
            options.append((name, [value] if equals else []))
        elif options:
            options[-1][1].append(token)
        else:
            raise TrainerError(f"takes keywords, and {token!r} belongs to none: write --name=value")
    return options


def _read(texts: Sequence[str], kind: Any) -> Any:
    """Read an option's texts as a type. A ValueError says that they are none of it."""
    if type(None) in typing.get_args(kind):
        # `list[int] | None` takes a list.
        kind = next((each for each in typing.get_args(kind) if typing.get_origin(each) in _SEQUENCES), kind)
    origin = typing.get_origin(kind)
    if origin in _SEQUENCES or kind in _SEQUENCES:
        inner = (typing.get_args(kind) or (_ABSENT,))[0]
        values = [_read([each], inner) for each in texts]
        return values if (origin or kind) is collections.abc.Sequence else (origin or kind)(values)
    if not texts:
        if kind in (bool, _ABSENT, Any) or bool in typing.get_args(kind):
            return True
        raise ValueError
    if len(texts) > 1:
        raise ValueError
    return _read_one(texts[0], kind)


def _read_one(text: str, kind: Any) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return _read_one(text, arguments[0])
    if origin in (typing.Union, types.UnionType):
        return _first_that_reads(text, arguments)
    if origin is typing.Literal:
        return _one_of(text, {str(value): value for value in arguments})
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _one_of(text, {str(each.value): each for each in kind} | dict(kind.__members__))
    if isinstance(kind, type) and kind in _WORDS:
        return _one_of(text.lower(), _WORDS[kind])
    return kind(text) if kind in (int, float, str, Path) else _guess(text)


def _one_of(text: str, values: Mapping[str, Any]) -> Any:
    if text not in values:
        raise ValueError(text)
    return values[text]


def _first_that_reads(text: str, kinds: Sequence[Any]) -> Any:
    """Try the members of a union, text last: everything can be read as text."""
    for kind in sorted(kinds, key=lambda kind: kind is str):
        try:
            return _read_one(text, kind)
        except ValueError:
            continue
    raise ValueError(text)


def _guess(text: str) -> Any:
    """Read what has no annotation: a whole number, a number, true or false, none, else text."""
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    return _first_that_reads(text, (int, float, type(None), str))


def _said(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind).replace("typing.", "")
