"""Where in its run a loss is from: told of every kind of output, refused where it is no end, and silent where nobody knows."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from pytest_exprun.commands.measurements import read_measurements
from pytest_exprun.report.baseline import baseline_report
from pytest_exprun.report.markdown import experiment_report
from pytest_exprun.report.terminal import summary_lines
from pytest_exprun.report.values import properties
from pytest_exprun.running.training.lines import FORMATS
from pytest_exprun.running.training.metrics_files import read_written
from pytest_exprun.running.training.output_metrics import OutputMetrics
from pytest_exprun.running.training.results import require_metric
from pytest_exprun.running.training.trainers import CallableTrainer
from pytest_exprun.terms.curves import MAX_OTHER_POINTS
from pytest_exprun.terms.errors import RefusedError, TrainerError
from pytest_exprun.terms.judged_at import REPORTED_AT, Place, check_places, counts_in, judged_early
from pytest_exprun.terms.model import SEEDS, Budget, Experiment, RunSpec, Variant
from pytest_exprun.terms.outcome import Arm, RunResult
from pytest_exprun.terms.sameness import difference
from pytest_exprun.verdict.comparison import Comparison, compare

PLAIN, CHANGED = Variant(), Variant(("--eval_interval=80",))
VALUES = {PLAIN: (2.00, 2.01, 2.02, 1.99, 1.98), CHANGED: (1.90, 1.91, 1.92)}

# A line with the metric and a line of training, of each format; the step may be any.
PATTERN = r"at (?P<step>\d+)(?: val (?P<val_loss>[\d.]+))?"
LINES = {
    "protocol": ("Step {} | val_loss: 2.5", "Step {} | train_loss: 2.0 | time: 1s"),
    "nanogpt": ("step {}: train loss 2.0000, val loss 2.5000", "iter {}: loss 2.0000, time 3.00ms, mfu 1.00%"),
    "modded-nanogpt": ("step:{}/100 val_loss:2.5 train_time:9ms", "step:{}/100 train_time:9ms step_avg:9.1ms"),
    "huggingface": ("{{'eval_loss': 2.5, 'epoch': {}}}", "{{'loss': 2.0, 'epoch': {}}}"),
    "llm-research-kit": ("Step {}: Val Loss: 2.5, Val Acc: 0.25", "Step {}: Train Loss: 2.0, LR: 0.1"),
    "exprun_pattern": ("at {} val 2.5", "at {}"),
}
# Where the metric is, of how many steps, and what is known of it.
RUNS = {"end": (100, 100), "before": (80, 100), "start": (0, 10)}


def lines(name: str, at: int, last: int) -> list[str]:
    """Return the output of a run whose metric is last printed at one step and whose training goes on to another."""
    metric, training = LINES[name]
    steps = [(0, metric), (0, training), (at, metric), (last, training)]
    return list(dict.fromkeys(line.format(step) for step, line in steps))


def heard(output: list[str], **how: str) -> dict[str, list]:
    """Return what a run's record holds of where its metrics are from."""
    metrics = OutputMetrics("val_loss", **how)
    for line in output:
        metrics.hear(line)
    return metrics.reported_at()


def test_every_format_that_has_steps_is_here():
    """Of the formats that are known only autoresearch names no step in the line of its metric."""
    assert set(FORMATS) - set(LINES) == {"autoresearch"}


@pytest.mark.parametrize("which", RUNS)
@pytest.mark.parametrize("name", LINES)
def test_each_format_tells_where_its_metric_is_from(name, which):
    """Lines of training count for the last step, lines with the metric for its own; recognised or named, the same."""
    unit, how = "step", {"log_format": name}
    if name == "huggingface":
        unit = "epoch"
    if name == "exprun_pattern":
        how = {"pattern": PATTERN}
    found = heard(lines(name, *RUNS[which]), **how)
    assert found["val_loss"] == [unit, *RUNS[which]]
    if name != "exprun_pattern":
        assert heard(lines(name, *RUNS[which])) == found


def test_a_line_without_a_step_tells_nothing():
    """autoresearch prints a block without steps, and a pattern need not have a group for them: nothing is known of such a run."""
    assert "val_loss" not in heard(["step: 5", "val_loss: 2.5", "step: 9"])
    assert heard(["val 2.5", "iter 9"], pattern=r"val (?P<val_loss>[\d.]+)") == {}


def test_the_last_step_is_known_of_a_run_of_many_lines():
    """The curve is bounded; where a metric is from is not taken from it."""
    training = [LINES["nanogpt"][1].format(step) for step in range(2 * MAX_OTHER_POINTS)]
    output = [*training[:900], LINES["nanogpt"][0].format(900), *training[900:]]
    assert heard(output)["val_loss"] == ["step", 900, 2 * MAX_OTHER_POINTS - 1]


def test_a_metric_is_where_it_was_last_whatever_the_other_metrics_do():
    """Each metric has a place of its own, and a count that begins again is followed."""
    found = heard(["Step 5 | val_loss: 2", "Step 9 | acc: 1", "Step 3 | lr: 1"])
    assert found == {"val_loss": ["step", 5, 3], "acc": ["step", 9, 3], "lr": ["step", 3, 3]}
    assert Place(*found["val_loss"]).part == 1


FILES = {
    "m.csv": ("epoch,step,train_loss,val_loss\n0,49,2.0,\n0,{at},,2.5\n0,{last},1.9,\n", "step"),
    "m.jsonl": ('{{"step": {at}, "val_loss": 2.5}}\n{{"step": {last}, "loss": 2.0}}\n', "step"),
    "m.json": ('[{{"iter": {at}, "val_loss": 2.5}}, {{"iter": {last}, "loss": 2.0}}]', "iter"),
    "epochs.csv": ("epoch,loss,val_loss\n{at},2.0,2.5\n{last},2.0,\n", "epoch"),
    "mixed.jsonl": (
        '{{"epoch": {at}, "val_loss": 2.5}}\n{{"global_step": 7, "loss": 2.0, "epoch": {last}}}\n',
        "epoch",
    ),
}


@pytest.mark.parametrize("which", RUNS)
@pytest.mark.parametrize("name", FILES)
def test_metrics_files_tell_where_a_metric_is_from(tmp_path, name, which):
    """A step column or key, of Lightning or anybody; where rows count differently, what they have in common."""
    text, unit = FILES[name]
    at, last = RUNS[which]
    (tmp_path / name).write_text(text.format(at=at, last=last), encoding="utf-8")
    assert read_written(name, tmp_path, {}).reported_at["val_loss"] == [unit, at, last]


def test_a_file_without_steps_tells_nothing(tmp_path):
    """No column that counts, or one that is no number there."""
    (tmp_path / "m.csv").write_text("step,val_loss\nlast,2.5\n", encoding="utf-8")
    (tmp_path / "m.json").write_text('{"val_loss": 2.5, "step": null, "epoch": true}', encoding="utf-8")
    assert read_written("m.csv", tmp_path, {}).reported_at == {}
    assert read_written("m.json", tmp_path, {}).reported_at == {}
    assert counts_in({"step": float("nan"), "epoch": "3"}) == {}


FUNCTION = """
def main(argv):
    {body}
    return {{"val_loss": {returned}, "acc": 0.5}}
"""
PRINTS = [
    ("print('Step 100 | val_loss: 1.2346')", "1.23456", ["step", 100, 100]),
    ("print('Step 80 | val_loss: 1.2346'); print('Step 100 | train_loss: 1.0')", "1.23456", ["step", 80, 100]),
    ("print('Step 0 | val_loss: 1.2346'); print('Step 10 | train_loss: 1.0')", "1.23456", ["step", 0, 10]),
    ("print('Step 80 | val_loss: 1.2346'); print('Step 100 | train_loss: 1.0')", "1.23466", None),
    ("print('Step 80 | val_loss: 1.2000'); print('Step 100 | train_loss: 1.0')", "1.2001", None),
    ("print('Step 80 | val_loss: 1.2e-5'); print('Step 100 | train_loss: 1.0')", "1.23e-5", ["step", 80, 100]),
    ("print('Step 80 | val_loss: 0.1'); print('Step 90 | val_loss: 1.0'); print('Step 99 | a: 1')", "0.1", None),
    ("print(f'Step 80 | val_loss: {2 / 3}'); print('Step 100 | train_loss: 1.0')", "2 / 3", ["step", 80, 100]),
    ("print('Step 80 | val_loss: nan'); print('Step 100 | train_loss: 1.0')", "1.0", None),
    ("print('Step 80 | val_loss: 1.0'); print('Step 100 | train_loss: 1.0')", "float('nan')", None),
    ("pass", "1.0", None),
]


@pytest.mark.parametrize(("body", "returned", "place"), PRINTS)
def test_what_a_function_returns_is_from_the_line_that_printed_it(tmp_path, body, returned, place):
    """To the digits printed, the zeros at their end too; another value was measured after that line, and nobody knows when."""
    (tmp_path / "lab.py").write_text(FUNCTION.format(body=body, returned=returned), encoding="utf-8")
    run = CallableTrainer("lab:main", tmp_path).run(RunSpec(PLAIN, 42), tmp_path, lambda _point: None)
    assert run.provenance[REPORTED_AT].get("val_loss") == place
    assert "acc" not in run.provenance[REPORTED_AT]


@pytest.mark.parametrize(
    ("at", "last", "part"),
    [
        (100, 100, 1),
        (101, 100, 1),
        (99, 100, 1),  # one count begins at 0, the other at 1
        (98, 100, 0.98),
        (9, 10, 0.9),
        (9900, 10000, 0.99),
        (2, 3, 2 / 3),
        (2.99, 3, 1),
        (0, 10, 0),
        (-1, 10, 0),
        (0, 1, 0),
        (0, 0, 1),
        (0, 0.5, 0),
        (-2, -1, 1),
    ],
)
def test_the_part_of_a_run_that_lies_before_a_place(at, last, part):
    """1 is the end, to one step and a hundredth of the run; 0 is before the training."""
    assert Place("step", at, last).part == pytest.approx(part)
    assert (Place("step", at, last).part == 0) == (part == 0)


def test_places_are_written_as_people_count():
    """Whole steps whatever their size, epochs with their fraction."""
    assert str(Place("step", 80.0, 12_345_678)) == "step 80 of 12345678"
    assert str(Place("epoch", 0.0806451, 3.0)) == "epoch 0.08065 of 3"


def arm(variant: Variant, *places: tuple[float, float] | None, budget: Budget | None = None) -> Arm:
    """Return runs that were judged there, the last place for all further seeds; None is a record of an earlier version."""
    known = [*places, *[places[-1]] * len(SEEDS)]
    return Arm(
        variant,
        tuple(
            RunResult(
                RunSpec(variant, seed, budget or Budget()),
                "finished",
                {"val_loss": value},
                provenance={} if place is None else {REPORTED_AT: {"val_loss": ["step", *place]}},
            )
            for seed, value, place in zip(SEEDS, VALUES[variant], known, strict=False)
        ),
    )


END, EARLY, START = (100, 100), (80, 100), (0, 10)
FINE = {
    "both at their ends": (END, END),
    "another batch size": ((488, 488), (976, 976)),
    "another batch size, evaluated every so often": ((480, 488), (960, 976)),
    "counts from 0": ((487, 488), (976, 976)),
    "both early": (EARLY, EARLY),
    "nearly alike": ((980, 1000), (989, 1000)),
    "baseline of an earlier version": (None, EARLY),
    "experiment of an earlier version": (EARLY, None),
    "both of an earlier version": (None, None),
}
WRONG = {
    "early against end": (END, EARLY),
    "end against early": (EARLY, END),
    "ten epochs against nine": ((10, 10), (9, 10)),
    "experiment untrained": (END, START),
    "both untrained": (START, START),
    "untrained against an earlier version": (None, START),
}


@pytest.mark.parametrize("unit", ["tokens", "steps"])
@pytest.mark.parametrize("name", FINE)
def test_arms_judged_at_the_same_part_of_their_runs_are_compared(name, unit):
    """The number of steps may differ, the part of the run may not; of what is not known nothing is said."""
    baseline, experiment = FINE[name]
    check_places("val_loss", unit, arm(PLAIN, baseline), arm(CHANGED, experiment))


@pytest.mark.parametrize("name", WRONG)
def test_arms_judged_at_different_parts_are_an_error(name):
    """Before any verdict, with both places, the runs and the line to change."""
    baseline, experiment = WRONG[name]
    arms = arm(PLAIN, baseline), arm(CHANGED, experiment)
    with pytest.raises(TrainerError, match=r"step \d+ of \d+.*--eval_interval a divisor of --max_iters"):
        check_places("val_loss", "tokens", *arms)
    with pytest.raises(TrainerError):
        compare(Experiment("x", CHANGED), *arms)


def test_the_error_names_both_runs():
    """One seed alone is enough."""
    with pytest.raises(TrainerError) as error:
        check_places("val_loss", "tokens", arm(PLAIN, END), arm(CHANGED, END, EARLY, END))
    assert "at step 80 of 100 in seed 137 of --eval_interval=80, at step 100 of 100 in seed 42 of no flags" in str(
        error.value
    )


@pytest.mark.parametrize(
    ("baseline", "experiment", "refused"),
    [
        ([(900, 1000), (1190, 1234), (700, 1000)], [(700, 1000), (900, 1000), (800, 1000)], False),
        ([(900, 1000)], [(400, 1000)], True),
        ([(900, 1000)], [(860, 1000)], False),
        ([(900, 1000)], [(840, 1000)], True),
        ([(1000, 1000)], [START], True),
        ([None], [(400, 1000)], False),
    ],
)
def test_runs_that_end_by_the_clock(baseline, experiment, refused):
    """Each ends at a step of its own: the arms' means must be near each other, and step 0 is an error as ever."""
    arms = arm(PLAIN, *baseline), arm(CHANGED, *experiment)
    if refused:
        with pytest.raises(TrainerError, match="step"):
            check_places("val_loss", "seconds", *arms)
    else:
        check_places("val_loss", "seconds", *arms)


def test_another_metric_is_judged_where_it_is():
    """A place counts for its own metric, and for none that diverged."""
    runs = arm(PLAIN, START).runs
    require_metric(replace(runs[0], metrics={"val_loss": 2.0, "acc": 0.5}), "acc", "trainer")
    require_metric(replace(runs[0], metrics={"val_loss": None}, status="diverged"), "val_loss", "trainer")
    with pytest.raises(TrainerError, match="seed 42 of no flags: val_loss was last reported at step 0 of 10: the untr"):
        require_metric(runs[0], "val_loss", "trainer")


EARLY_TEXTS = [
    ((END,), (END,), None),
    ((None,), (None,), None),
    ((EARLY,), (EARLY,), "step 80 of 100"),
    (((480, 488),), ((960, 976),), "step 480 of 488 (baseline), step 960 of 976 (experiment)"),
    ((None,), (EARLY,), "step 80 of 100 (experiment)"),
    ((EARLY, (81, 100)), (EARLY, (81, 100)), "step 80 of 100 at the earliest"),
    (
        (END, (1190, 1234)),
        ((1000, 1000),),
        "step 1190 of 1234 at the earliest (baseline), step 1000 of 1000 (experiment)",
    ),
]


@pytest.mark.parametrize(("baseline", "experiment", "text"), EARLY_TEXTS)
def test_a_place_before_the_end_is_told(baseline, experiment, text):
    """Of each arm its earliest run; nothing where all are from the end, or nobody knows."""
    assert judged_early("val_loss", baseline=arm(PLAIN, *baseline), experiment=arm(CHANGED, *experiment)) == text


def judged(place: tuple[float, float] | None) -> Comparison:
    """Return a comparison of runs that were all judged there."""
    return compare(Experiment("rate", CHANGED), arm(PLAIN, place), arm(CHANGED, place))


def reports(comparison: Comparison) -> dict[str, str]:
    """Return everything that shows a comparison, as text."""
    return {
        "markdown": experiment_report(comparison),
        "baseline": baseline_report(comparison.baseline),
        "terminal": "\n".join(text for _, text in summary_lines([comparison])),
        "json": json.dumps(comparison.conclusions()),
        "junit": repr([value for name, value in properties(comparison) if name == "exprun.judged_early"]),
    }


@pytest.mark.parametrize("kind", ["markdown", "baseline", "terminal", "json", "junit"])
def test_every_report_says_that_a_run_went_on(kind):
    """With both steps; nothing where the run ended there, and nothing of records that do not tell."""
    assert "step 80 of 100" in reports(judged(EARLY))[kind]
    for place in (END, None):
        assert "step" not in re.sub("judged_early|1M tokens", "", reports(judged(place))[kind])


def test_reports_read_back():
    """A report's JSON gives the same comparison, places and all."""
    comparison = judged(EARLY)
    assert Comparison.from_json(json.loads(json.dumps(comparison.to_json()))).judged_early == "step 80 of 100"


def test_a_record_of_an_earlier_version_is_the_same_run():
    """Whether a place was recorded is no difference of a computation: such records stand, and prove others."""
    old, new = arm(PLAIN, None).runs[0], arm(PLAIN, EARLY).runs[0]
    assert difference(old, new, "val_loss") is None
    assert difference(new, old, "val_loss") is None


# From end to end.

SCRIPT = """
import os, random, sys
seed, steps, every = int(sys.argv[1]), int(sys.argv[2]), 40
for word in sys.argv[4:]:
    every = int(word.partition("=")[2]) if word.startswith("--every=") else every
os.makedirs(".traces", exist_ok=True)
open(os.path.join(".traces", "runs"), "a").write("x")
for step in range(steps + 1):
    loss = 4 - step / 10 + random.Random(seed).gauss(0, 0.01) - 0.5 * ("--rope" in sys.argv)
    if step % every == 0:
        print(f"step {step}: train loss {loss:.4f}, val loss {loss:.4f}")
    print(f"iter {step}: loss {loss:.4f}, time 3.00ms, mfu 1.00%")
"""
INI = """[pytest]
exprun_command = python train.py {{seed}} {{steps}} {{output_dir}} {{flags}}
exprun_budget = {budget}
exprun_plots = off
exprun_args = {args}
"""


@pytest.fixture
def project(pytester):
    """Return a function that runs one experiment on a script that prints as nanoGPT does."""

    def run(flag: str, args: str = "", budget: str = "10 steps") -> pytest.RunResult:
        (pytester.path / "train.py").write_text(SCRIPT, encoding="utf-8")
        pytester.makeini(INI.format(args=args, budget=budget))
        body = f"from pytest_exprun import experiment\n@experiment({flag!r}, gate='winner')\ndef test_it(): ..."
        pytester.makepyfile(test_it=body)
        return pytester.runpytest_inprocess("-p", "no:cacheprovider", "--junitxml=junit.xml")

    return run


def test_an_untrained_model_is_an_error_after_one_run(project, pytester):
    """eval_interval 40 and max_iters 10: the first run tells, no other is trained, now or in the next session."""
    for _ in range(2):
        result = project("--rope")
        result.assert_outcomes(errors=1)
        result.stdout.fnmatch_lines(
            ["*seed 42 of no flags: val_loss was last reported at step 0 of 10: the untrained*"]
        )
        assert (pytester.path / ".traces" / "runs").read_text() == "x"
    project("--rope", args="--every=5").assert_outcomes(passed=1)


def test_an_evaluation_before_the_end_is_a_note(project, pytester):
    """The verdict falls; terminal, both reports, JSON and junit say where it is from."""
    result = project("--rope", args="--every=4")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["it: val_loss was judged at step 8 of 10, before the end of the run: *"])
    folder = pytester.path / "docs" / "research"
    for name in ("experiment_it_10-steps.md", "baseline_variance_10-steps.md"):
        assert "val_loss was judged at step 8 of 10" in (folder / name).read_text(encoding="utf-8")
    assert json.loads((folder / "experiment_it_10-steps.json").read_text())["judged_early"] == "step 8 of 10"
    assert 'name="exprun.judged_early" value="step 8 of 10"' in (pytester.path / "junit.xml").read_text()


def test_a_flag_that_moves_the_last_evaluation_is_an_error(project, pytester):
    """The experiment's loss is from before the end, the baseline's from the end: no verdict."""
    result = project("--every=4", args="--every=5")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*judged at different places: at step 8 of 10 in seed 42 of --every=4, at step 10 of 10*"]
    )
    assert not list((pytester.path / "docs" / "research").glob("experiment_*"))


TWO_METRICS = """
import random
from pathlib import Path

def main(argv):
    Path(".traces").mkdir(exist_ok=True)
    with Path(".traces", "runs").open("a") as file:
        file.write("x")
    loss = random.Random(int(argv[3])).gauss(2, 0.01) - 0.5 * ("--rope" in argv)
    print("Step 0 | acc: 0.1000")
    print(f"Step 9 | val_loss: {loss:.4f}")
    return {"val_loss": loss, "acc": 0.1}
"""


def test_a_metric_that_cannot_be_judged_takes_no_other_with_it(pytester):
    """The arm is refused for this metric after one run, and trained and judged for the other one."""
    (pytester.path / "two_metrics.py").write_text(TWO_METRICS, encoding="utf-8")
    pytester.makeini("[pytest]\nexprun_trainer = two_metrics:main\nexprun_plots = off\n")
    pytester.makepyfile(
        "from pathlib import Path\nfrom pytest_exprun import experiment\n"
        "@experiment('--rope', metric='acc')\ndef test_acc(): ...\n"
        "@experiment('--rope', gate='winner')\ndef test_loss():\n    assert len(Path('.traces/runs').read_text()) == 8\n"
    )
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines(["*acc was last reported at step 0 of 9*"])


# Logs that exist.

LOG = "Step 0 | val_loss: 4.0\nStep {at} | val_loss: {value}\nStep {last} | train_loss: 1.0\n"


def logs(folder, values, at: int, last: int) -> str:
    """Write a log for each seed and return their folder."""
    folder.mkdir()
    for seed, value in zip(SEEDS, values, strict=False):
        (folder / f"seed{seed}.log").write_text(LOG.format(at=at, last=last, value=value), encoding="utf-8")
    return str(folder)


def test_logs_tell_where_their_last_value_is_from(tmp_path):
    """Known lines are read as those of a run; a value from step 0 is refused with its file, one that diverged is not."""
    assert read_measurements(logs(tmp_path / "a", (1.0,), 80, 100)).places == (Place("step", 80, 100),)
    assert read_measurements(logs(tmp_path / "b", ("nan",), 0, 10)).places == (Place("step", 0, 10),)
    with pytest.raises(RefusedError, match=r"seed42.log: val_loss was last reported at step 0 of 10"):
        read_measurements(logs(tmp_path / "c", (1.0,), 0, 10))


def test_judge_says_what_a_session_says(tmp_path, capsys):
    """The same part in both arms is a note, another part an error."""
    from pytest_exprun.cli import main

    old = logs(tmp_path / "old", VALUES[PLAIN], 80, 100)
    assert main(["judge", old, logs(tmp_path / "new", VALUES[CHANGED], 80, 100)]) == 0
    assert "val_loss was judged at step 80 of 100" in " ".join(capsys.readouterr().out.split())
    assert main(["judge", old, logs(tmp_path / "end", VALUES[CHANGED], 100, 100)]) == 2
    assert "judged at different places" in capsys.readouterr().err
