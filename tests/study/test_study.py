"""Which arm plays which role: it depends on the comparison that asks, for one arm may be an experiment here and the control there."""

from __future__ import annotations

import pytest

UNSTABLE = '@experiment("--diverge_at=137")\ndef test_unstable(comparison):\n    assert comparison.verdict is Verdict.LOSER\n\n'
ON_UNSTABLE = '@experiment("--rope", baseline="--diverge_at=137")\ndef test_on_unstable(): ...\n\n'
EVEN = '@experiment("--constant")\ndef test_even(comparison):\n    assert comparison.verdict is Verdict.NEUTRAL\n\n'
ON_EVEN = '@experiment("--rope", baseline="--constant")\ndef test_on_even(): ...\n\n'


@pytest.mark.parametrize("body", [UNSTABLE + ON_UNSTABLE, ON_UNSTABLE + UNSTABLE])
@pytest.mark.parametrize("executor", ["inprocess", "processes"])
def test_a_diverged_experiment_is_a_loser_though_it_is_a_control_elsewhere(toy_project, body, executor):
    """Only the comparison that judges against it is an error, and that one names the control; the baseline is blamed nowhere."""
    toy_project.write(body)
    result = toy_project.run(f"--exprun-executor={executor}")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*the control diverged: val_loss of --diverge_at=137 is not finite at seed 137*"])
    result.stdout.fnmatch_lines(["unstable: 1 of 3 seeds diverged (137)"])
    result.stdout.no_fnmatch_line("*baseline diverged*")


@pytest.mark.parametrize("body", [EVEN + ON_EVEN, ON_EVEN + EVEN])
def test_an_experiment_without_noise_is_judged_though_it_is_a_control_elsewhere(toy_project, body):
    """The noise of a verdict is its control's: that all seeds of an experiment agree is no error."""
    toy_project.write(body)
    result = toy_project.run()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        ["*seeds 42, 137*of the control (--constant) gave one and the same run, val_loss = 2.0: *ignores its seed*"]
    )


def test_the_default_baseline_may_be_an_experiment(toy_project):
    """Where it is compared with another control it is a LOSER like any other; as a baseline it is an error by that name."""
    toy_project.write(
        UNSTABLE.replace('137"', '137", baseline=""')
        + '@experiment("--rope")\ndef test_rope(): ...\n\ndef test_noise(baseline): ...\n'
    )
    with (toy_project.pytester.path / "pytest.ini").open("a", encoding="utf-8") as ini:
        ini.write("exprun_baseline = --diverge_at=137\n")
    result = toy_project.run()
    result.assert_outcomes(passed=1, errors=2)
    for test in ("test_rope", "test_noise"):
        result.stdout.fnmatch_lines(
            [
                f"*ERROR at setup of {test}*",
                "the baseline diverged: val_loss of --diverge_at=137 is not finite at seed 137*",
            ],
            consecutive=True,
        )


def test_the_report_of_a_control_shows_all_its_seeds(toy_project):
    """An arm that was an experiment first, with three seeds, is reported as a control with its five."""
    toy_project.write(
        '@experiment("--rope")\ndef test_rope(): ...\n\n@experiment("--shift=1", baseline="--rope")\ndef test_shift(): ...'
    )
    toy_project.run().assert_outcomes(passed=2)
    assert "Seeds used: 42, 137, 256, 512, 1024" in toy_project.report("baseline_variance_rope_1M.md")
