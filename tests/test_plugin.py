"""The protocol from end to end, with the toy trainer: which runs are trained, what is said, what is written."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_exprun.settings.settings import Settings

ROPE = '@experiment("--rope")\ndef test_rope(comparison):\n    """Better."""\n    assert comparison.verdict is Verdict.WINNER\n'
BASELINE_SEEDS = [42, 137, 256, 512, 1024]


def test_winner_takes_five_and_three_runs(toy_project):
    """A clear effect is decided after the first look: 5 baseline and 3 experiment runs, in the protocol's order of seeds."""
    toy_project.write(ROPE)
    result = toy_project.run()
    result.assert_outcomes(passed=1)
    assert toy_project.seeds() == BASELINE_SEEDS
    assert toy_project.seeds("--rope") == BASELINE_SEEDS[:3]
    result.stdout.fnmatch_lines(["*WINNER*"])


def test_neutral_takes_five_and_five_runs(toy_project):
    """An effect within two sigmas after three seeds is trained on five."""
    toy_project.write(
        '@experiment("--shift=0.3", "--noise=0.1")\ndef test_shift(comparison):\n    assert comparison.verdict is Verdict.NEUTRAL'
    )
    toy_project.run().assert_outcomes(passed=1)
    assert toy_project.seeds() == BASELINE_SEEDS
    assert len(toy_project.runs) == 10


def test_second_session_trains_nothing(toy_project):
    """All runs of the first session stand in the second."""
    toy_project.write(ROPE)
    toy_project.run().assert_outcomes(passed=1)
    trained = len(toy_project.runs)
    second = toy_project.run_fresh()
    second.assert_outcomes(passed=1)
    assert len(toy_project.runs) == trained == 8
    second.stdout.fnmatch_lines(["*WINNER*"])


def test_reports_regenerate_to_the_same_bytes(toy_project):
    """A report written from stored runs is the report written when they were trained."""
    toy_project.write(ROPE)
    toy_project.run()
    names = ["experiment_rope_1M.md", "experiment_rope_1M.json", "baseline_variance_1M.md"]
    first = {name: toy_project.report(name) for name in names}
    for name in names:
        (toy_project.pytester.path / "docs" / "research" / name).unlink()
    toy_project.run()
    assert {name: toy_project.report(name) for name in names} == first


def test_report_has_the_protocols_headings_in_order(toy_project):
    """The Markdown report starts exactly as the protocol asks."""
    toy_project.write(ROPE)
    toy_project.run()
    headings = [line for line in toy_project.report("experiment_rope_1M.md").splitlines() if line.startswith("#")]
    assert headings[:6] == [
        "# Experiment: rope",
        "## Baseline Statistics (N=5 runs)",
        "## Experiment Statistics (N=3 runs)",
        "## Statistical Test",
        "## Wall Clock",
        "## Verdict: WINNER",
    ]
    baseline = toy_project.report("baseline_variance_1M.md")
    assert baseline.startswith("# Baseline Variance Report: 1M Tokens\n")
    assert "Seeds used: 42, 137, 256, 512, 1024" in baseline.splitlines()


def test_loser_fails_and_a_broken_run_is_an_error(toy_project):
    """In junit a LOSER is a failure whose first line is the verdict, a broken run an error."""
    toy_project.write(
        '@experiment("--worse")\ndef test_worse(): ...\n\n@experiment("--crash_at=137")\ndef test_crash(): ...\n',
    )
    result = toy_project.run("--junitxml=junit.xml")
    result.assert_outcomes(failed=1, errors=1)
    cases = {case.get("name"): case for case in ET.parse(toy_project.pytester.path / "junit.xml").iter("testcase")}
    failure = cases["test_worse"].find("failure")
    assert failure is not None
    assert failure.get("message").startswith("Failed: LOSER worse: val_loss ")
    error = cases["test_crash"].find("error")
    assert error is not None
    assert "CUDA out of memory, pretended" in error.get("message") + error.text
    assert "seed 137" in error.get("message")
    properties = {p.get("name"): p.get("value") for p in cases["test_worse"].iter("property")}
    assert properties["exprun.verdict"] == "LOSER"
    assert properties["exprun.verdict_two_sigma"] == "LOSER"
    assert float(properties["exprun.val_loss.cohens_d"]) > 5


def test_failed_assertion_starts_with_the_verdict(toy_project):
    """A failing assertion's message begins with verdict and numbers; the table stands in a section of its own."""
    toy_project.write(
        '@experiment("--worse")\ndef test_worse(comparison):\n    assert comparison.verdict is Verdict.WINNER'
    )
    result = toy_project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*LOSER worse: val_loss 2.00* -> 2.09*", "*-- experiment --*"])


def test_failed_run_is_not_tried_again(toy_project):
    """A run that failed fails the next test that needs it at once."""
    body = '@experiment("--crash_at=137")\ndef test_one(): ...\n\n@experiment("--crash_at=137")\ndef test_two(baseline): ...\n'
    toy_project.write(body)
    toy_project.run().assert_outcomes(errors=2)
    assert [line.split()[3] for line in toy_project.runs if "--crash_at=137" in line] == ["42", "137"]


def test_finished_seeds_survive_a_failing_one(toy_project):
    """Seeds before the failing one are stored and not trained again in the next session."""
    toy_project.write('@experiment("--crash_at=256")\ndef test_crash(): ...')
    toy_project.run()
    toy_project.run()
    assert toy_project.seeds("--crash_at=256") == [42, 137, 256, 256]


def test_runs_are_shared_between_tests_and_roles(toy_project):
    """An arm is trained once, be it experiment here and control there; tests with the same comparison share one report."""
    toy_project.write(
        ROPE
        + '\n@experiment("--shift=-5", baseline="--rope")\ndef test_on_rope(comparison):\n    assert comparison.not_loser\n'
        + '\n@experiment("--rope")\ndef test_again(comparison, baseline, experiment):\n'
        + "    assert comparison.baseline is baseline and comparison.experiment is experiment\n",
    )
    toy_project.run().assert_outcomes(passed=3)
    assert sorted(toy_project.seeds("--rope")) == sorted([*BASELINE_SEEDS, *BASELINE_SEEDS[:3]])
    assert len([line for line in toy_project.runs if "--rope" in line and "--shift" not in line]) == 5
    reports = sorted(path.name for path in (toy_project.pytester.path / "docs" / "research").glob("*_1M.md"))
    assert reports == [
        "baseline_variance_1M.md",
        "baseline_variance_rope_1M.md",
        "experiment_on_rope_1M.md",
        "experiment_rope_1M.md",
    ]


def test_control_arms_have_five_seeds_of_their_own(toy_project):
    """With baseline= the control is trained on all five seeds and the default baseline on none."""
    toy_project.write('@experiment("--shift=-5", baseline="--rope")\ndef test_on_rope(): ...')
    toy_project.run().assert_outcomes(passed=1)
    assert toy_project.seeds() == []
    assert len(toy_project.runs) == 8


def test_sweep_through_parametrize(toy_project):
    """`{x}` in a flag is the test's parameter; each value is an experiment with its own report."""
    toy_project.write(
        '@pytest.mark.parametrize("x", [-5, 0.5])\n@experiment("--shift={x}")\ndef test_shift(comparison, x):\n'
        "    assert comparison.not_loser"
    )
    toy_project.run().assert_outcomes(passed=2)
    assert (toy_project.pytester.path / "docs/research/experiment_shift--5_1M.md").exists() or (
        toy_project.pytester.path / "docs/research/experiment_shift-5_1M.md"
    ).exists()
    assert (toy_project.pytester.path / "docs/research/experiment_shift-0.5_1M.md").exists()


@pytest.mark.parametrize(
    ("args", "cause"),
    [
        ((), "experiment it (--train_tok=9000000): "),
        (("--exprun-args=--see=3",), "exprun_args = --see=3: "),
        (("--exprun-baseline=--see=3",), "exprun_baseline = --see=3: "),
    ],
)
def test_the_beginning_of_a_reserved_option_trains_nothing(toy_project, args, cause):
    """Not on the marker, nor in the settings, and the error names where it stands."""
    toy_project.write(f'@experiment("{"--rope" if args else "--train_tok=9000000"}")\ndef test_it(): ...')
    result = toy_project.run(*args)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*{cause}--* may be read as --*, which is reserved: *"])
    assert toy_project.runs == []


def test_the_beginning_of_a_reserved_option_is_refused_for_stored_runs_too(toy_project, monkeypatch):
    """Runs that were stored while nobody looked are not judged."""
    from pytest_exprun.running.options import rejection
    from pytest_exprun.running.training import trainers

    toy_project.write('@experiment("--outp=x")\ndef test_it(): ...')
    with monkeypatch.context() as unwary:
        unwary.setattr(trainers, "rejection", lambda *_: None)
        toy_project.run().assert_outcomes(errors=1)  # no effect
    assert len(toy_project.runs) == 8
    assert trainers.rejection is rejection.rejection
    result = toy_project.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*--outp may be read as --output_dir*"])


def test_the_baseline_alone_is_asked_about(toy_project):
    """A test without mark asks for the baseline's runs with the baseline's flags."""
    toy_project.write("def test_it(baseline): ...")
    result = toy_project.run("--exprun-baseline=--see=3")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*exprun_baseline = --see=3: --see may be read as --seed*"])


@pytest.mark.parametrize(
    "fixture",
    ["@pytest.fixture(autouse=True)\ndef log(comparison): ...", "@pytest.fixture\ndef log(experiment): ..."],
)
def test_a_fixture_that_asks_for_the_comparison_disarms_no_gate(toy_project, fixture):
    """What the test itself asks for decides: a fixture of the conftest that logs asserts nothing."""
    (toy_project.pytester.path / "conftest.py").write_text(f"import pytest\n\n{fixture}\n", encoding="utf-8")
    toy_project.write(
        '@experiment("--worse")\n@pytest.mark.usefixtures("log", "comparison")\ndef test_it(): ...\n'
        '@experiment("--worse")\ndef test_logged(log): ...'
    )
    toy_project.run().assert_outcomes(failed=2)


def test_a_declared_gate_judges_beside_assertions(toy_project):
    """The test's own assertions come first, then the gate; without a declared gate they alone decide."""
    toy_project.write(
        '@experiment("--worse", gate="winner")\ndef test_gated(comparison): assert comparison.verdict is Verdict.LOSER\n'
        '@experiment("--rope", gate="winner")\ndef test_both(comparison): assert comparison.not_loser\n'
        '@experiment("--worse")\ndef test_asserts(comparison): assert comparison.verdict is Verdict.LOSER\n'
    )
    result = toy_project.run()
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["gate winner: the verdict is LOSER*"])


@pytest.mark.parametrize(
    "test",
    [
        '@pytest.mark.parametrize("comparison", [1])\n@experiment("--worse", gate="winner")\ndef test_it(comparison): ...',
        '@pytest.mark.parametrize("baseline", [1])\n@experiment("--worse", gate="winner")\ndef test_it(baseline): ...',
        '@pytest.fixture\ndef comparison(): ...\n@experiment("--worse")\ndef test_it(comparison): ...',
    ],
)
def test_a_name_of_ones_own_in_place_of_a_fixture_passes_nothing(toy_project, test):
    """A parameter or a fixture that is called like one of the plugin's never lets a marked test pass unjudged."""
    toy_project.write(test)
    toy_project.run().assert_outcomes(failed=1)


def test_a_comparison_asked_for_by_name_is_enough(toy_project):
    """`request.getfixturevalue` in the body judges like an argument, and the default gate beside it."""
    toy_project.write(
        '@experiment("--rope")\ndef test_it(request): assert request.getfixturevalue("comparison").not_loser'
    )
    toy_project.run().assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("flags", "gate", "passes"),
    [
        ('"--rope"', "winner", True),
        ('"--worse"', "loser", True),
        ('"--noop"', "identical", True),
        ('"--rope"', "identical", False),
        ('"--shift=0.01", "--noise=0.01"', "non_inferior", True),
    ],
)
def test_gates(toy_project, flags, gate, passes):
    """What a gate does not let pass is a failure and not an error; which that is, tests/study/test_gates.py holds."""
    toy_project.write(f'@experiment({flags}, gate="{gate}")\ndef test_it(): ...')
    result = toy_project.run()
    result.assert_outcomes(passed=int(passes), failed=int(not passes))
    if not passes:
        result.stdout.fnmatch_lines([f"gate {gate}: *"])


def test_flag_without_effect_is_an_error(toy_project):
    """A flag that changes nothing is probably not wired: an error, not a verdict."""
    toy_project.write('@experiment("--noop")\ndef test_noop(): ...')
    result = toy_project.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*had no effect*is the flag wired?*Or is it already the default?*"])
    result.stdout.no_fnmatch_line("*finer metric*")


def test_a_failed_run_is_one_line_with_its_log(toy_project):
    """Not the output of eight runs: the last lines are shown, all of the failed run's and its traceback are in a file."""
    toy = toy_project.pytester.path / "toy.py"
    toy.write_text(toy.read_text().replace("    time.sleep(args.slow)", "    print('word\\n' * 300)"))
    toy_project.write('@experiment("--rope", "--crash_at=256")\ndef test_it(): ...')
    result = toy_project.run()
    result.assert_outcomes(errors=1)
    assert len(result.outlines) < 60
    line = next(line for line in result.outlines if "raised RuntimeError" in line)
    told, _, path = line.partition("; all of it: ")
    assert told.startswith(
        "out of memory: trainer toy:main (exprun_trainer): seed 256 of --rope --crash_at=256: "
        "raised RuntimeError: CUDA out of memory, pretended"
    )
    assert told.endswith("(toy.py, line 46)")
    log = Path(path).read_text(encoding="utf-8")
    assert log.count("word") == 300
    assert 'raise RuntimeError("CUDA out of memory, pretended")' in log
    result.stdout.fnmatch_lines(["*lines left out; -s shows all of them*"])


def test_a_flag_without_effect_on_one_coarse_metric_may_have_one(toy_project):
    """Where runs tell nothing but an accuracy, the error says that a second metric would tell more."""
    toy = toy_project.pytester.path / "toy.py"
    text = toy.read_text().replace('{"val_loss": loss,', '{"val_accuracy": args.seed % 7 / 8,')
    toy.write_text(text.replace("print(", "str("))
    toy_project.write('@experiment("--rope")\ndef test_it(): ...')
    result = toy_project.run("--exprun-metric=val_accuracy")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*Nothing but val_accuracy is known of the runs: a second, finer metric*"])


def test_a_bar_that_the_rule_would_ignore_is_refused(toy_project):
    """Rule two_sigma has its own bar; `tested` takes another."""
    toy_project.write('@experiment("--rope", min_effect=1)\ndef test_it(): ...')
    result = toy_project.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*min_effect=1: rule two_sigma has a fixed bar of 2; allowed with rule='tested' only*"]
    )
    toy_project.run("--exprun-rule=tested").assert_outcomes(passed=1)


def test_diverged_experiment_is_a_loser(toy_project):
    """A seed that gives NaN makes the experiment a LOSER after all three seeds, with the seed named."""
    toy_project.write(
        '@experiment("--diverge_at=137", "--rope")\ndef test_it(comparison):\n    assert comparison.verdict is Verdict.LOSER'
    )
    result = toy_project.run()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*1 of 3 seeds diverged (137)*"])
    assert len(toy_project.runs) == 8
    assert "NaN" not in toy_project.report("experiment_it_1M.json")
    toy_project.run().assert_outcomes(passed=1)
    assert len(toy_project.runs) == 8


def test_diverged_control_is_an_error(toy_project):
    """Nothing is judged against a control with a NaN; it is called the baseline only where it is the default one."""
    toy_project.write('@experiment("--rope", baseline="--diverge_at=512")\ndef test_it(): ...')
    result = toy_project.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*the control diverged: val_loss of --diverge_at=512 is not finite at seed 512*"])


def test_trainer_that_ignores_the_seed_is_an_error(toy_project):
    """Two seeds that give one run mean that noise is unknown; the others are not trained, and the line that seeds is named."""
    toy_project.write('@experiment("--rope", baseline="--constant")\ndef test_it(): ...')
    toy = toy_project.pytester.path / "toy.py"
    toy.write_text(toy.read_text() + "\n\ndef prepare():\n    random.seed(1337 + len(__name__))\n")
    result = toy_project.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [
            "*seeds 42, 137 of the control (--constant) gave one and the same run*ignores its seed (toy.py, line *: random.seed(1337 + *"
        ]
    )
    assert len(toy_project.runs) == 2


def test_equal_values_of_a_coarse_metric_need_all_seeds(toy_project):
    """Two seeds may have the same accuracy by chance: then the next ones are trained."""
    toy = toy_project.pytester.path / "toy.py"
    text = (
        toy.read_text()
        .replace('"val_loss": loss,', '"val_accuracy": [0.5, 0.75][args.seed == 512],')
        .replace("print(", "str(")
    )
    toy.write_text(text)
    toy_project.write('@experiment("--rope")\ndef test_it(comparison):\n    assert comparison.not_loser\n')
    toy_project.run("--exprun-metric=val_accuracy")
    assert len([run for run in toy_project.runs if "--rope" not in run]) == 5


@pytest.mark.parametrize(("shift", "outcome"), [(-10, "errors"), (10, "errors"), (0, "passed")])
def test_an_experiment_that_ignores_the_seed_is_no_finding(toy_project, shift, outcome):
    """All its seeds are one draw, whose luck is no effect of the change."""
    toy_project.write(f'@experiment("--constant", "--shift={shift}")\ndef test_it(): ...')
    result = toy_project.run()
    result.assert_outcomes(**{outcome: 1})
    if shift:
        result.stdout.fnmatch_lines(["*all 3 seeds of it gave one and the same run*seems to ignore its seed*"])


def test_baseline_fixture_alone(toy_project):
    """Without a mark `baseline` is the default baseline arm, and its report is written."""
    toy_project.write(
        'def test_noise(baseline):\n    assert baseline["val_loss"].n == 5\n    assert baseline["val_loss"].std < 0.05'
    )
    toy_project.run().assert_outcomes(passed=1)
    assert toy_project.seeds() == BASELINE_SEEDS
    assert "Seeds used: 42, 137, 256, 512, 1024" in toy_project.report("baseline_variance_1M.md")


def test_comparison_without_a_mark_is_a_setup_error(toy_project):
    """The other fixtures need a mark, and say so."""
    toy_project.write("def test_it(comparison): ...\n\ndef test_that(experiment): ...")
    result = toy_project.run()
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*is not marked with one: add @experiment*"])


def test_both_spellings_and_the_closest_mark(toy_project):
    """pytest.mark.experiment is the same marker; a class mark is overridden by the function's."""
    toy_project.write(
        '@pytest.mark.experiment("--worse")\nclass TestIt:\n    @pytest.mark.experiment("--rope")\n'
        "    def test_near(self, comparison):\n        assert comparison.verdict is Verdict.WINNER\n\n"
        "    def test_far(self, comparison):\n        assert comparison.verdict is Verdict.LOSER\n"
    )
    toy_project.run().assert_outcomes(passed=2)


def test_collect_only_and_setup_plan_train_nothing(toy_project):
    """Training happens inside fixtures, so looking at tests costs nothing."""
    toy_project.write(ROPE)
    toy_project.run("--co").stdout.fnmatch_lines(["*test_rope*"])
    toy_project.run("--setup-plan")
    assert toy_project.runs == []
    assert not (toy_project.pytester.path / ".exprun").exists()


def test_deselected_experiments_are_not_trained(toy_project):
    """-k picks one experiment; the other is neither trained nor reported."""
    toy_project.write(ROPE + '\n@experiment("--worse")\ndef test_worse(): ...\n', "test_it.py")
    toy_project.run("-k", "rope").assert_outcomes(passed=1, deselected=1)
    assert toy_project.seeds("--worse") == []


def test_verdict_does_not_depend_on_the_selection(toy_project):
    """A report is the same bytes whether its experiment ran alone or with others."""
    toy_project.write(ROPE + '\n@experiment("--worse")\ndef test_worse(): ...\n', "test_it.py")
    toy_project.run("-k", "rope")
    alone = toy_project.report("experiment_rope_1M.md")
    toy_project.run()
    assert toy_project.report("experiment_rope_1M.md") == alone


def test_last_failed_exitfirst_and_xfail(toy_project):
    """--lf, -x and xfail treat experiments as the ordinary tests they are."""
    toy_project.write(
        '@experiment("--worse")\ndef test_a_worse(): ...\n\n@experiment("--rope")\ndef test_b_rope(): ...\n\n'
        '@pytest.mark.xfail\n@experiment("--shift=8")\ndef test_c_known(): ...\n'
    )
    toy_project.run("-x").assert_outcomes(failed=1)
    assert toy_project.seeds("--rope") == []
    toy_project.run().assert_outcomes(failed=1, passed=1, xfailed=1)
    toy_project.run("--lf").assert_outcomes(failed=1)


def test_checkpoints_are_gone_but_foreign_folders_stay(toy_project):
    """Each run's directory is removed after recording; a folder the run did not make is left alone."""
    toy_project.write(ROPE)
    foreign = toy_project.pytester.path / "checkpoints" / "baseline_1M_seed42"
    foreign.mkdir(parents=True)
    (foreign / "precious.pt").write_bytes(b"x")
    toy_project.run()
    assert [path.name for path in (toy_project.pytester.path / "checkpoints").iterdir()] == ["baseline_1M_seed42"]
    assert (foreign / "precious.pt").exists()
    directories = {line.split("--output_dir ")[1].rsplit("-", 1)[0].rsplit("/", 1)[1] for line in toy_project.runs}
    assert {"baseline_1M_seed42", "exp_1M_seed42"} <= directories


def test_common_args_go_to_both_arms_and_belong_to_the_key(toy_project):
    """exprun_args reach every run; changing them trains anew."""
    toy_project.write(ROPE)
    toy_project.run("--exprun-args=--noise 0.5")
    assert len(toy_project.runs) == 8
    assert all("--noise 0.5" in line for line in toy_project.runs)
    toy_project.run()
    assert len(toy_project.runs) == 16


def test_more_baseline_seeds(toy_project):
    """exprun_baseline_seeds extends every baseline by the documented seeds; the five stored ones are not trained again."""
    toy_project.write(ROPE)
    toy_project.run()
    result = toy_project.run("--exprun-baseline-seeds=10")
    result.assert_outcomes(passed=1)
    assert toy_project.seeds() == [*BASELINE_SEEDS, 2048, 4096, 8192, 16384, 32768]
    assert "## Baseline Statistics (N=10 runs)" in toy_project.report("experiment_rope_1M.md")
    assert "Seeds used: 42, 137, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768" in toy_project.report(
        "baseline_variance_1M.md"
    )


def test_other_budgets_show_in_names_and_summary(toy_project):
    """A smoke budget is in every file name and marked as not the standard scale."""
    toy_project.write(ROPE)
    result = toy_project.run("--exprun-tokens=20000")
    assert "## Verdict: WINNER" in toy_project.report("experiment_rope_20K.md")
    assert toy_project.report("baseline_variance_20K.md").startswith("# Baseline Variance Report: 20K Tokens")
    assert all(line.startswith("--train_tokens 20000 ") for line in toy_project.runs)
    result.stdout.fnmatch_lines(["*not the*standard*scale*"])


def test_tested_rule_may_ask_for_more_seeds(toy_project):
    """exprun_rule=tested is honoured, and the protocol's own verdict is carried in junit."""
    toy_project.write(
        '@experiment("--shift=-2.5", "--noise=1")\ndef test_it(comparison):\n    assert comparison.judgement.rule == "tested"'
    )
    toy_project.run("--exprun-rule=tested", "--junitxml=junit.xml").assert_outcomes(passed=1)
    names = {p.get("name") for p in ET.parse(toy_project.pytester.path / "junit.xml").iter("property")}
    assert "exprun.verdict_two_sigma" in names


def test_plan_mode_lists_and_trains_nothing(toy_project):
    """--exprun-mode=plan prints an arm a line, imports no trainer, runs no test and exits 0."""
    toy_project.write(ROPE)
    (toy_project.pytester.path / "toy.py").write_text("raise RuntimeError('imported')\n", encoding="utf-8")
    result = toy_project.run("--exprun-mode=plan")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["baseline (no flags)*missing 42, 137, 256, 512, 1024*time unknown*", "exp (--rope)*to train 3 to 5*"]
    )
    assert toy_project.runs == []


def test_plan_mode_refuses_what_a_session_would(toy_project):
    """A misspelt flag, by the source alone; the other arms are listed, and the exit status says so."""
    toy_project.write('@experiment("--ropee")\ndef test_typo(): ...\n\n' + ROPE)
    toy = toy_project.pytester.path / "toy.py"
    toy.write_text(toy.read_text() + "\nraise RuntimeError('imported')\n")
    result = toy_project.run("--exprun-mode=plan")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["error ahead: experiment typo (--ropee): toy:main has no option --ropee; did you mean --rope?"]
    )
    result.stdout.fnmatch_lines(["exp (--rope)*to train 3 to 5*"])
    result.stdout.no_fnmatch_line("exp (--ropee)*")


def test_plan_mode_warns_of_a_seed_that_nobody_reads(toy_project):
    """All runs would be one run."""
    toy_project.write(ROPE)
    toy = toy_project.pytester.path / "toy.py"
    toy.write_text(toy.read_text().replace("args.seed", "int(argv[3])"))
    result = toy_project.run("--exprun-mode=plan")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["note: runs of all seeds may be one run: no source reads the seed"])


def test_a_seed_that_no_source_reads_needs_one_equal_number(toy_project):
    """Two runs that print nothing but one accuracy are one run where nobody asks for the seed."""
    toy_project.write(ROPE)
    toy = toy_project.pytester.path / "toy.py"
    text = (
        toy.read_text()
        .replace("args.seed", "7")
        .replace("print(", "str(")
        .replace('"val_loss": loss,', '"val_accuracy": 0.5,')
    )
    toy.write_text(text)
    result = toy_project.run("--exprun-metric=val_accuracy")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["seeds 42, 137 of the baseline*val_accuracy = 0.5*(no source reads the seed)*"])
    assert len(toy_project.runs) == 2


def test_plan_mode_counts_stored_runs(toy_project):
    """After a session the plan has nothing to train."""
    toy_project.write(ROPE)
    toy_project.run()
    result = toy_project.run("--exprun-mode=plan")
    result.stdout.fnmatch_lines(
        [
            "baseline (no flags)*stored 42, 137, 256, 512, 1024; missing none; to train 0",
            "exp (--rope)*stored 42, 137, 256; missing none; to train 0",
        ]
    )
    assert len(toy_project.runs) == 8


def test_plan_mode_knows_that_one_seed_may_prove_the_others(toy_project):
    """After a change of the source that may be harmless, one run an arm is enough, or all are needed."""
    toy_project.write(ROPE)
    toy_project.run()
    source = toy_project.pytester.path / "toy.py"
    source.write_text(source.read_text().replace('"""Pretend to train."""', '"""Pretend."""; unused = 1'))
    result = toy_project.run("--exprun-mode=plan")
    result.stdout.fnmatch_lines(["baseline (no flags)*source toy.py*to train 1 to 5*", "exp (--rope)*to train 1 to 5*"])
    assert len(toy_project.runs) == 8


def test_frozen_mode_judges_stored_runs_and_refuses_missing_ones(toy_project):
    """frozen trains nothing: stored runs are judged, a missing one is a setup error."""
    toy_project.write(ROPE)
    missing = toy_project.run("--exprun-mode=frozen")
    missing.assert_outcomes(errors=1)
    missing.stdout.fnmatch_lines(
        ["*frozen mode trains nothing, and seed 42, 137, 256, 512, 1024 of no flags*not in the store*"]
    )
    assert toy_project.runs == []
    toy_project.run()
    toy_project.run("--exprun-mode=frozen").assert_outcomes(passed=1)
    assert len(toy_project.runs) == 8


def test_frozen_mode_refuses_a_damaged_record(toy_project):
    """A damaged record is an error in frozen mode; otherwise it is set aside and trained again."""
    toy_project.write(ROPE)
    toy_project.run()
    record = next((toy_project.pytester.path / ".exprun").glob("baseline/*/seed-137.json"))
    record.write_bytes(record.read_bytes().replace(b"val_loss", b"val_boss"))
    frozen = toy_project.run("--exprun-mode=frozen")
    frozen.assert_outcomes(errors=1)
    assert len(toy_project.runs) == 8
    again = toy_project.run()
    again.assert_outcomes(passed=1)
    assert toy_project.seeds() == [*BASELINE_SEEDS, 137]
    again.stdout.fnmatch_lines(["*note: *seed-137.json*"])


def test_refresh_mode_trains_again_and_keeps_the_old_records(toy_project):
    """refresh moves the selected arms' records aside and trains them once more."""
    toy_project.write(ROPE)
    toy_project.run()
    result = toy_project.run("--exprun-mode=refresh")
    result.assert_outcomes(passed=1)
    assert len(toy_project.runs) == 16
    assert len(list((toy_project.pytester.path / ".exprun" / "superseded").rglob("seed-*.json"))) == 8


def test_json_beside_the_report_has_the_same_content(toy_project):
    """The .json twin holds verdict, effects and every run."""
    toy_project.write(ROPE)
    toy_project.run()
    data = json.loads(toy_project.report("experiment_rope_1M.json"))
    assert data["verdict"] == "WINNER"
    assert data["effects"]["val_loss"]["sigmas"] > 2
    assert [run["spec"]["seed"] for run in data["baseline"]] == BASELINE_SEEDS


def test_wall_time_of_unlike_conditions_is_not_compared(toy_project):
    """Reading the percentage of a wall time that is not comparable raises with the reason."""
    toy_project.write(
        "from pytest_exprun import NotComparable\n"
        '@experiment("--rope")\ndef test_it(comparison):\n    assert comparison.effect("wall_time").percent == 0'
    )
    toy_project.run()
    for record in (toy_project.pytester.path / ".exprun").glob("rope/*/seed-*.json"):
        _forge(record, lambda data: data["provenance"].update(cpu="another CPU"))
    result = toy_project.run()
    result.stdout.fnmatch_lines(["*NotComparable: wall_time of the two arms is not comparable: cpu differs*"])


def _forge(path: Path, change) -> None:
    """Change a stored run and give it a valid checksum again, as a machine of another kind would have written it."""
    from pytest_exprun.terms.outcome import RunResult
    from pytest_exprun.trust.store.records import decode, encode

    record = decode(path.read_bytes())
    data = json.loads(json.dumps(record.result.to_json()))
    change(data)
    path.write_bytes(encode(replace(record, result=RunResult.from_json(data))))


COARSE = """
def main(argv):
    seed, rope = int(argv[argv.index("--seed") + 1]), "--rope" in argv
    exact = 2 + seed / 1000 - (0.0001 if rope else 0)
    print(f"Step 1 | train_loss: {exact}" if EXACT else "Step 1 | train_loss: 1.0")
    return {"val_loss": round(exact, 2)}
"""


@pytest.mark.parametrize(("exact", "outcome"), [(True, {"passed": 1}), (False, {"errors": 1})])
def test_a_coarse_metric_is_no_flag_without_effect(toy_project, exact, outcome):
    """Where the progress of the runs differs the flag is wired, and the verdict NEUTRAL; where nothing does it is an error."""
    source = COARSE.replace("EXACT", str(exact))
    (toy_project.pytester.path / "coarse.py").write_text(source, encoding="utf-8")
    toy_project.write('@experiment("--rope")\ndef test_rope(): ...')
    result = toy_project.run("--exprun-trainer=coarse:main")
    result.assert_outcomes(**outcome)
    result.stdout.fnmatch_lines(["*too coarse to show a change*" if exact else "*is the flag wired?*"])


def test_help_lists_the_options_by_what_they_are_about(pytester):
    """`pytest --help` has a heading for each group, in their order, and every option below its own."""
    out = pytester.runpytest_inprocess("--help").stdout.str()
    wanted = [
        text
        for about, rows in Settings.groups().items()
        for text in (f"exprun: {about}:", *(f"  {row.flag}=" for row in rows))
    ]
    found = [line for line in out.splitlines() if line.startswith(("exprun: ", "  --exprun-"))]
    assert [line.startswith(text) for line, text in zip(found, wanted, strict=True)] == [True] * len(wanted)


def test_a_fixture_of_the_users_in_the_place_of_ours_is_an_error(toy_project):
    """Its test would pass without having been compared."""
    body = '@pytest.fixture\ndef comparison(): return 1\n\n@experiment("--worse")\ndef test_worse(): ...'
    toy_project.write(body)
    result = toy_project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*test_worse was not judged: its comparison*"])
