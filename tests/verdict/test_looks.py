"""The looks of a comparison: which seeds and level each has, and what it says of them."""

import math

import pytest

from pytest_exprun.terms.errors import RefusedError
from pytest_exprun.terms.model import SEEDS
from pytest_exprun.verdict.looks import BLOW_UP, RULE_LEVELS, Levels, Look, checked_arms, p_text, plan_looks

# Mean 0 and s_b exactly 1.
UNIT = dict(zip(SEEDS, (1.0, -1.0, 1.0, -1.0, 0.0), strict=True))
LEVELS = Levels(standard=(0.1, 0.2), unpaired=0.3, half=0.4, single=0.5)


def looks(experiment, baseline=UNIT, plan=None, number=2):
    """Return (number, alpha, is_last, seeds) of each look, and what is missing."""
    found, missing = plan_looks(baseline, experiment, plan, LEVELS, number)
    return [(look.number, look.alpha, look.is_last, tuple(look.experiment)) for look in found], missing


def test_three_seeds_are_a_first_look_that_misses_two():
    """Its level is that of the plan with them."""
    three = dict(list(UNIT.items())[:3])
    assert looks(three) == ([(1, 0.1, False, SEEDS[:3])], SEEDS[3:])


def test_five_seeds_are_both_looks():
    """The last is on all of them, at a level for pairs or without."""
    assert looks(UNIT)[0] == [(1, 0.1, False, SEEDS[:3]), (2, 0.2, True, SEEDS)]
    others = dict(zip(range(5), UNIT.values(), strict=True))
    assert [alpha for _, alpha, *_ in looks(others)[0]] == [0.1, 0.3]


def test_another_plan_has_halves_and_a_single_look_the_whole():
    """Seven seeds; all at once; a plan that ends at three."""
    seven = dict(zip(range(7), [*UNIT.values(), 2.0, -2.0], strict=True))
    assert [alpha for _, alpha, *_ in looks(seven)[0]] == [0.4, 0.4]
    assert looks(UNIT, number=1)[0] == [(1, 0.5, True, SEEDS)]
    assert looks(dict(list(UNIT.items())[:3]), plan=SEEDS[:3]) == ([(1, 0.5, True, SEEDS[:3])], ())


def test_the_levels_of_both_looks_are_the_protocols():
    """.0096 and .0196 paired, .0125 where nothing was simulated, .025 at once."""
    assert (RULE_LEVELS.standard, RULE_LEVELS.half, RULE_LEVELS.single) == ((0.0096, 0.0196), 0.0125, 0.025)


def look(experiment):
    """Return a last look at these values, more being better."""
    return Look(1, 0.01, 0.02, is_last=True, baseline=UNIT, experiment=experiment, s_b=1.0)


def test_what_is_wrong_with_seeds_is_said_in_a_sentence():
    """Which diverged, and which is off by more than the limit; nothing where all is well."""
    assert look({42: math.nan, 7: 1.0, 256: math.inf}).why_diverged == "2 of 3 seeds diverged (42, 256)"
    worst = look({42: 0.0, 7: -BLOW_UP - 1, 256: 0.0}).why_blown_up
    assert worst == "seed 7 is worse than the baseline's mean by 21.0 baseline sigmas (limit: 20)"
    fine = look({42: 0.0, 7: -BLOW_UP, 256: BLOW_UP + 9})
    assert (fine.why_diverged, fine.why_blown_up) == ("", "")


def test_a_look_reads_as_test_p_and_level():
    """As a verdict's reason quotes it."""
    assert (
        look({7: 9.0, 8: 9.1, 9: 9.2}).test_text(1.0)
        == f"Welch p {p_text(look({7: 9.0, 8: 9.1, 9: 9.2}).one_sided_p(1.0))} (level .01)"
    )


def test_arms_are_turned_so_that_more_is_better():
    """And a baseline that cannot be a yardstick is refused."""
    b, e = checked_arms(UNIT, {1: 1, 2: 2, 3: 3}, lower_is_better=True)
    assert (b[42], e) == (-1.0, {1: -1.0, 2: -2.0, 3: -3.0})
    with pytest.raises(RefusedError, match="does the seed reach the trainer"):
        checked_arms(dict.fromkeys(SEEDS, 1.0), UNIT, lower_is_better=True)
