"""planning: power, minimum detectable effects and seeds needed against reference values and each other."""

import json
import math
from pathlib import Path

import pytest
import scipy.stats

from pytest_exprun.terms.errors import RefusedError
from pytest_exprun.verdict import stats
from pytest_exprun.verdict.planning import nct_cdf

PLANNING = json.loads((Path(__file__).parents[1] / "data" / "reference_cases.json").read_text())["planning"]


@pytest.mark.parametrize("case", PLANNING, ids=lambda case: "-".join(map(str, case.values())))
def test_planning_agrees_with_the_reference(case):
    """Power of both designs, and the smallest equal number of seeds."""
    if case["kind"] == "ind":
        value = stats.power(case["d"], case["n_base"], case["n_exp"], case["alpha_two_sided"])
        assert value == pytest.approx(case["power"], rel=1e-6)
    elif case["kind"] == "paired":
        # At rho = .5 a paired difference has the standard deviation of one arm, so d is dz.
        value = stats.power_paired(case["dz"], case["n_pairs"], 0.5, case["alpha_two_sided"])
        assert value == pytest.approx(case["power"], rel=1e-6)
    else:
        assert stats.seeds_needed(case["d"], case["power"], case["alpha_two_sided"]) == case["n_per_arm"]


def test_minimum_detectable_effects_are_the_protocols():
    """At power .8: 2.46 sigma at 5 vs 3, 2.02 at 5 vs 5, paired 2.38, 1.68 and .75 at rho 0, .5 and .9."""
    assert stats.minimum_detectable_effect(5, 3) == pytest.approx(2.46, abs=0.005)
    assert stats.minimum_detectable_effect(5, 5) == pytest.approx(2.02, abs=0.005)
    found = [stats.minimum_detectable_effect_paired(5, rho) for rho in (0.0, 0.5, 0.9)]
    assert found == pytest.approx([2.38, 1.68, 0.75], abs=0.005)


@pytest.mark.parametrize("rho", [-1.0, -0.5, 0.0, 0.5, 0.99])
@pytest.mark.parametrize("target", [0.1, 0.5, 0.8, 0.99])
def test_the_minimum_detectable_effect_inverts_power(rho, target):
    """Power at the effect found is the power asked for, in both designs."""
    assert stats.power(stats.minimum_detectable_effect(5, 3, target), 5, 3) == pytest.approx(target, abs=1e-9)
    paired = stats.minimum_detectable_effect_paired(4, rho, target)
    assert stats.power_paired(paired, 4, rho) == pytest.approx(target, abs=1e-9)


def test_power_without_an_effect_is_alpha_and_ignores_the_sign():
    """The two-sided test at d = 0 rejects with probability alpha."""
    assert stats.power(0.0, 5, 3, alpha=0.1) == pytest.approx(0.1, rel=1e-9)
    assert stats.power(-1.5, 5, 3) == stats.power(1.5, 5, 3)


def test_far_tails_are_no_nan():
    """SciPy returns NaN for nct.cdf(-2.447, 6, 16.43); power there is 1, and the tail 0."""
    assert math.isnan(scipy.stats.nct.cdf(-2.447, 6, 16.43)), "scipy is mended: the guard may go"
    assert nct_cdf(-2.447, 6, 16.43) == 0.0
    assert nct_cdf(1e6, 6, 40.0) == pytest.approx(1.0)
    assert stats.power(50.0, 5, 3) == pytest.approx(1.0)


def test_seeds_needed_is_the_first_number_that_suffices():
    """One seed less has less power; a fixed small baseline can make an effect unreachable."""
    needed = stats.seeds_needed(1.0)
    assert stats.power(1.0, needed, needed) >= 0.8 > stats.power(1.0, needed - 1, needed - 1)
    paired = stats.seeds_needed_paired(1.0, 0.5)
    assert stats.power_paired(1.0, paired, 0.5) >= 0.8 > stats.power_paired(1.0, paired - 1, 0.5)
    assert stats.seeds_needed(1.0, n_baseline=5) is None
    assert stats.seeds_needed(100.0) == 2


REFUSED = {
    "one seed": (lambda: stats.power(1.0, 1, 5), "n_baseline = 1"),
    "half a seed": (lambda: stats.power(1.0, 5, 2.5), "n_experiment = 2.5"),
    "d nan": (lambda: stats.power(math.nan, 5, 5), "d = nan"),
    "alpha 0": (lambda: stats.power(1.0, 5, 5, alpha=0), "alpha = 0"),
    "rho 1": (lambda: stats.power_paired(1.0, 5, 1.0), "rho = 1.0"),
    "rho nan": (lambda: stats.power_paired(1.0, 5, math.nan), "rho = nan"),
    "power 1": (lambda: stats.minimum_detectable_effect(5, 5, power=1.0), "power = 1.0"),
    "power below alpha": (lambda: stats.minimum_detectable_effect(5, 5, power=0.04), "more than alpha"),
    "d 0": (lambda: stats.seeds_needed(0.0), "d = 0"),
}


@pytest.mark.parametrize(("call", "message"), REFUSED.values(), ids=REFUSED)
def test_arguments_outside_their_domain_are_one_clear_line(call, message):
    """Each error names the argument, its value and what is allowed."""
    with pytest.raises(RefusedError, match=message):
        call()
