"""Rows of the tables on sessions of many ideas: what is kept, at which level, with how many fresh seeds, on which baseline."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import twin
from draws import arms, centred
from levels import LEVELS, constant, fallback
from sessions import Ideas, Outcome, Strategy, fresh_seeds, paired_p, run
from twin import Bools, Floats

from pytest_exprun.verdict.planning import seeds_needed_paired
from pytest_exprun.verdict.sessions.spending import level, seeds_for

SHAPES = ("normal", "skewed", "heavy tails", "twice the noise")
LENGTHS = (20, 100, 1000)
EFFECTS = (1.0, 1.5, 2.0, 3.0)
LENGTH = 100
FIVE: Callable[[float], int] = lambda _: 5  # noqa: E731
STRATEGIES = {
    "one run, keep if lower": Strategy(is_ratchet=True),
    "two_sigma": Strategy(),
    "confirmed, 5 + 5 at .05 each": Strategy(constant, FIVE),
    "confirmed in a ledger": Strategy(fallback),
}
SIZINGS = ((2.0, 0.8), (2.0, 0.9), (1.5, 0.8), (1.5, 0.9), (1.0, 0.8))
"""(true improvement, power) that the fresh seeds are for."""
SEEN = 0.8
PER_SESSION, PER_LONG_SESSION = 50, 250
"""Trials that a session of up to 100 ideas counts for, and one of 1,000."""


class Measured:
    """Sessions simulated once for all tables, each kind from the same seed."""

    def __init__(self, trials: int, seed: int) -> None:
        self.trials, self.seed = trials, seed
        self._known: dict[tuple[Ideas, Strategy], Outcome] = {}

    def sessions(self, ideas: Ideas) -> int:
        """Return how many sessions are simulated."""
        return self.trials // (PER_SESSION if ideas.count <= LENGTH else PER_LONG_SESSION)

    def __call__(self, ideas: Ideas, strategy: Strategy) -> Outcome:
        """Return what these sessions come to."""
        key = ideas, strategy
        if key not in self._known:
            self._known[key] = run(np.random.default_rng(self.seed), self.sessions(ideas), ideas, strategy)
        return self._known[key]


def share(hits: Bools) -> str:
    """Return a rate in percent."""
    return f"{100 * hits.mean():.1f} %"


def cells(found: Outcome) -> list[str]:
    """Return what stands in every table of sessions: false keeps, true ones, gains, confirmations, runs, gain by runs."""
    gain = found.gain.mean()
    return [
        share(found.false > 0),
        f"{found.false.mean():.3f}",
        f"{found.true.mean():.2f}",
        f"{gain:.2f}",
        f"{found.claimed.mean():.2f}",
        f"{found.winners.mean():.2f}",
        f"{found.runs.mean():,.0f}",
        f"{1000 * gain / found.runs.mean():.2f}",
    ]


KEPT = (
    "Any false keep", "False keeps", "True keeps", "True gain", "Claimed gain", "WINNERs", "Runs", "Gain a 1,000 runs",
)  # fmt: skip


def null_rows(measured: Measured) -> Iterator[list[str]]:
    """Ideas without any effect."""
    for shape in SHAPES:
        for count in LENGTHS:
            for name, strategy in STRATEGIES.items():
                found = cells(measured(Ideas(count, shape=shape), strategy))
                yield [shape, f"{count:,}", name, *found[:2], *found[4:7]]


def helpful_rows(measured: Measured) -> Iterator[list[str]]:
    """One idea in ten helps."""
    for shape in SHAPES:
        for effect in EFFECTS:
            for name, strategy in STRATEGIES.items():
                yield [shape, f"{effect:g}", name, *cells(measured(Ideas(LENGTH, effect, shape=shape), strategy))]


def harmful_rows(measured: Measured) -> Iterator[list[str]]:
    """One idea in ten helps, the others harm."""
    for harm in (0.5, 1.0):
        for name, strategy in STRATEGIES.items():
            yield [f"{harm:g}", name, *cells(measured(Ideas(LENGTH, 1.5, harm), strategy))]


def level_rows(measured: Measured) -> Iterator[list[str]]:
    """The same sessions at each level, with the seeds that it asks for."""
    for effect in (0.0, *EFFECTS):
        for name, each in LEVELS.items():
            yield [f"{effect:g}", name, *cells(measured(Ideas(LENGTH, effect), Strategy(each)))]
    for name, each in LEVELS.items():
        yield ["0, of 1,000 ideas", name, *cells(measured(Ideas(1000), Strategy(each)))]


def sized(size: float, power: float, alpha: float) -> int:
    """Return how many pairs see a true improvement with this probability."""
    return max(5, seeds_needed_paired(size, 0.0, power, 2 * alpha) or 5)


def sizing_rows(measured: Measured) -> Iterator[list[str]]:
    """The ledger's level with more and with fewer fresh seeds."""
    ways = {"5, whatever the level": FIVE} | {
        f"{100 * p:.0f} % at {s:g} sigma": partial(sized, s, p) for s, p in SIZINGS
    }
    for effect in EFFECTS:
        for name, seeds in ways.items():
            counts = ", ".join(str(seeds(alpha)) for alpha in (0.05, 0.025, 0.05 / 6, 0.05 / 110))
            # The package's own, so that these sessions are those of the other tables.
            chosen = fresh_seeds if name == "80 % at 1.5 sigma" else seeds
            yield [f"{effect:g}", name, counts, *cells(measured(Ideas(LENGTH, effect), Strategy(fallback, chosen)))]


def baseline_rows(measured: Measured) -> Iterator[list[str]]:
    """Which of a confirmed idea's seeds the next ideas are compared with."""
    for effect in EFFECTS:
        for name, fresh in (("its first seeds", False), ("its fresh seeds", True)):
            found = measured(Ideas(LENGTH, effect), Strategy(fallback, moves_to_fresh=fresh))
            yield [f"{effect:g}", name, *cells(found)]


def either(control: Floats, arm: Floats) -> Floats:
    """Twice the smaller of both p values."""
    return np.minimum(1.0, 2 * np.minimum(paired(control, arm), welch(control, arm)))


def paired(control: Floats, arm: Floats) -> Floats:
    """One-sided p of the paired test."""
    return paired_p(control - arm, np.full(len(arm), arm.shape[1]))[0]


def welch(control: Floats, arm: Floats) -> Floats:
    """One-sided p of Welch's test."""
    return twin.welch(control, arm).p_for(np.ones(len(arm)))


def test_rows(trials: int, seed: int) -> Iterator[list[str]]:
    """Size and power of the tests that a confirmation might use."""
    for count, alpha in ((5, 0.05), (10, 0.025), (21, 0.05 / 110)):
        for rho in (-0.3, 0.0, 0.5, 0.9):
            rng = np.random.default_rng(seed)
            control, own = rng.standard_normal((2, trials, count))
            arm = rho * control + (1 - rho**2) ** 0.5 * own
            for test in (paired, welch, either):
                rates = (f"{100 * (test(control, arm - size) <= alpha).mean():.2f} %" for size in (0.0, 1.0, 1.5, 2.0))
                yield [str(count), f"{alpha:.2g}".removeprefix("0"), f"{rho:g}", test.__name__, *rates]


def size_rows(trials: int, seed: int) -> Iterator[list[str]]:
    """How often the test confirms a change whose mean is the control's, whatever its seeds."""
    for shape in ("normal", "skewed", "heavy tails", "contaminated"):
        for width in (1.0, 2.0, 0.5):
            rng, rates = np.random.default_rng(seed), []
            for count, alpha in ((5, 0.05), (10, 0.025), (21, 0.05 / 110)):
                control, arm = centred(rng, (trials, count), shape), width * centred(rng, (trials, count), shape)
                rates.append(f"{100 * (paired(control, arm) <= alpha).mean():.3f} %")
            yield [shape, f"{width:g}", *rates]


OUTLOOK_LENGTHS = (1, 10, 30, 100, 300, 1000)
RULES = (("two_sigma", 2.0), ("tested", 2.0), ("tested", 1.0), ("tested", 0.0))


def outlook_rows(measured: Measured) -> Iterator[list[str]]:
    """What `exprun budget` expects of ideas without any effect, by rule, bar and number of ideas."""
    for rule, bar in RULES:
        for count in OUTLOOK_LENGTHS:
            found = measured(Ideas(count), Strategy(rule=rule, bar=bar))
            ledger = measured(Ideas(count), Strategy(fallback, rule=rule, bar=bar))
            kept = (f"{(each.false > 0).mean():.4f}" for each in (found, ledger))
            means = (f"{each.mean():.4f}" for each in (found.false, ledger.winners, ledger.false, 2 * ledger.fresh))
            yield [rule, f"{bar:g}", f"{count:,}", *kept, *means]


def seen_rows(trials: int, seed: int) -> Iterator[list[str]]:
    """The true effect that each rule calls WINNER four times in five, and that is confirmed besides as the first one of a ledger."""
    alpha = level([])
    count = seeds_for(alpha)
    baseline, experiment = arms(np.random.default_rng(seed), trials)
    fresh = np.random.default_rng(seed + 1).standard_normal((2, trials, count))

    def share(which: int, rule: str, bar: float, effect: float) -> float:
        found = twin.judge_many(baseline, experiment - effect, rule=rule, min_effect=bar, kinds=False).winner
        return float((found & (paired(fresh[0], fresh[1] - effect) <= (1.0, alpha)[which])).mean())

    for rule, bar in RULES:
        yield [rule, f"{bar:g}", *(f"{_where(partial(share, which, rule, bar)):.2f}" for which in (0, 1))]


def _where(found: Callable[[float], float]) -> float:
    """Return the least effect with which a share reaches four in five."""
    low, high = 0.0, 8.0
    while high - low > 1e-3:
        middle = (low + high) / 2
        low, high = (low, middle) if found(middle) >= SEEN else (middle, high)
    return high


def claims(measured: Measured) -> Iterator[list[str]]:
    """What the protocol says of sessions, beside what is found."""
    ratchet, default, five, ledger = STRATEGIES.values()
    for count, said in ((20, "18.7 %"), (30, "21 %"), (100, "31 %")):
        yield [
            f"{count} ideas without effect, two_sigma: any kept",
            said,
            share(measured(Ideas(count), default).false > 0),
        ]
    found = measured(Ideas(100), ratchet)
    yield ["100 ideas without effect, one run each: any kept", "99 %", share(found.false > 0)]
    yield ["the same: false keeps, claimed gain", "4.2, 2.5", f"{found.false.mean():.2f}, {found.claimed.mean():.2f}"]
    for effect, said in ((1.5, ".14, .64"), (3.0, ".30, 2.47")):
        found = measured(Ideas(30, effect), default)
        name = f"30 ideas, one in ten {effect:g} sigma better, two_sigma: false, true keeps"
        yield [name, said, f"{found.false.mean():.2f}, {found.true.mean():.2f}"]
    for count, said in ((20, "0.9 %"), (100, "3.7 %")):
        rates = [share(measured(Ideas(count), each).false > 0) for each in (five, ledger)]
        yield [
            f"{count} ideas without effect, confirmed: any kept",
            said,
            f"{rates[0]} at .05 each, {rates[1]} in a ledger",
        ]
    for effect, said in ((1.5, ".02, .64"), (3.0, ".04, 2.56")):
        both = [measured(Ideas(30, effect), each) for each in (five, ledger)]
        texts = [f"{found.false.mean():.2f}, {found.true.mean():.2f}" for found in both]
        name = f"30 ideas, one in ten {effect:g} sigma better, confirmed: false, true keeps"
        yield [name, said, f"{texts[0]} at .05 each; {texts[1]} in a ledger"]
