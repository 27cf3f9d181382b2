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


DUD, WORTH_TWO, GOOD = "--shift=2", "--shift=-1", "--rope"
SEED_BY_SEED = "".join(
    f'@experiment("{flag}", futility="seeds")\ndef test_{name}(comparison):\n    assert len(comparison.experiment) == {seeds}\n\n'
    for name, flag, seeds in (("dud", DUD, 1), ("two", WORTH_TWO, 5), ("good", GOOD, 3))
)


def seeds_of(toy_project, flag):
    """Return the seeds that were trained with a flag, in their order."""
    return [int(run.split("--seed ")[1].split()[0]) for run in toy_project.runs if f" {flag} " in run]


@pytest.mark.parametrize(
    "options",
    [(), ("--exprun-executor=processes", "--exprun-jobs=2"), ("-n2", "--dist=load")],
    ids=["inprocess", "processes", "xdist"],
)
def test_seeds_are_trained_one_after_the_other_while_more_are_worth_it(toy_project, options):
    """However runs are performed, none is trained that the rule need not have."""
    toy_project.write(SEED_BY_SEED)
    toy_project.run(*options).assert_outcomes(passed=3)
    assert seeds_of(toy_project, DUD) == [42]
    assert seeds_of(toy_project, WORTH_TWO) == [42, 137, 256, 512, 1024]
    assert seeds_of(toy_project, GOOD) == [42, 137, 256]
    assert len(toy_project.runs) == 5 + 1 + 5 + 3


def test_a_first_seed_of_each_comes_before_the_second_of_any(toy_project):
    """Of what is trained together: other experiments fill the time, not seeds that nobody may need."""
    toy_project.write(SEED_BY_SEED)
    toy_project.run("--exprun-executor=processes", "--exprun-jobs=2").assert_outcomes(passed=3)
    later = [run for run in toy_project.runs if any(flag in run for flag in (DUD, WORTH_TWO, GOOD))]
    assert ["--seed 42 " in run for run in later] == [True] * 3 + [False] * 6


def test_what_was_trained_to_the_end_is_judged_seed_by_seed_from_the_store(toy_project):
    """As if the later seeds were not there; and what was stopped is trained on where all seeds are wanted."""
    toy_project.write(SEED_BY_SEED)
    toy_project.run().assert_outcomes(passed=3)
    toy_project.write(SEED_BY_SEED.replace(', futility="seeds"', "").replace("== 1\n", ">= 3\n"))
    toy_project.run().assert_outcomes(passed=3)
    assert seeds_of(toy_project, DUD)[:3] == [42, 137, 256]
    trained = len(toy_project.runs)
    toy_project.write(SEED_BY_SEED)
    toy_project.run("--exprun-mode=frozen").assert_outcomes(passed=3)
    assert len(toy_project.runs) == trained


def test_a_plan_counts_from_one_seed_on(toy_project):
    """What is stored is looked at: a seed that is worth another one makes one more certain, one that is not ends it."""
    toy_project.write(SEED_BY_SEED)
    plan = toy_project.run("--exprun-mode=plan")
    plan.stdout.fnmatch_lines([f"exp ({flag})*to train 1 to 5*" for flag in (DUD, WORTH_TWO, GOOD)])
    toy_project.run()
    for seed in (137, 256, 512, 1024):
        for path in toy_project.pytester.path.glob(f".exprun/*/*/seed-{seed}.json"):
            if "shift" in str(path):
                path.unlink()
    plan = toy_project.run("--exprun-mode=plan")
    plan.stdout.fnmatch_lines(
        [
            f"exp ({DUD})*stored 42; missing none; to train 0",
            f"exp ({WORTH_TWO})*stored 42; missing 137, 256, 512, 1024; to train 1 to 4*",
            f"exp ({GOOD})*stored 42, 137, 256; missing none; to train 0",
        ]
    )


def test_all_seeds_that_agree_say_nothing_of_one(toy_project):
    """A single seed that is hopeless is a LOSER; that it equals itself is no sign of an ignored seed."""
    toy_project.write(
        '@experiment("--worse", "--constant", futility="seeds")\ndef test_it(comparison):\n    assert not comparison.not_loser'
    )
    toy_project.run().assert_outcomes(passed=1)
