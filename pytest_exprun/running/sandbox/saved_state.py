"""Kinds of process state: how each is read, compared and put back; and a snapshot of many of them.

Libraries are looked up in `sys.modules` and never imported here: state of a library that nobody imported cannot have changed.
"""

from __future__ import annotations

import functools
import operator
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Snapshot = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """One kind of state.

    Attributes:
        name: what a person calls it.
        get: read the state; the value must be independent of later changes.
        put: restore such a value.
        module: the library it belongs to, which must be loaded.
        same: whether two values are the same state.
        numeric: it can change a run's numbers, so what a trainer sets while it is imported is set again before each run.
        delta: what changed from one value to another, in a form for `apply`, None for nothing; by default the new value.
        apply: make such a change; by default `put`.
    """

    name: str
    get: Callable[[], Any]
    put: Callable[[Any], object]
    module: str = "sys"
    same: Callable[[Any, Any], bool] = operator.eq
    numeric: bool = False
    delta: Callable[[Any, Any], Any] | None = None
    apply: Callable[[Any], object] | None = None

    @property
    def loaded(self) -> bool:
        """Whether the state exists in this process."""
        return self.module in sys.modules


def found(path: str) -> Any:
    """Look up `torch.backends.cudnn` as it is now."""
    module, *rest = path.split(".")
    return functools.reduce(getattr, rest, sys.modules[module])


def calling(path: str) -> Callable[..., Any]:
    """Return a function that is looked up when it is called."""

    def call(*values: Any, **named: Any) -> Any:
        return found(path)(*values, **named)

    return call


def pair(name: str, get: str, put: str, **more: Any) -> Kind:
    """State that one function reads and another one sets, given by their paths."""
    return Kind(name, calling(get), calling(put), get.partition(".")[0], **more)


def rebound(path: str, same: Callable[[Any, Any], bool] = operator.is_, **more: Any) -> Kind:
    """An attribute that is set anew: a hook, a stream, a flag."""
    owner, _, name = path.rpartition(".")
    return Kind(
        path,
        lambda: getattr(found(owner), name, None),
        lambda value: setattr(found(owner), name, value),
        path.partition(".")[0],
        same,
        **more,
    )


def members(path: str, same: Callable[[Any, Any], bool] | None = None, **more: Any) -> Kind:
    """A list that others hold a reference to: its members are restored, not the object."""

    def put(value: list[Any]) -> None:
        found(path)[:] = value

    return Kind(path, lambda: list(found(path)), put, path.partition(".")[0], same or same_members, **more)


def patched(path: str) -> Kind:
    """Functions and classes of a module that a run may have replaced; new ones are none of our business."""

    def put(before: Mapping[str, Any]) -> None:
        put_back(found(path), _functions(before))

    return Kind(f"functions of {path}", lambda: dict(vars(found(path))), put, path.partition(".")[0], _same_functions)


def _functions(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: each for name, each in members.items() if callable(each) and not name.startswith("_")}


def _same_functions(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    return same_entries(before, after) or none_replaced(_functions(before), after)


def put_back(owner: Any, before: Mapping[str, Any]) -> None:
    """Set the attributes that were replaced."""
    for name, value in before.items():
        if vars(owner).get(name) is not value:
            setattr(owner, name, value)


def none_replaced(before: Mapping[Any, Any], after: Mapping[Any, Any]) -> bool:
    """Whether all entries are the same objects; new ones are none of our business."""
    return same_entries(before, after) or all(after.get(name) is value for name, value in before.items())


def same_entries(one: Mapping[Any, Any], two: Mapping[Any, Any]) -> bool:
    """Whether nothing happened to thousands of entries, as a rule; quicker than to look each up, and where it says no, look them up."""
    return (
        len(one) == len(two) and all(map(operator.is_, one, two)) and all(map(operator.is_, one.values(), two.values()))
    )


def same_members(one: list[Any], two: list[Any]) -> bool:
    """Whether two lists hold the same objects."""
    return len(one) == len(two) and all(map(operator.is_, one, two))


def same_text(one: object, two: object) -> bool:
    """Whether two values without an equality of their own say the same."""
    return repr(one) == repr(two)


def capture(kinds: Iterable[Kind]) -> Snapshot:
    """Read all state there is now."""
    return {kind.name: kind.get() for kind in kinds if kind.loaded}


def restore(before: Snapshot, kinds: Iterable[Kind]) -> list[str]:
    """Put back what differs from a snapshot; return what could not be, one phrase each."""
    leaks = []
    for kind in kinds:
        if kind.name not in before:
            continue
        try:
            if not kind.same(before[kind.name], kind.get()):
                kind.put(before[kind.name])
                if not kind.same(before[kind.name], kind.get()):
                    leaks.append(f"a changed {kind.name}")
        except Exception as error:  # noqa: BLE001  # one state that cannot be read must not keep the others from being restored
            leaks.append(f"a changed {kind.name} ({type(error).__name__}: {error})")
    return leaks
