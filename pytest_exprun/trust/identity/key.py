"""The key of a run: named components, each a short text that a person can compare."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from pytest_exprun.terms.errors import one_line
from pytest_exprun.trust.identity.packages import ABSENT

SCHEMA = "1"
"""Raised when the meaning of a record changes, so that older records are trained again and not misread."""
QUESTION = ("flags", "common args", "budget")
"""Components that say what is asked. The others say under which conditions it was answered."""
_SOURCE = "source "
_NAMED_BY_SOURCES = ("input ", "package ", "environment ")
_LONGEST_SHOWN = 80


@dataclass(frozen=True)
class Key:
    """What a run depends on, by component. Equal digests mean that one run may stand for the other."""

    components: Mapping[str, str]

    def __hash__(self) -> int:
        return hash(self.digest)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the canonical JSON of the components, in hex."""
        text = json.dumps(dict(self.components), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def short(self) -> str:
        """The first 12 hex digits: a folder name. Records are compared by all components, never by this."""
        return self.digest[:12]

    @property
    def question(self) -> tuple[str, ...]:
        """The components that say what is asked, whatever the code and the machine."""
        return tuple(self.components.get(name, "") for name in QUESTION)

    def has_source(self, file: str) -> bool:
        """Whether a file is one of the sources; it may be named from further up than the root directory."""
        return any(
            f"/{file}".endswith(f"/{name.removeprefix(_SOURCE)}")
            for name in self.components
            if name.startswith(_SOURCE)
        )

    def changes(self, other: Key) -> list[tuple[str, str, str]]:
        """Return (component, value here, value in `other`) for each that differs; a missing one reads `absent`."""
        names = sorted({*self.components, *other.components})
        pairs = ((name, self.components.get(name, ABSENT), other.components.get(name, ABSENT)) for name in names)
        return [(name, old, new) for name, old, new in pairs if old != new]

    def may_be_equal(self, other: Key) -> bool:
        """Whether training one seed again can show that only code changed, and nothing that matters.

        So it is where sources differ, and beyond them only what the sources newly name or name no more (an input, a package, an
        environment variable); not where something that both name has another value.
        """
        changes = self.changes(other)
        others = [change for change in changes if not change[0].startswith(_SOURCE)]
        newly_named = all(name.startswith(_NAMED_BY_SOURCES) and ABSENT in (old, new) for name, old, new in others)
        return newly_named and len(others) < len(changes)

    def why(self, other: Key) -> str:
        """Say in one line what differs from this key to `other`: `source train_llm.py changed; package torch 2.12.0 -> 2.13.0`."""
        return one_line("; ".join(_say_change(*change) for change in self.changes(other))) or "nothing"


def _say_change(name: str, old: str, new: str) -> str:
    if old == ABSENT:
        return f"{name} is new"
    if new == ABSENT:
        return f"{name} is gone"
    if re.fullmatch(r"[0-9a-f]{64}", old) or (name != "python" and len(old) + len(new) > _LONGEST_SHOWN):
        return f"{name} changed"
    return f"{name} {old} -> {new}"
