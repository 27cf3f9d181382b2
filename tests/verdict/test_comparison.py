"""Comparisons: effects of every metric, evidence, the wall around evaluation, and JSON both ways."""

from __future__ import annotations

import json
import math
import statistics

import pytest
from scipy import stats as scipy_stats

from pytest_exprun.terms.errors import RefusedError, TrainerError
from pytest_exprun.terms.model import Experiment, RunSpec, Variant
from pytest_exprun.terms.outcome import RunResult, Verdict
from pytest_exprun.verdict.comparison import Comparison, compare, decide, has_no_effect

SEEDS = (42, 137, 256, 512, 1024)
BASE = (2.00, 2.02, 1.98, 2.01, 1.99)
SAME = {"cpu": "c", "threads": 1, "torch": "t", "wall_time": 9.0, "cpu_time": 8.0}


def arm(losses, flags=(), notes=None, provenance=None, **metrics) -> tuple[RunResult, ...]:
    """Return runs with these losses; a metric may be a value for all seeds or one a seed."""
    return tuple(
        RunResult(
            RunSpec(Variant(flags), seed),
            "finished" if loss is not None else "diverged",
            {
                "val_loss": loss,
                **{name: value[i] if isinstance(value, tuple) else value for name, value in metrics.items()},
            },
            notes or {},
            provenance={**SAME, **(provenance or {})},
        )
        for i, (seed, loss) in enumerate(zip(SEEDS, losses, strict=False))
    )


def test_effect_is_experiment_minus_baseline_and_improvement_is_positive_when_better():
    """Signs: delta, d and the interval follow the metric; improvement and sigmas follow what is better."""
    found = compare(
        Experiment("x", Variant(("--x",))), arm(BASE, acc=0.5), arm((1.90, 1.92, 1.88), ("--x",), acc=(0.6, 0.61, 0.59))
    )
    assert found.verdict is Verdict.WINNER
    effect = found.effect()
    assert effect.delta == pytest.approx(-0.1)
    assert effect.percent == pytest.approx(-5.0)
    assert effect.improvement == pytest.approx(0.1)
    assert effect.sigmas > 2
    assert effect.cohens_d < 0
    assert effect.ci[0] < -0.1 < effect.ci[1] < 0
    assert found.effect("acc").improvement == pytest.approx(0.1)
    assert found.effect("acc").cohens_d == pytest.approx(0.1 / (0.01 / 2**0.5))


def test_a_decision_at_the_first_look_ignores_later_seeds():
    """Five stored experiment seeds do not change what three decided."""
    losses = (1.90, 1.92, 1.88, 2.5, 2.5)
    three = compare(Experiment("x", Variant(("--x",))), arm(BASE), arm(losses[:3], ("--x",)))
    five = compare(Experiment("x", Variant(("--x",))), arm(BASE), arm(losses, ("--x",)))
    assert five == three
    assert five.experiment.seeds == (42, 137, 256)


def test_evidence_pairs_seeds():
    """Every seed of either arm has a row; a difference only where both ran."""
    found = compare(Experiment("x", Variant(("--x",))), arm(BASE), arm((1.90, 1.92, 1.88), ("--x",)))
    assert [pair[0] for pair in found.evidence.pairs] == list(SEEDS)
    assert found.evidence.pairs[0][3] == pytest.approx(-0.1)
    assert found.evidence.pairs[4] == (1024, 1.99, None, None)
    assert found.evidence.rho == pytest.approx(1.0)
    assert found.evidence.s_b_low < found.evidence.s_b < found.evidence.s_b_high


def test_diverged_seed_is_never_dropped():
    """One diverged seed: LOSER, statistics of the finite ones, no claim of harmlessness."""
    found = compare(Experiment("x", Variant(("--x",))), arm(BASE), arm((1.0, None, 1.0), ("--x",)))
    assert found.verdict is Verdict.LOSER
    assert "137" in found.reason
    assert found.effect().delta == pytest.approx(-1.0)
    with pytest.raises(RefusedError, match="never shown to be harmless"):
        found.non_inferior()


def test_non_inferior_and_equivalent():
    """Proof of no harm, one look: passes for an equal arm, fails for a clearly worse one."""
    equal = compare(Experiment("x", Variant(("--x",))), arm(BASE), arm((2.001, 2.019, 1.981, 2.011, 1.989), ("--x",)))
    assert equal.non_inferior()
    assert equal.non_inferior(margin_abs=0.05)
    assert equal.equivalent(0.05)
    assert not equal.equivalent(1e-6)
    worse = compare(Experiment("x", Variant(("--x",))), arm(BASE), arm((2.1, 2.12, 2.08), ("--x",)))
    assert not worse.non_inferior()


def test_wall_time_is_the_plugins_clock_unless_every_run_has_its_own():
    """One run without the trainer's clock makes all runs use the plugin's."""
    experiment = Experiment("x", Variant(("--x",)))
    theirs = compare(experiment, arm(BASE, wall_time=2.0), arm((1.9, 1.92, 1.88), ("--x",), wall_time=3.0))
    assert theirs.effect("wall_time").percent == pytest.approx(50.0)
    mixed = compare(experiment, arm(BASE, wall_time=2.0), arm((1.9, 1.92, 1.88), ("--x",)))
    assert mixed.effect("wall_time").percent == pytest.approx(0.0)
    assert mixed.baseline["wall_time"].mean == 9.0


@pytest.mark.parametrize(
    ("provenance", "why"),
    [
        ({"cpu": "other"}, "cpu differs"),
        ({"threads": 2}, "threads differs"),
        ({"torch": "u"}, "torch differs"),
        ({"gpu": "g"}, "gpu differs"),
        ({"concurrency": 2}, "beside each other"),
        ({"other_busy_cores": 1.5}, "1.5 other cores were busy"),
    ],
)
def test_wall_time_is_comparable_only_under_like_conditions(provenance, why):
    """The reason is named; the raw percentage stays for the report."""
    found = compare(
        Experiment("x", Variant(("--x",))), arm(BASE), arm((1.9, 1.92, 1.88), ("--x",), provenance=provenance)
    )
    effect = found.effect("wall_time")
    assert not effect.comparable
    assert why in effect.why_not
    assert effect.raw_percent == pytest.approx(0.0)


@pytest.mark.parametrize("note", ["val_data_sha256", "device", "dtype"])
def test_what_is_measured_on_must_agree_between_the_arms(note):
    """A flag may change what is trained on, never what is measured on."""
    with pytest.raises(TrainerError, match=f"^{note} differs: a in no flags seed 42, b in --x seed 42"):
        compare(
            Experiment("x", Variant(("--x",))),
            arm(BASE, notes={note: "a"}),
            arm((1.9, 1.9, 1.9), ("--x",), notes={note: "b"}),
        )


def test_training_data_must_agree_within_an_arm_only():
    """data_sha256 may differ between arms (another data mix is an experiment), not within one."""
    experiment = Experiment("x", Variant(("--x",)))
    compare(
        experiment, arm(BASE, notes={"data_sha256": "a"}), arm((1.9, 1.92, 1.88), ("--x",), notes={"data_sha256": "b"})
    )
    mixed = (*arm(BASE, notes={"data_sha256": "a"})[:4], arm(BASE, notes={"data_sha256": "b"})[4])
    with pytest.raises(TrainerError, match="data_sha256 differs"):
        compare(experiment, mixed, arm((1.9, 1.92, 1.88), ("--x",)))


def test_json_both_ways_and_without_nan():
    """A comparison rebuilt from its JSON is equal; JSON holds no NaN even where a seed diverged."""
    for losses in ((1.9, 1.92, 1.88), (1.9, None, 1.88)):
        found = compare(Experiment("x", Variant(("--x",))), arm(BASE, acc=0.5), arm(losses, ("--x",), acc=0.5))
        again = Comparison.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False)))
        assert again == found


def test_effect_of_an_unknown_metric_lists_the_known_ones():
    """A typing error in a metric's name is one clear line."""
    found = compare(Experiment("x", Variant(("--x",))), arm(BASE), arm((1.9, 1.92, 1.88), ("--x",)))
    with pytest.raises(RefusedError, match="no metric 'val_los' in all runs of x; there are: val_loss"):
        found.effect("val_los")


def test_constant_metric_has_no_effect_size():
    """Zero variance in both arms: no d and no p, never NaN."""
    found = compare(
        Experiment("x", Variant(("--x",))), arm(BASE, params=5.0), arm((1.9, 1.92, 1.88), ("--x",), params=6.0)
    )
    effect = found.effect("params")
    assert effect.delta == pytest.approx(1.0)
    assert effect.cohens_d is None
    assert effect.p_value is None


def test_equal_seeds_are_compared_with_each_other_only():
    """Three seeds that equal the control's: no difference, and no figure that comes of comparing them with five."""
    found = compare(Experiment("x", Variant(("--x",))), arm(BASE), arm(BASE[:3], ("--x",)))
    effect, judgement = found.effect(), found.judgement
    assert (judgement.kind, judgement.sigmas, judgement.p_value, judgement.confirmed) == ("identical", 0, None, None)
    assert (effect.delta, effect.sigmas, effect.p_value, effect.cohens_d) == (0, 0, None, None)
    assert (found.evidence.mde_sigmas, has_no_effect(found), found.equivalent(0.05)) == (None, True, True)
    assert "val_loss 2.0000 -> 2.0000" in found.headline()


def test_a_metric_too_coarse_to_show_a_change_is_no_missing_effect():
    """Another metric differs at one seed, so the flag is wired; a declared clock that differs proves nothing."""
    experiment = Experiment("x", Variant(("--x",)))
    coarse = compare(experiment, arm(BASE, acc=0.5), arm(BASE[:3], ("--x",), acc=(0.5, 0.6, 0.5)))
    assert (coarse.verdict, has_no_effect(coarse), coarse.judgement.p_value) == (Verdict.NEUTRAL, False, None)
    assert "too coarse to show a change" in coarse.reason
    assert "seed 137: acc 0.5 and 0.6" in coarse.reason
    clock = {"clocks": ["step_time"]}
    slower = compare(
        experiment,
        arm(BASE, step_time=1.0, provenance=clock),
        arm(BASE[:3], ("--x",), step_time=2.0, provenance=clock),
    )
    assert has_no_effect(slower)


def test_paired_sensitivity_knows_that_the_experiment_is_noisier():
    """The noncentral t distribution with the measured spread of the differences gives power .8 at the reported effect."""
    losses = (1.90, 2.20, 1.85, 2.10, 1.95)
    found = compare(Experiment("x", Variant(("--x",)), rule="tested"), arm(BASE), arm(losses, ("--x",)))
    assert found.evidence.test == "paired"
    spread = statistics.stdev(after - before for before, after in zip(BASE, losses, strict=True))
    noncentrality = found.evidence.mde_sigmas * found.evidence.s_b / (spread / math.sqrt(5))
    critical = scipy_stats.t.ppf(0.975, 4)
    power = scipy_stats.nct.sf(critical, 4, noncentrality) + scipy_stats.nct.cdf(-critical, 4, noncentrality)
    assert power == pytest.approx(0.8, abs=1e-6)
    assert found.evidence.mde_sigmas > 10


def stoppable(losses, flags=("--x",), provenance=None, **declared) -> Comparison:
    """Compare what may be stopped after any seed."""
    declaration = Experiment("x", Variant(flags), futility="seeds", **declared)
    return compare(declaration, arm(BASE), arm(losses, flags, provenance=provenance))


def test_what_is_stopped_shows_neither_harm_nor_harmlessness():
    """NEUTRAL, but no gate of its own passes; without two seeds no figure needs a spread."""
    found = stoppable((2.02,))
    assert (found.verdict, found.judgement.kind, found.evidence.n_experiment) == (Verdict.NEUTRAL, "stopped", 1)
    assert found.was_stopped
    assert not found.not_loser
    assert not found.non_inferior(margin=100)
    assert not found.equivalent(margin=100)
    assert (found.effect().cohens_d, found.effect().p_value, found.evidence.mde_sigmas) == (None, None, None)
    assert found.effect().sigmas == pytest.approx(found.judgement.sigmas)


def test_a_stopped_comparison_comes_back_from_its_json():
    """From the runs that were judged, also where more were stored."""
    for losses in ((2.02,), (2.02, *BASE[1:]), (1.99, 2.01), (2.5,), (None,)):
        found = stoppable(losses)
        assert found.to_json() == Comparison.from_json(json.loads(json.dumps(found.to_json()))).to_json()


def test_a_rule_that_was_not_asked_says_what_the_declared_one_stopped():
    """It has no more seeds to go by; where the declared one went its way it has its own say."""
    found = stoppable((2.009, 1.0), rule="tested", min_effect=1.0)
    assert (found.judgement.kind, found.judgement.rule) == ("stopped", "tested")
    assert (found.two_sigma.kind, found.two_sigma.rule) == ("stopped", "two_sigma")
    better = stoppable((1.90, 1.92, 1.88), rule="tested")
    assert (better.verdict, better.two_sigma.verdict, better.two_sigma.kind) == (Verdict.WINNER, Verdict.WINNER, None)


def test_seeds_that_decide_nothing_are_no_comparison():
    """One seed that is worth a second one has no verdict."""
    with pytest.raises(RefusedError, match="after 1 seed: seed 137 still needed"):
        stoppable((1.99,))


def test_a_first_seed_that_is_three_times_slower_ends_it():
    """Whatever its loss is; told by how much. Judged to its end, an experiment may be as slow as it likes."""
    slow = {"wall_time": 36.0}
    found = stoppable((1.90, 1.92, 1.88), provenance=slow)
    assert (found.verdict, found.judgement.kind, found.judgement.seeds) == (Verdict.NEUTRAL, "stopped", (42,))
    assert found.reason == "stopped after 1 seed: 4.0 times the baseline's wall_time (limit: 3); not worth more seeds"
    assert decide(found.declaration, found.baseline, found.experiment) == found.judgement
    never = compare(Experiment("x", Variant(("--x",))), arm(BASE), arm((1.90, 1.92, 1.88), ("--x",), provenance=slow))
    assert never.verdict is Verdict.WINNER


def test_the_protocol_may_be_undecided_where_another_rule_is_not():
    """A lower bar, proven by three seeds, is a WINNER that two_sigma would train on for: told so, and never as None."""
    declared = Experiment("x", Variant(("--x",)), rule="tested", min_effect=1.0)
    found = compare(declared, arm(BASE), arm((1.970, 1.9705, 1.971), ("--x",)))
    assert (found.verdict, found.by_protocol) == (Verdict.WINNER, "undecided")
    assert found.conclusions()["verdict_two_sigma"] == "undecided"
    assert (
        compare(Experiment("x", Variant(("--x",))), arm(BASE), arm((1.90, 1.92, 1.88), ("--x",))).by_protocol
        == "WINNER"
    )
