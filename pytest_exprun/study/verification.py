"""Re-verification: whether changed code still computes what a stored run computed.

One stored seed is trained again under the new key. Its progress lines are compared as they come: a prefix may reject, never accept. Only
equality to the last bit of the last metric lets the arm's other stored seeds stand, and only for this arm.
"""

from __future__ import annotations

from pytest_exprun.terms.model import CurvePoint, RunResult
from pytest_exprun.trust.store.records import difference, point_difference


class Differs(BaseException):  # stops a run from its progress callback; no `except Exception` of a trainer may hold it
    """The run being verified departs from the stored one; the message says where."""


class Verification:
    """Compares one run with its stored twin, while it trains."""

    def __init__(self, stored: RunResult) -> None:
        self.stored = stored
        self._seen = 0

    def hear(self, point: CurvePoint) -> None:
        """Compare the next progress line.

        Raises:
            Differs: it is not the stored one. Training on is of no use.
        """
        number, self._seen = self._seen, self._seen + 1
        if number >= len(self.stored.curve):
            raise Differs(f"progress line {number + 1}, the stored run printed {len(self.stored.curve)}")
        differs = point_difference(self.stored.curve[number], point)
        if differs:
            raise Differs(differs)

    def outcome(self, result: RunResult) -> str | None:
        """Return what differs in the finished run, None if it equals the stored one bit for bit."""
        return difference(self.stored, result)
