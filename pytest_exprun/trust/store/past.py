"""An earlier state of a project, under which runs were stored: its key, and what some of its files said then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pytest_exprun.terms.errors import one_line
from pytest_exprun.trust.identity.answers import may_be_harmless
from pytest_exprun.trust.identity.key import Key


@dataclass(frozen=True)
class Past:
    """A state in which runs were stored.

    Attributes:
        key: of these runs.
        answers: label -> digest of what they asked their surroundings for (`Record.opened`), where the answer is another one now.
    """

    key: Key
    answers: Mapping[str, str] = field(default_factory=dict)

    def may_equal(self, now: Key) -> bool:
        """Whether training one seed again can show that nothing that matters has changed: only code has."""
        same_key = dict(self.key.components) == dict(now.components)
        return (same_key or self.key.may_be_equal(now)) and all(map(may_be_harmless, self.answers))

    def why(self, now: Key) -> str:
        """Say in one line what has changed since."""
        parts = [self.key.why(now)] if self.key != now else []
        return one_line("; ".join([*parts, *(f"{label} changed" for label in sorted(self.answers))]))
