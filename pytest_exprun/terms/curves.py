"""Which points of a curve are kept: a trainer may print a line for every one of a million steps. Standard library only."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_exprun.terms.outcome import CurvePoint

MAX_POINTS, MAX_OTHER_POINTS = 10_000, 1_000
"""Points that are kept: of all, and of those without the judged metric."""
MAX_BYTES = 6 << 20
"""What the kept points may take in a record, which has room for a third more."""
LIVE_SECONDS = 0.2
"""How often a point is shown, at most."""
_OF_A_NUMBER = 30  # the longest number, quotes and signs around it and its name


class Room:
    """The room that one run's curve has.

    What is kept depends on the points alone, so two runs that print the same keep the same. Leaving out points that are not kept
    changes nothing: a worker need not send all of them.

    Args:
        metric: the judged one.
    """

    def __init__(self, metric: str) -> None:
        self._metric = metric
        self._points, self._others, self._bytes = MAX_POINTS, MAX_OTHER_POINTS, MAX_BYTES

    def admits(self, point: CurvePoint) -> bool:
        """Say whether the next point is kept."""
        other = self._metric not in point.values
        if not self._points or (other and not self._others):
            return False
        size = (len(point.values) + 1) * _OF_A_NUMBER + sum(map(len, point.values))
        if size > self._bytes:
            return False
        self._points, self._others, self._bytes = self._points - 1, self._others - other, self._bytes - size
        return True


def kept(curve: Sequence[CurvePoint], metric: str) -> Sequence[CurvePoint]:
    """Return the points of a curve that would be kept today: a record of an earlier version may hold more."""
    room = Room(metric)
    return [point for point in curve if room.admits(point)]
