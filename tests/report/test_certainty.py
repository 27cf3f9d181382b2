"""What stands beside a verdict: one plain sentence each."""

from __future__ import annotations

import pytest

from pytest_exprun.report.certainty import certainty, confirmation, is_doubtful
from tests.report_toys import BASELINE, LOSER, NEUTRAL, UNSURE, comparison


def items(found):
    """Return the list's sentences by label."""
    pairs = (line[4:].partition(".** ") for line in certainty(found))
    return {label: sentence for label, _, sentence in pairs}


def test_everything_the_protocol_wants_beside_a_verdict_is_there():
    """One plain sentence each: test, difference, interval, effect size, noise, pairing, seeds, sensitivity."""
    found = items(comparison())
    assert list(found) == [
        "Test",
        "Difference",
        "Interval",
        "Winner's curse",
        "Effect size",
        "Noise",
        "Pairing",
        "Seeds",
        "Sensitivity",
        "Other experiments",
    ]
    assert found["Difference"].startswith("`val_loss` changed by -0.0900 (-4.5 %), which is 5.69 baseline")
    # -.09 +- t(.975, 5.88) * .0091287 with t = 2.4587
    assert "between -0.1124 and -0.0676 (Welch, two-sided), which does not contain 0" in found["Interval"]
    assert found["Effect size"].startswith(
        "Cohen's d = -6.80 (Large), by the pooled spread and corrected for few seeds Hedges' g = -5.53."
    )
    # .60 and 2.87 times s_b: PROTOCOL's range at five seeds
    assert "between 0.0095 and 0.0454 (95 %)" in found["Noise"]
    assert found["Seeds"] == "5 of the baseline, 3 of the experiment. The verdict fell at the first look."
    assert found["Sensitivity"].startswith("A true effect of 2.46 standard deviations (0.0389)")
    assert "(baseline_variance_1M.md)" in found["Other experiments"]


def test_the_protocols_own_verdict_stands_beside_another_rules():
    """Where rule tested says NEUTRAL and two_sigma WINNER, the report has both."""
    found = items(comparison((1.92, 1.97, 1.99, 1.99, 1.98), rule="tested"))
    assert found["Protocol's own rule"].startswith("**two_sigma says WINNER** on the same runs: improved by 2.53")
    assert "Protocol's own rule" not in items(comparison())


def test_only_a_winner_is_cursed():
    """The overestimate is explained where there is a gain to expect again."""
    assert "Winner's curse" not in items(comparison(LOSER))


@pytest.mark.parametrize(
    ("values", "said", "doubted"),
    [
        (UNSURE, "not confirmed, p = .093", True),
        (LOSER, "confirmed, p = .00028", False),
        (NEUTRAL, "a difference is shown, p = .00054", False),
        (BASELINE, "no test: every common seed gave the baseline's value", False),
        ((1.9, None, 1.92), "no test: a seed diverged", False),
    ],
)
def test_whether_the_test_bears_the_verdict_out(values, said, doubted):
    """In words; only a verdict that claims something can be in doubt."""
    found = comparison(values)
    assert (confirmation(found), is_doubtful(found)) == (said, doubted)


def test_what_was_stopped_says_that_it_was_not_tested():
    """Without a test, an interval or a size; with the seeds that it stands on."""
    found = items(comparison((2.02,), futility="seeds"))
    assert found["Test"] == "None: it ended before its seeds could be tested."
    assert found["Kind"].startswith("stopped. More seeds were not worth their time.")
    assert found["Seeds"] == "5 of the baseline, 1 of the experiment."
    assert {found[name] for name in ("Interval", "Effect size")} == {"Undefined for these seeds."}
    assert confirmation(comparison((2.02,), futility="seeds")) == "no test: it ended early"
