"""The five gates: what each lets pass, and when the second look of `non_inferior` is taken."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_exprun.settings.settings import GATES
from pytest_exprun.study.gates import judge_gate
from tests.report_toys import BASELINE, LOSER, NEUTRAL, WINNER, comparison

SEEDS = (42, 137, 256, 512, 1024)
# In sigmas of the baseline: harm that three seeds cannot rule out and five can, and harm that five cannot either.
SHOWN_BY_FIVE, NEVER_SHOWN = (1.0, 0.0, 0.5, 0.0, -0.5), (1.1, 0.9, 1.0, 1.05, 0.95)


class Values:
    """The experiment's values at the seeds that are asked for, which it notes."""

    def __init__(self, *sigmas):
        mean = sum(BASELINE) / len(BASELINE)
        self.known = {seed: mean + 0.0158 * sigma for seed, sigma in zip(SEEDS, sigmas, strict=False)}
        self.asked = []

    def __call__(self, seeds):
        """Return the values, as a study that trains them would."""
        self.asked.append(tuple(seeds))
        return {seed: self.known[seed] for seed in seeds}


def unasked(_seeds):
    """Fail: a gate that goes by the verdict needs no run."""
    pytest.fail("asked for runs")


@pytest.mark.parametrize(
    ("gate", "passing"),
    [("not_loser", {"winner", "neutral"}), ("winner", {"winner"}), ("loser", {"loser"}), ("identical", {"identical"})],
)
@pytest.mark.parametrize("kind", ["winner", "neutral", "loser", "identical"])
def test_a_gate_lets_pass_what_it_promises(gate, passing, kind):
    """And nothing else; no run is asked for."""
    values = {"winner": WINNER, "neutral": NEUTRAL, "loser": LOSER, "identical": BASELINE[:3]}[kind]
    judged = comparison(values, gate="identical") if kind == "identical" else comparison(values)
    found = judge_gate(gate, judged, unasked)
    assert found.name == gate
    assert found.passed is (kind in passing or (kind == "identical" and gate == "not_loser"))


def test_every_declared_gate_is_judged():
    """The names of the settings are those that are known here."""
    for gate in GATES:
        assert judge_gate(gate, comparison(), Values(*SHOWN_BY_FIVE)).name == gate


@pytest.mark.parametrize(
    ("gate", "reason"),
    [
        ("not_loser", "the verdict is LOSER, the gate wants WINNER or NEUTRAL"),
        ("winner", "the verdict is LOSER, the gate wants WINNER"),
        ("identical", "the change must not matter, yet the seeds differ"),
    ],
)
def test_the_reason_says_what_is_there_and_what_was_wanted(gate, reason):
    """In words that stand after the gate's name."""
    assert judge_gate(gate, comparison(LOSER), unasked).reason == reason


@pytest.mark.parametrize(
    ("sigmas", "looks", "passed"),
    [((-9, -10, -11), 1, True), (SHOWN_BY_FIVE, 2, True), (NEVER_SHOWN, 2, False)],
)
def test_non_inferior_asks_for_more_seeds_only_while_it_is_undecided(sigmas, looks, passed):
    """Three seeds first; the other two, beside those, where three do not rule out harm."""
    values = Values(*sigmas)
    found = judge_gate("non_inferior", comparison(NEUTRAL), values)
    assert values.asked == [SEEDS[:3], SEEDS][:looks]
    assert found.passed is passed
    assert found.reason.startswith("harm of 2 pooled sigmas ruled out" if passed else "harm of 2 pooled sigmas not")


def test_non_inferior_follows_the_declared_direction():
    """Where more is better, the values that are harmless for a loss are harm."""
    less = comparison(NEUTRAL)
    more = replace(less, declaration=replace(less.declaration, directions=(("val_loss", False),)))
    assert judge_gate("non_inferior", less, Values(-9, -10, -11)).passed
    assert not judge_gate("non_inferior", more, Values(-9, -10, -11, -10, -9)).passed


@pytest.mark.parametrize(
    ("gate", "passed"), [("not_loser", False), ("winner", False), ("loser", False), ("identical", False)]
)
def test_what_was_stopped_early_passes_no_gate(gate, passed):
    """It shows neither harm nor harmlessness, and `not_loser` says so."""
    found = judge_gate(gate, comparison((2.02,), futility="seeds"), unasked)
    assert found.passed is passed
    if gate == "not_loser":
        assert (
            found.reason
            == "stopped early, it shows neither harm nor harmlessness: with futility 'never' all seeds are trained"
        )


def test_what_is_hopeless_is_a_loser_to_every_gate():
    """Also after one seed."""
    hopeless = comparison((2.09,), futility="seeds")
    assert judge_gate("loser", hopeless, unasked).passed
    assert judge_gate("not_loser", hopeless, unasked).reason == "the verdict is LOSER, the gate wants WINNER or NEUTRAL"


def test_non_inferior_trains_on():
    """Its looks are its own, whatever ended the comparison."""
    values = Values(*SHOWN_BY_FIVE)
    assert judge_gate("non_inferior", comparison((2.02,), futility="seeds"), values).passed
    assert values.asked == [SEEDS[:3], SEEDS]
