"""What a session of many ideas can see, before it begins: runs, false keeps to expect, the smallest effect that is found.

The figures are simulated: ideas without any effect, normal seeds, one after the other, each one that is kept the next baseline, its luck
included. They stand on docs/statistics-simulation.md, where `make simulate` measures them again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pytest_exprun.terms.errors import RefusedError
from pytest_exprun.verdict.rules import rule_named
from pytest_exprun.verdict.sessions.spending import level, seeds_for

MOST_IDEAS = 1_000
"""The longest session that was simulated."""
_ENDLESS = 1e15
"""Runs that nobody has the time for: keeps hours without end from being no number."""


class Null(NamedTuple):
    """A session of so many ideas without any effect.

    `any_kept` and `any_confirmed` are shares of sessions that keep at least one: every WINNER, or those that are confirmed in a ledger.
    `kept`, `winners` (to confirm) and `fresh_runs` (of all confirmations, both arms) are means a session.
    """

    ideas: int
    any_kept: float
    any_confirmed: float
    kept: float
    winners: float
    fresh_runs: float


class Simulated(NamedTuple):
    """A rule at a bar.

    `runs` is what an idea without effect takes; `seen` is the true effect, in sigmas, that is called WINNER four times in five, and
    `seen_confirmed` the one that is a WINNER and confirmed four times in five.
    """

    runs: float
    seen: float
    seen_confirmed: float
    sessions: tuple[Null, ...]


TABLE = {
    ("two_sigma", 2.0): Simulated(
        4.90,
        2.52,
        2.53,
        (
            Null(10, 0.1363, 0.0035, 0.1368, 0.287, 7.2),
            Null(30, 0.2122, 0.0071, 0.2151, 0.865, 27.0),
            Null(100, 0.3166, 0.0112, 0.3231, 2.855, 117.1),
            Null(300, 0.4169, 0.0187, 0.4238, 7.982, 407.8),
            Null(1000, 0.5144, 0.0213, 0.5325, 26.796, 1712.3),
        ),
    ),
    ("tested", 2.0): Simulated(
        4.98,
        2.75,
        2.75,
        (
            Null(10, 0.0685, 0.0018, 0.0690, 0.097, 2.2),
            Null(30, 0.1289, 0.0037, 0.1296, 0.284, 7.4),
            Null(100, 0.2190, 0.0081, 0.2220, 0.920, 30.2),
            Null(300, 0.3200, 0.0119, 0.3262, 2.719, 113.0),
            Null(1000, 0.4387, 0.0163, 0.4519, 9.069, 482.4),
        ),
    ),
    ("tested", 1.0): Simulated(
        4.97,
        2.45,
        2.45,
        (
            Null(10, 0.1410, 0.0035, 0.1424, 0.210, 4.7),
            Null(30, 0.2602, 0.0073, 0.2642, 0.615, 16.1),
            Null(100, 0.4094, 0.0132, 0.4279, 2.011, 67.4),
            Null(300, 0.5519, 0.0150, 0.5969, 6.105, 261.3),
            Null(1000, 0.6675, 0.0213, 0.7569, 20.047, 1095.5),
        ),
    ),
    ("tested", 0.0): Simulated(
        4.97,
        2.44,
        2.45,
        (
            Null(10, 0.1639, 0.0054, 0.1656, 0.230, 5.2),
            Null(30, 0.3040, 0.0109, 0.3111, 0.682, 17.8),
            Null(100, 0.4814, 0.0187, 0.5130, 2.256, 74.5),
            Null(300, 0.6462, 0.0219, 0.7350, 6.803, 286.8),
            Null(1000, 0.7800, 0.0281, 0.9519, 22.523, 1218.1),
        ),
    ),
}
"""Rule and bar -> its figures. The standard error of a share is at most .6 points, 1.2 for 1,000 ideas."""


@dataclass(frozen=True)
class SessionOutlook:
    """What a session can see, if no idea has any effect; one that has adds its confirmation. Effects are in baseline sigmas.

    Attributes:
        ideas: how many are to be tried.
        possible_runs: how many runs the time allows.
        runs: how many the ideas take; the baseline is stored.
        confirmed_runs: how many with each WINNER confirmed on fresh seeds.
        possible_ideas: how many ideas the time allows, of those asked for.
        possible_confirmed: how many with confirmation.
        any_kept: probability that a session of these ideas keeps at least one.
        kept: how many it keeps on average.
        any_confirmed: probability that it keeps at least one where each must be confirmed; at most .05 however many ideas there are.
        winners: how many WINNERs are to be confirmed, on average.
        runs_of_first: runs of the first confirmation.
        seen: the smallest true effect that is called WINNER four times in five.
        seen_confirmed: the smallest one that is a WINNER and confirmed four times in five.
    """

    ideas: int
    possible_runs: int
    runs: int
    confirmed_runs: int
    possible_ideas: int
    possible_confirmed: int
    any_kept: float
    kept: float
    any_confirmed: float
    winners: float
    runs_of_first: int
    seen: float
    seen_confirmed: float


def session_outlook(
    ideas: int,
    hours: float,
    seconds_a_run: float,
    *,
    rule: str = "two_sigma",
    min_effect: float = 2.0,
    jobs: int = 1,
) -> SessionOutlook:
    """Say what a session of ideas can see.

    Args:
        ideas: how many are to be tried, 1 to 1,000.
        hours: how long the session may last, above 0.
        seconds_a_run: wall seconds of one run, above 0.
        rule: `two_sigma` or `tested`.
        min_effect: the bar of `tested` in baseline sigmas; one between two that were simulated has the figures of the lower.
        jobs: how many runs are performed at once.

    Raises:
        RefusedError: an argument outside its domain.
    """
    _refuse_no_session(ideas, hours, seconds_a_run, jobs)
    row = rule_named(rule)
    chance = row.chance(min_effect)
    found = TABLE[row.name, chance.bar]
    sessions = (_single(chance.false_winners), *found.sessions)
    null = _at(sessions, ideas)

    def runs(count: int) -> int:
        return round(found.runs * count)

    def confirmed_runs(count: int) -> int:
        return round(found.runs * count + _at(sessions, count).fresh_runs)

    possible = math.floor(min(hours * 3600 / seconds_a_run * jobs, _ENDLESS))
    return SessionOutlook(
        ideas=ideas,
        possible_runs=possible,
        runs=runs(ideas),
        confirmed_runs=confirmed_runs(ideas),
        possible_ideas=_most(runs, ideas, possible),
        possible_confirmed=_most(confirmed_runs, ideas, possible),
        any_kept=null.any_kept,
        kept=null.kept,
        any_confirmed=null.any_confirmed,
        winners=null.winners,
        runs_of_first=2 * seeds_for(level(())),
        seen=found.seen,
        seen_confirmed=found.seen_confirmed,
    )


def _refuse_no_session(ideas: int, hours: float, seconds_a_run: float, jobs: int) -> None:
    if isinstance(ideas, bool) or not isinstance(ideas, int) or not 1 <= ideas <= MOST_IDEAS:
        raise RefusedError(
            f"ideas = {ideas!r}: allowed is a whole number from 1 to {MOST_IDEAS:,}, the sessions that were simulated"
        )
    for name, value in (("hours", hours), ("seconds a run", seconds_a_run), ("jobs", jobs)):
        if not (math.isfinite(value) and value > 0):
            raise RefusedError(f"{name} = {value}: allowed is a finite number above 0")


def _single(false_winners: float) -> Null:
    """Return a session of one idea, which needs no simulation: it may be the first confirmation of a ledger."""
    alpha = level(())
    return Null(
        1, false_winners, false_winners * alpha, false_winners, false_winners, 2 * seeds_for(alpha) * false_winners
    )


def _at(sessions: Sequence[Null], ideas: int) -> Null:
    """Return a session of any length: between two that were simulated each figure is a power of the number of ideas."""
    high = next(each for each in sessions if each.ideas >= ideas)
    if high.ideas == ideas:
        return high
    low = sessions[sessions.index(high) - 1]
    part = math.log(ideas / low.ideas) / math.log(high.ideas / low.ideas)
    return Null(ideas, *(before * (after / before) ** part for before, after in zip(low[1:], high[1:], strict=True)))


def _most(runs: Callable[[int], int], ideas: int, possible: int) -> int:
    """Return how many of the ideas fit into the possible runs: what they take grows with the ideas, so bisect."""
    low, high = 0, ideas
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if runs(middle) <= possible else (low, middle - 1)
    return low
