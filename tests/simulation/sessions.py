"""Sessions of many ideas, one after the other: each one that is kept becomes the next baseline, its luck included.

All sessions of a kind go on side by side, a row each. Lower is better, and the unit is the standard deviation of one baseline seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import twin
from draws import EXPERIMENT, noise
from levels import Level
from twin import Bools, Floats

from pytest_exprun.verdict.confirmation import LEVEL
from pytest_exprun.verdict.sessions.spending import seeds_for

SHARE = 0.1
"""Of the ideas one in ten truly helps."""


@dataclass(frozen=True)
class Ideas:
    """What is tried: `count` ideas, each with probability .1 better by `effect` sigmas; the others are worse by `harm`."""

    count: int
    effect: float = 0.0
    harm: float = 0.0
    shape: str = "normal"
    rho: float = 0.0


def fresh_seeds(alpha: float) -> int:
    """Return the package's number of fresh seeds; LORD++ and SAFFRON give levels above those that it knows."""
    return seeds_for(min(alpha, LEVEL))


@dataclass(frozen=True)
class Strategy:
    """How ideas are kept: by a single run (`is_ratchet`), as WINNER, or as a WINNER that is confirmed at a level with so many fresh seeds.

    With `moves_to_fresh` a confirmed idea's fresh seeds, not its first ones, are the next baseline. The rule and its bar are the package's.
    """

    level: Level | None = None
    seeds: Callable[[float], int] = fresh_seeds
    is_ratchet: bool = False
    moves_to_fresh: bool = False
    rule: str = "two_sigma"
    bar: float = 2.0


@dataclass
class Outcome:
    """One entry a session.

    Attributes:
        false: ideas kept that do not help.
        true: ideas kept that do.
        gain: what all that was kept truly gained, in sigmas.
        claimed: sum of the estimates that each was kept by: the first look's, or the fresh seeds'.
        winners: WINNERs, which is how many confirmations were asked for.
        runs: all that was trained, the first baseline included.
        fresh: fresh seeds a side, of all confirmations.
    """

    false: Floats
    true: Floats
    gain: Floats
    claimed: Floats
    winners: Floats
    runs: Floats
    fresh: Floats

    @classmethod
    def nothing(cls, sessions: int) -> Outcome:
        """Begin with no idea tried."""
        return cls(*(np.zeros(sessions) for _ in range(7)))

    def keep(self, kept: Bools, effects: Floats, claims: Floats) -> None:
        """Count the ideas that are kept."""
        self.false += kept & (effects <= 0)
        self.true += kept & (effects > 0)
        self.gain += np.where(kept, effects, 0.0)
        self.claimed += np.where(kept, claims, 0.0)


def run(rng: np.random.Generator, sessions: int, ideas: Ideas, strategy: Strategy) -> Outcome:
    """Simulate sessions of these ideas."""
    return _ratchet(rng, sessions, ideas) if strategy.is_ratchet else _Ladder(rng, sessions, ideas, strategy).climb()


def _effects(rng: np.random.Generator, sessions: int, ideas: Ideas) -> Floats:
    """Draw the true improvement of each session's next idea."""
    return np.where(rng.random(sessions) < SHARE, ideas.effect, -ideas.harm)


def _widths(ideas: Ideas) -> tuple[float, float]:
    """Standard deviation of a seed of the first baseline, and of an idea."""
    return 1.0, 2.0 if ideas.shape == "twice the noise" else 1.0


def _ratchet(rng: np.random.Generator, sessions: int, ideas: Ideas) -> Outcome:
    """One run an idea, kept if it is lower than the best so far."""
    found, (first, width) = Outcome.nothing(sessions), _widths(ideas)
    best = first * noise(rng, (sessions,), ideas.shape)
    for _ in range(ideas.count):
        effects = _effects(rng, sessions, ideas)
        value = width * noise(rng, (sessions,), ideas.shape) - found.gain - effects
        kept = value < best
        found.keep(kept, effects, best - value)
        best = np.where(kept, value, best)
    found.runs += 1 + ideas.count
    return found


@dataclass
class _Ladder:
    """Sessions that judge five baseline seeds and three to five of each idea.

    `shared` is what a seed adds to any arm that is trained with it; `width` is the standard deviation of the present baseline's seeds.
    """

    rng: np.random.Generator
    sessions: int
    ideas: Ideas
    strategy: Strategy
    found: Outcome = field(init=False)
    histories: list[list[tuple[float, float, bool]]] = field(init=False)

    def __post_init__(self) -> None:
        rows = np.arange(self.sessions)
        self.found, self.histories = Outcome.nothing(self.sessions), [[] for _ in rows]
        self.found.runs += EXPERIMENT
        first, self.idea_width = _widths(self.ideas)
        self.width = np.full(self.sessions, first)
        self.shared = self._shared((self.sessions, EXPERIMENT))
        self.baseline = self._arm(self.shared, rows, self.width)

    def _shared(self, size: tuple[int, int]) -> Floats:
        return self.ideas.rho**0.5 * self.rng.standard_normal(size) if self.ideas.rho else np.zeros(size)

    def _arm(
        self, shared: Floats, rows: np.ndarray, width: Floats | float, improvement: Floats | float = 0.0
    ) -> Floats:
        """Train an arm on top of what some sessions have kept."""
        own = (1 - self.ideas.rho) ** 0.5 * noise(self.rng, shared.shape, self.ideas.shape)
        better = self.found.gain[rows] + improvement
        return np.asarray(width).reshape(-1, 1) * (shared + own) - better[:, None]

    def climb(self) -> Outcome:
        """Try all ideas."""
        everyone = np.arange(self.sessions)
        for _ in range(self.ideas.count):
            effects = _effects(self.rng, self.sessions, self.ideas)
            arm = self._arm(self.shared, everyone, self.idea_width, effects)
            rule = {"rule": self.strategy.rule, "min_effect": self.strategy.bar}
            judged = twin.judge_many(self.baseline, arm, kinds=False, **rule)
            self.found.runs += np.where(judged.look == 1, twin.FIRST_LOOK, EXPERIMENT)
            self.found.winners += judged.winner
            rows = np.flatnonzero(judged.winner)
            kept, claims, following = rows, judged.improvement[rows], arm[rows]
            if self.strategy.level is not None and len(rows):
                confirmed, claims, fresh = self._confirm(rows, effects[rows], self.strategy.level)
                kept, claims = rows[confirmed], claims[confirmed]
                following = (fresh if self.strategy.moves_to_fresh else arm[rows])[confirmed]
            self._move(kept, effects, claims, following, judged.look[kept] == 1)
        return self.found

    def _move(self, kept: np.ndarray, effects: Floats, claims: Floats, following: Floats, was_early: Bools) -> None:
        """Make what was kept the next baseline; one that won with three seeds needs two more."""
        is_kept, all_claims = np.zeros(self.sessions, bool), np.zeros(self.sessions)
        is_kept[kept], all_claims[kept] = True, claims
        self.found.keep(is_kept, effects, all_claims)
        if not self.strategy.moves_to_fresh:
            self.found.runs[kept] += (EXPERIMENT - twin.FIRST_LOOK) * was_early
        self.baseline[kept], self.width[kept] = following, self.idea_width

    def _confirm(self, rows: np.ndarray, effects: Floats, level: Level) -> tuple[Bools, Floats, Floats]:
        """Train both arms on fresh seeds and test the improvement; return what is confirmed, its estimate, and five of its fresh seeds."""
        alphas = np.array([level(self.histories[row]) for row in rows])
        counts = np.array([self.strategy.seeds(float(alpha)) for alpha in alphas])
        shared = self._shared((len(rows), int(counts.max())))
        control = self._arm(shared, rows, self.width[rows])
        arm = self._arm(shared, rows, self.idea_width, effects)
        p_values, estimates = paired_p(control - arm, counts)
        confirmed = p_values <= alphas
        for row, *outcome in zip(rows, p_values, alphas, confirmed, strict=True):
            self.histories[row].append((float(outcome[0]), float(outcome[1]), bool(outcome[2])))
        self.found.runs[rows] += 2 * counts
        self.found.fresh[rows] += counts
        return confirmed, estimates, arm[:, :EXPERIMENT]


def paired_p(improvements: Floats, counts: np.ndarray) -> tuple[Floats, Floats]:
    """One-sided p of the paired t test over the first so many columns of each row, and the mean improvement."""
    used = np.arange(improvements.shape[1]) < counts[:, None]
    means = np.where(used, improvements, 0.0).sum(axis=1) / counts
    squares = np.where(used, (improvements - means[:, None]) ** 2, 0.0).sum(axis=1)
    test = twin._Test(means, np.sqrt(squares / (counts - 1) / counts), counts - 1.0)
    return test.p_for(np.ones(len(counts))), means
