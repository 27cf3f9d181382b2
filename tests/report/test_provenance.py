"""Where the numbers of a report come from: machine, data, and the command that trains a run again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_exprun.report.markdown import experiment_report
from pytest_exprun.report.provenance import compute, speed
from pytest_exprun.terms.model import Budget, Diff, Variant
from pytest_exprun.terms.outcome import Arm, CurvePoint
from pytest_exprun.verdict.compute.speedup import SeedSpeedup, Speedup
from tests.report_toys import comparison, tables


def test_the_environment_names_versions_and_data_but_no_host():
    """What can change a result is there, the host's name is not."""
    text = experiment_report(comparison(provenance={"torch": "2.14.0"}))
    assert ["torch", "2.13.0", "2.14.0"] in tables(text)["Environment"]
    assert f"Losses compare only at equal `data_sha256`: `{'d' * 64}`." in text
    assert "secret-host" not in text


def test_the_command_trains_the_run_again():
    """The command is the run's own argument list."""
    text = experiment_report(
        comparison(flags=("--rope_base=500",), control=Variant(("--rope",))), trainer="train_llm:main"
    )
    command = (
        "python -m train_llm --train_tokens 1000000 --seed 42 --rope --rope_base=500 --output_dir checkpoints/again"
    )
    assert command in text.splitlines()
    assert "baseline_variance_rope_1M.md" in text


def test_the_command_keeps_every_blank_of_a_flag():
    """Two blanks and a line break are part of the value that was trained."""
    text = experiment_report(comparison(flags=("--x=a  b\nc",)), trainer="train_llm:main")
    assert r"--seed 42 $'--x=a  b\x0ac' --output_dir" in text
    recorded = comparison(provenance={"command": "train '--x=a  b\nc'"})
    assert r"train $'--x=a  b\x0ac'" in experiment_report(recorded).splitlines()


def test_a_trainer_that_is_not_called_main_is_called_by_name():
    """`python -m` runs a module's main only."""
    text = experiment_report(comparison(), trainer="pkg.train:fit")
    assert "python -c 'import sys; from pkg.train import fit; fit(sys.argv[1:])' --train_tokens 1000000" in text


def after(arm, seconds):
    """Return an arm whose runs took so many seconds of CPU time."""
    return Arm(arm.variant, tuple(replace(run, provenance={**run.provenance, "cpu_time": seconds}) for run in arm))


@pytest.mark.parametrize(
    ("seconds", "said"), [((2.0, 4.0), "2.0 times"), ((2.0, 2.5), ""), ((0.2, 4.0), ""), ((None, 4.0), "")]
)
def test_a_diff_that_took_much_more_compute_is_noted(seconds, said):
    """By our own clock: how much it trained, the state on trial says itself. What is too short says nothing, nor do flags."""
    found = comparison(diff=Diff("", "", uncommitted=False, files=(), patch=""))
    found = replace(found, baseline=after(found.baseline, seconds[0]), experiment=after(found.experiment, seconds[1]))
    assert said in compute(found)
    assert bool(compute(found)) is bool(said)
    assert not compute(replace(found, declaration=replace(found.declaration, diff=None)))


@pytest.mark.parametrize(
    ("unit", "step", "told", "said"),
    [
        ("steps", 200, {}, "2.0 times as many steps as one of the baseline's (100 -> 200)"),
        ("tokens", 200, {}, ""),
        ("tokens", 100, {"tokens": 3000.0}, "3.0 times as many tokens"),
        ("seconds", 200, {}, ""),
        (
            "seconds",
            100,
            {"training_seconds": 6.1},
            "2.0 times as many training_seconds as one of the baseline's (3 -> 6.1)",
        ),
    ],
)
def test_a_diff_that_prints_much_more_training_is_noted(unit, step, told, said):
    """Of steps and tokens the budget's own count: half the batch makes twice the steps in as many tokens."""

    def printed(arm, step, told):
        told = {"tokens": 1000.0, "training_seconds": 3.0} | told
        return Arm(
            arm.variant,
            tuple(replace(run, curve=(CurvePoint(step, told),), metrics={**run.metrics, **told}) for run in arm),
        )

    found = comparison(diff=Diff("", "", uncommitted=False, files=(), patch=""), budget=Budget(1000, unit))
    found = replace(found, baseline=printed(found.baseline, 100, {}), experiment=printed(found.experiment, step, told))
    assert said in compute(found)
    assert bool(compute(found)) is bool(said)


def test_better_or_only_slower():
    """The section has the answer, its reading, what a second gives in both arms, and each seed; without asking there is none."""
    assert "Better, or only slower?" not in experiment_report(comparison())
    seeds = (SeedSpeedup(42, 0.8), SeedSpeedup(137, 2.0, "at least"))
    found = Speedup(
        0.8, 0.7, 0.9, seeds=seeds, unit="CPU seconds", rates=(20_123.4, 123.456), rate_unit="tokens per CPU second",
        better=True, caution="up to 2.0 other cores were busy",
    )  # fmt: skip
    lines = speed(found)
    assert lines[2] == (
        "**0.80 times as fast to the same loss (95 % interval 0.70 to 0.90).** Better at equal tokens only by computing more: with that "
        "much compute the control is better. The machine was busy (up to 2.0 other cores were busy), which moves CPU times too."
    )
    assert "| tokens per CPU second | 20,123 | 123.5 |" in lines
    assert "| 137 | at least 2.00 |" in lines
    assert "The CPU seconds with which the control reaches the experiment's loss" in lines[-1]
    assert "\n".join(lines) in experiment_report(replace(comparison(), speedup=found))
    refused = speed(Speedup(why_not="times cannot be compared: cpu differs (a and b)"))
    assert refused[2:] == ["**No speedup can be told: times cannot be compared: cpu differs (a and b).**"]
