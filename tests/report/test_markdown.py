"""The experiment's report: the protocol's form to the letter, then what stands beside a verdict."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_exprun.report.markdown import Picture, experiment_report
from pytest_exprun.terms.model import Budget
from pytest_exprun.verdict.comparison import compare
from tests.report_toys import HOSTILE, LOSER, NEUTRAL, UNSURE, comparison, tables

HEADINGS = [
    "# Experiment: rope",
    "## Baseline Statistics (N=5 runs)",
    "## Experiment Statistics (N=3 runs)",
    "## Statistical Test",
    "## Wall Clock",
    "## Verdict: WINNER",
]
PROTOCOL_PART = """\
# Experiment: rope

## Baseline Statistics (N=5 runs)

| Metric | Mean | Std | Min | Max |
| --- | ---: | ---: | ---: | ---: |
| val_loss | 2.0000 | 0.0158 | 1.9800 | 2.0200 |
| wall_time | 30.000 | 0.000 | 30.000 | 30.000 |

## Experiment Statistics (N=3 runs)

| Metric | Mean | Std | Min | Max |
| --- | ---: | ---: | ---: | ---: |
| val_loss | 1.9100 | 0.0100 | 1.9000 | 1.9200 |
| wall_time | 31.500 | 0.000 | 31.500 | 31.500 |

## Statistical Test

| Metric | Cohen's d | Effect Size | Significant? |
| --- | ---: | --- | --- |
| val_loss | -6.80 | Large | yes (p < .0001) |
| wall_time | - | - | - |

## Wall Clock

|  | Baseline Mean | Experiment Mean | Delta |
| --- | ---: | ---: | ---: |
| wall_time | 30.0 s | 31.5 s | +5.0 % |
| cpu_time | 30.0 s | 31.5 s | +5.0 % |

## Verdict: WINNER

Improved by 5.69 baseline sigmas (bar: 2). Confirmed, p < .0001.

## How sure is this?
"""


def headings(text):
    """Return the heading lines."""
    return [line for line in text.splitlines() if line.startswith("#")]


def test_the_protocols_part_is_as_written_by_hand():
    """The first part is the protocol's, byte for byte."""
    assert experiment_report(comparison()).startswith(PROTOCOL_PART)


def test_the_protocols_headings_come_first_and_in_order():
    """More may follow the protocol's headings, nothing stands between them."""
    assert headings(experiment_report(comparison()))[: len(HEADINGS)] == HEADINGS


def test_the_number_of_runs_is_the_number_really_run():
    """An experiment that went to five seeds says N=5."""
    assert "## Experiment Statistics (N=5 runs)" in experiment_report(comparison(NEUTRAL))


def test_tables_read_back_as_the_comparisons_numbers():
    """A table's cells are the arm's statistics."""
    found = tables(experiment_report(comparison(LOSER)))
    assert found["Experiment Statistics (N=3 runs)"][1] == ["val_loss", "2.0600", "0.0095", "2.0500", "2.0690"]
    assert found["Statistical Test"][1] == ["val_loss", "+4.60", "Large", "yes (p = .00028)"]


def test_a_half_sigma_improvement_is_not_significant():
    """Below one baseline sigma the protocol says no, whatever p is."""
    row = tables(experiment_report(comparison(NEUTRAL)))["Statistical Test"][1]
    assert row == ["val_loss", "-0.499", "Small", "no (p = .00054)"]


def test_one_to_two_sigmas_is_suggestive():
    """Between one and two baseline sigmas the protocol says suggestive."""
    row = tables(experiment_report(comparison((1.98, 1.99, 2.00, 1.96, 1.97))))["Statistical Test"][1]
    assert row[3].startswith("suggestive (p = ")


def test_every_p_in_the_table_is_one_sided():
    """A second metric with the judged one's spread has its p too: two kinds of p in a column would mislead."""
    rows = tables(experiment_report(comparison(UNSURE, seconds_a_loss=10.0)))["Statistical Test"]
    assert rows[1][1:] == rows[2][1:] == ["-1.44", "Large", "yes (p = .093)"]


def test_another_judged_metric_stands_first_and_a_missing_val_loss_is_a_dash():
    """The tables hold the judged metric, val_loss and wall_time, even where one was never measured."""
    found = tables(experiment_report(comparison(LOSER, metric="accuracy")))
    names = [row[0] for row in found["Baseline Statistics (N=5 runs)"][1:]]
    assert names == ["accuracy", "val_loss", "wall_time"]
    assert found["Baseline Statistics (N=5 runs)"][2] == ["val_loss", "-", "-", "-", "-"]
    assert found["Statistical Test"][2] == ["val_loss", "-", "-", "-"]
    assert "(positive is better)" in experiment_report(comparison(LOSER, metric="accuracy"))


def test_a_diverged_seed_is_marked_everywhere():
    """Statistics of the finite seeds are conditional, the test is a dash, the seed's row says diverged."""
    text = experiment_report(comparison((1.90, None, 1.92)))
    found = tables(text)
    assert "## Verdict: LOSER\n\n1 of 3 seeds diverged (137). No test: a seed diverged." in text
    assert "**Conditional**: `val_loss` is over the finite seeds only; diverged: 137." in text
    assert found["Statistical Test"][1] == ["val_loss", "-", "-", "-"]
    assert found["Seeds"][2][:4] == ["137", "2.0100", "diverged", "-"]


def test_an_arm_without_any_finite_seed_still_reports():
    """Three diverged seeds leave nothing to summarise."""
    text = experiment_report(comparison((None, None, None)))
    assert tables(text)["Experiment Statistics (N=3 runs)"][1] == ["val_loss", "-", "-", "-", "-"]
    assert "diverged: 42, 137, 256" in text


def test_a_winner_that_the_test_does_not_confirm_stands_out():
    """Bold beside the verdict and again in the list."""
    text = experiment_report(comparison(UNSURE))
    assert "## Verdict: WINNER\n\nImproved by 2.53 baseline sigmas (bar: 2). **Not confirmed, p = .093.**" in text
    assert "- **Test.** **not confirmed, p = .093**: a one-sided Welch test over 3 experiment seeds" in text
    assert "- **Doubt.**" in text


def test_a_neutral_says_whether_there_is_a_difference_at_all():
    """Real but small is not the same as nothing."""
    text = experiment_report(comparison(NEUTRAL))
    assert "real (p = .00054) but below the bar. A difference is shown, p = .00054." in text
    assert "- **Kind.** real but small. The seeds agree" in text


@pytest.mark.parametrize(("budget", "shown"), [(Budget(20_000), "20K tokens"), (Budget(8_000_000), "8M tokens")])
def test_another_scale_is_marked(budget, shown):
    """A budget other than the protocol's is no finding, and the report says so before anything else."""
    text = experiment_report(comparison(budget=budget))
    assert text.splitlines()[2].startswith(f"> **Not the standard scale**: {shown} a run")
    assert "standard scale" not in experiment_report(comparison())


def test_times_that_cannot_be_compared_are_marked_with_the_reason():
    """The percentage is always printed, the mark and the reason with it."""
    text = experiment_report(comparison(provenance={"cpu": "Other CPU"}))
    assert tables(text)["Wall Clock"][1] == ["wall_time", "30.0 s", "31.5 s", r"+5.0 % \*"]
    assert r"\* **Not comparable**: cpu differs (Toy CPU and Other CPU)." in text


def test_the_seed_table_has_every_seed_with_its_difference():
    """Seeds that the experiment did not need are there too."""
    rows = tables(experiment_report(comparison()))["Seeds"]
    assert rows[1] == ["42", "2.0000", "1.9000", "-0.1000", "30.0 s", "31.5 s"]
    assert rows[4] == ["512", "1.9900", "not run", "-", "30.0 s", "-"]


def test_the_prediction_stands_beside_what_happened():
    """What was written down before the run is quoted; none is said to be none."""
    text = experiment_report(comparison(prediction="Better.\n\n  By a lot."))
    happened = "What happened: **WINNER**, improved by 5.69 baseline sigmas (bar: 2)."
    assert f"## Prediction\n\n> Better.\n>\n> By a lot.\n\n{happened}" in text
    assert "None was written down before the run." in experiment_report(comparison())


def test_pictures_have_alt_text_and_a_caption():
    """A picture that cannot be seen is described."""
    text = experiment_report(comparison(), pictures=[Picture("x.svg", "What it shows.", "How to read it.")])
    assert "![What it shows.](x.svg)\n\n*How to read it.*" in text


def test_a_gates_outcome_is_told():
    """A gate's sentence stands under the verdict."""
    text = experiment_report(comparison(gate="non_inferior"), gate="harm of 2 sigmas is ruled out")
    assert "Gate `non_inferior`: Harm of 2 sigmas is ruled out." in text


def test_the_same_comparison_gives_the_same_bytes():
    """No clock and no order of a set is in a report."""
    from pytest_exprun.verdict.comparison import Comparison

    once = comparison(prediction="p")
    assert experiment_report(Comparison.from_json(once.to_json())) == experiment_report(once)


def test_hostile_text_stays_text():
    """Names, flags, predictions and provenance start no HTML, link, row, heading or escape."""
    text = experiment_report(
        comparison(name="x", flags=(f"--{HOSTILE}",), prediction=HOSTILE, provenance={"cpu": HOSTILE})
    )
    outside_code = "\n".join(line for line in text.splitlines() if not line.startswith("python"))
    assert "<script" not in outside_code.partition("```sh")[0]
    assert "\x1b" not in text
    assert "\x00" not in text
    assert "\u202e" not in text
    assert [len(row) for row in tables(text)["Environment"]] == [3] * len(tables(text)["Environment"])
    assert "# heading" not in headings(text)
    assert str(Path.cwd()) not in text


def test_times_in_turn_are_said_to_be_so():
    """A reader of the table's change must know that it is that of the pairs."""
    found = comparison()
    arms = [
        [
            replace(
                run,
                provenance={**run.provenance, "wall_time": 30.0, "started": f"2026-11-29T10:0{place}:{second}+00:00"},
            )
            for place, run in enumerate(arm)
        ]
        for arm, second in ((found.baseline, "00"), (found.experiment, "30"))
    ]
    text = "Both arms were trained in turn, so that their times are compared pair by pair, over the common seeds."
    assert text in experiment_report(compare(found.declaration, *arms)).splitlines()
    assert text not in experiment_report(found)
