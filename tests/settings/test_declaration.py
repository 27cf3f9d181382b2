"""Bad input: each row is one clear line that names the value, the place, what is allowed or the fix."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROPE = '@experiment("--rope")\ndef test_rope(): ...'

COLLECTION = [
    ('@experiment("rope")\ndef test_it(): ...', "*flags start with --*found 'rope'; did you mean \"--rope\"?*"),
    ('@experiment("-rope")\ndef test_it(): ...', "*flags start with --*"),
    ("@experiment\ndef test_it(): ...", "*no flags; write the flags of the change*"),
    ("@experiment()\ndef test_it(): ...", "*no flags; write the flags of the change*"),
    ("@pytest.mark.experiment\ndef test_it(): ...", "*no flags; write the flags of the change*"),
    ('@experiment("--rope", 3)\ndef test_it(): ...', "*flag 3 is int; each flag is one text token*"),
    ("@experiment(3)\ndef test_it(): ...", "*flags start with --*found 3*"),
    ('@experiment("--rope", seed=3)\ndef test_it(): ...', "*unknown keyword 'seed'; did you mean seeds?*"),
    ('@experiment("--rope", xyz=3)\ndef test_it(): ...', "*unknown keyword 'xyz'; allowed are name, baseline*"),
    (
        '@experiment("--seed=7")\ndef test_it(): ...',
        "*--seed is reserved: the plugin sets --seed, --output_dir and the budget (--train_tokens, --train_steps or --train_seconds)*",
    ),
    ('@experiment("--train-steps=7")\ndef test_it(): ...', "*--train-steps is reserved*"),
    ('@experiment("--rope", baseline="--train_seconds 7")\ndef test_it(): ...', "*--train_seconds is reserved*"),
    ('@experiment("--train-tokens", "7")\ndef test_it(): ...', "*--train-tokens is reserved*"),
    ('@experiment("--seed 3")\ndef test_it(): ...', "*--seed 3 is reserved*"),
    ('@experiment("--rope", baseline="--output_dir=x")\ndef test_it(): ...', "*--output_dir is reserved*"),
    ('@experiment("--rope", baseline="rope")\ndef test_it(): ...', "*baseline='rope': flags start with --*"),
    ('@experiment("--rope", baseline="--a \'b")\ndef test_it(): ...', "*baseline=*No closing quotation*"),
    ('@experiment("--rope", baseline=3)\ndef test_it(): ...', "*baseline=3: the control's flags*"),
    ('@experiment("--lr={x}")\ndef test_it(): ...', "*the test has no parameter {x}; it has: none*"),
    (
        '@pytest.mark.parametrize("y", [1])\n@experiment("--lr={x}")\ndef test_it(y): ...',
        "*the test has no parameter {x}; it has: {y}*",
    ),
    ('@experiment("--lr={")\ndef test_it(): ...', "*a literal brace is written twice*"),
    ('@experiment("--lr={0}")\ndef test_it(): ...', "*the test has no parameter {0}*"),
    ('@experiment("--a\\0b")\ndef test_it(): ...', "*NUL character*"),
    ('@experiment("--rope", name="Rope!")\ndef test_it(): ...', "*name='Rope!': allowed is [[]a-z0-9]*"),
    ('@experiment("--rope", name="../x")\ndef test_it(): ...', "*name='../x': allowed is*"),
    ('@experiment("--rope", name="x" * 300)\ndef test_it(): ...', "*name=*allowed is*"),
    ('@experiment("--rope", rule="best")\ndef test_it(): ...', "*rule='best': allowed is two_sigma, tested*"),
    ('@experiment("--rope", gate="good")\ndef test_it(): ...', "*gate='good': allowed is not_loser, non_inferior*"),
    ('@experiment("--rope", metric="")\ndef test_it(): ...', "*metric='': allowed is a metric's name*"),
    ('@experiment("--rope", metric="score")\ndef test_it(): ...', "*nobody says whether more score is better*"),
    (
        '@experiment("--rope", higher_is_better="yes")\ndef test_it(): ...',
        "*higher_is_better='yes': allowed is True or False*",
    ),
    ('@experiment("--rope", min_effect=-1)\ndef test_it(): ...', "*min_effect=-1: allowed is a number of at least 0*"),
    ('@experiment("--rope", min_effect=True)\ndef test_it(): ...', "*min_effect=True: allowed is*"),
    ('@experiment("--rope", min_effect=float("nan"))\ndef test_it(): ...', "*min_effect=nan: allowed is*"),
    (
        '@experiment("--rope", futility=0.5)\ndef test_it(): ...',
        "*futility=0.5: allowed is 'never' or 'seeds'*ini key*",
    ),
    ('@experiment("--rope", futility=[])\ndef test_it(): ...', "*futility=[[]]: allowed is*"),
    (
        '@experiment("--rope", futility="seeds", gate="loser")\ndef test_it(): ...',
        "*futility='seeds': gate 'loser' wants all seeds, as one that is stopped early proves nothing of harm",
    ),
    (
        '@experiment("--rope", futility="seeds", rule="tested", min_effect=0.5)\ndef test_it(): ...',
        "*: futility=seeds wants a bar of at least 1 baseline sigma: min_effect is 0.5; 'never' trains all seeds",
    ),
    ('@experiment("--rope", seeds=[1, 2])\ndef test_it(): ...', "*seeds=[[]1, 2]: allowed is a list of at least 3*"),
    ('@experiment("--rope", seeds=[1, 1, 2])\ndef test_it(): ...', "*seeds=*different whole numbers*"),
    ('@experiment("--rope", seeds=3)\ndef test_it(): ...', "*seeds=3: allowed is*"),
    (
        '@experiment("--rope", name="a")\ndef test_a(): ...\n\n@experiment("--worse", name="a")\ndef test_b(): ...',
        "*the name 'a' belongs to another comparison already (*test_a: --rope against no flags)*",
    ),
    (
        '@experiment("--rope")\ndef test_x_y(): ...\n\n@experiment("--worse")\ndef test_X_y(): ...',
        "*the name 'x_y' belongs to another comparison already*",
    ),
]


OPTIONS = [
    ("--exprun-tokens=0", "*exprun_tokens = '0': allowed is a whole number of at least 1*"),
    ("--exprun-tokens=1e6", "*exprun_tokens = '1e6': allowed is*"),
    ("--exprun-tokens=", "*exprun_tokens = '': allowed is*"),
    ("--exprun-rule=best", "*exprun_rule = 'best': allowed is two_sigma or tested*"),
    ("--exprun-mode=fast", "*exprun_mode = 'fast': allowed is run, plan, frozen or refresh*"),
    ("--exprun-trainer=toy", "*exprun_trainer = 'toy': allowed is module:function*"),
    ("--exprun-trainer=toy.py:main()", "*exprun_trainer = *allowed is module:function*"),
    ("--exprun-min-effect=nan", "*exprun_min_effect = 'nan': allowed is*"),
    ("--exprun-futility=-1", "*exprun_futility = '-1': allowed is auto, never, seeds or a number of at least 0*"),
    ("--exprun-futility=seed", "*exprun_futility = 'seed': allowed is auto, never, seeds or a number*"),
    ("--exprun-baseline-seeds=4", "*exprun_baseline_seeds = '4': allowed is a whole number of at least 5*"),
    ("--exprun-args='--a", "*exprun_args = *allowed is*"),
    ("--exprun-store= ", "*exprun_store = '': allowed is a path*"),
    (
        "--exprun-args=--size nano --seed=3",
        "*exprun_args = --size nano --seed=3: --seed is reserved: the plugin sets --seed*",
    ),
    ("--exprun-baseline=--train-steps 3", "*exprun_baseline = --train-steps 3: --train-steps is reserved*"),
    ("--exprun-jobs=0", "*exprun_jobs = '0': allowed is a whole number of at least 1*"),
    (
        "--exprun-jobs=2",
        "*exprun_jobs = 2: executor inprocess trains one run after the other; set exprun_executor = processes*",
    ),
    ("--exprun-executor=nosuch", "*exprun_executor = 'nosuch': allowed is inprocess, processes, ray, or module:Class*"),
    ("--exprun-timeout=-1", "*exprun_timeout = '-1': allowed is a number of at least 0*"),
    ("--exprun-ray-resources=num_gpus", "*exprun_ray_resources = 'num_gpus': allowed is name=amount*"),
]


COMMANDS = [
    ("python train.py {output_dir} {flags}", "", "*no {seed}, and every run needs one of its own*torch.manual_seed*"),
    (
        "python train.py {seed} {flags}",
        "",
        "*no {output_dir}, and every run writes in a folder of its own*--out_dir={output_dir}*",
    ),
    ("python train.py {seed} {output_dir}", "", "*{flags} must be there as a word of its own*"),
    (
        "python train.py {seed} {output_dir} {flags}",
        "loss (?P<loss>[0-9.]+)",
        "*exprun_pattern = *no group for the metric that decides, val_loss: write (?P<val_loss>...)*",
    ),
]


SETUP = [
    (
        '@experiment("--ropee")\ndef test_it(): ...',
        "*experiment it (--ropee): toy:main has no option --ropee; did you mean --rope?*",
    ),
    ('@experiment("--shift=much")\ndef test_it(): ...', "*toy:main refuses it: *invalid float value: 'much'*"),
    ('@experiment("--rope", "--shift")\ndef test_it(): ...', "*toy:main refuses it: *expected one argument*"),
    ('@experiment("--help")\ndef test_it(): ...', "*toy:main stops at once when given it*"),
    (
        '@experiment("--rope", metric="val_los", higher_is_better=False)\ndef test_it(): ...',
        "*returned no val_los; it returned: val_loss, *",
    ),
    (
        '@experiment("--rope", metric="note", higher_is_better=False)\ndef test_it(): ...',
        "*note is 'toy', no real number*",
    ),
]


TRAINERS = [
    ("import nosuchthing", "*trainer broken:main (exprun_trainer): cannot be imported*No module named 'nosuchthing'*"),
    ("raise ValueError('two\\nlines')", "*cannot be imported*ValueError: two lines*"),
    ("def train(argv): ...", "*module broken has no function 'main'; it has: train*"),
    ("def main(argv): return None", "*seed 42 of no flags: returned None; a mapping of metrics is needed*"),
    ("def main(argv): return 3.1", "*returned 3.1; a mapping of metrics is needed*"),
    ("def main(argv): return {'loss': 3.1}", "*returned no val_loss; it returned: loss*"),
    ("def main(argv): return {'val_loss': True}", "*val_loss is True, no real number*"),
    ("def main(argv): return {'val_loss': '3.1'}", "*val_loss is '3.1', no real number*"),
    ("def main(argv): return {'val_loss': None}", "*val_loss is None, no real number*"),
    ("def main(argv): return {'val_loss': 1j}", "*val_loss is *1j*no real number*"),
    ("def main(argv): return {3: 1.0}", "*returned the key 3; keys are names of metrics*"),
    ("def main(argv): return {}", "*returned no val_loss; it returned: nothing*"),
    ("def main(argv): return {'val_loss': float('nan')}", "*the baseline diverged*"),
    ("def main(argv): return {'val_loss': 1.0, 'train_tokens': 5}", "*reports train_tokens = 5, asked for 1000000*"),
    ("def main(argv): raise SystemExit(3)", "*stopped with exit status 3*"),
    ("def main(argv): raise KeyError('x')", "*seed 42 of no flags: raised KeyError: 'x'*"),
    (
        "def main(): ...",
        "*takes no argument: it needs argv, a list of words, or the keywords seed, train_tokens and output_dir*",
    ),
    (
        "def main(argv): ...\ndef build_parser(): return 3",
        "*build_parser() must return an argparse.ArgumentParser, not int*",
    ),
    ("def main(argv): ...\ndef build_parser(): 1/0", "*build_parser() failed: ZeroDivisionError: division by zero*"),
    ("import numpy\ndef main(argv): return {'val_loss': numpy.zeros(2)}", "*val_loss is *no real number*"),
]


def _record(project) -> Path:
    """Store the runs of `ROPE`, and return one record of the baseline."""
    project.write(ROPE)
    project.run()
    return next((project.pytester.path / ".exprun").glob("baseline/*/seed-137.json"))


def _damage(change: Callable[[bytes], bytes]) -> Callable[[Any], None]:
    """Return a preparation that changes the bytes of one record."""

    def prepare(project) -> None:
        record = _record(project)
        record.write_bytes(change(record.read_bytes()))

    return prepare


def _swap(project) -> None:
    """Give two seeds each other's record."""
    one = _record(project)
    two = one.with_name("seed-42.json")
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)


def _edit_trainer(project) -> None:
    """Change what the trainer computes after its runs were stored."""
    _record(project)
    source = project.pytester.path / "toy.py"
    source.write_text(source.read_text(encoding="utf-8").replace("loss = 2.0 +", "loss = 2.5 +"), encoding="utf-8")


def _file(name: str, text: str = "in the way") -> Callable[[Any], None]:
    def prepare(project) -> None:
        (project.pytester.path / name).write_text(text, encoding="utf-8")

    return prepare


FROZEN = "--exprun-mode=frozen"
STORED = [
    (_damage(lambda data: data[:-1]), FROZEN, "*stored run baseline/*/seed-137.json*is damaged*"),
    (_damage(lambda data: data + b" "), FROZEN, "*is damaged*"),
    (_damage(lambda data: data.replace(b"1.", b"2.", 1)), FROZEN, "*is damaged*"),
    (_damage(lambda _: b""), FROZEN, "*is damaged*"),
    (_damage(lambda _: b"{}"), FROZEN, "*is damaged*"),
    (_damage(lambda _: b"[" * 100_000), FROZEN, "*is damaged*"),
    (_damage(lambda _: bytes(range(256))), FROZEN, "*is damaged*"),
    (_swap, FROZEN, "*is damaged*"),
    (_edit_trainer, FROZEN, "*stored runs do not stand: source toy.py changed*"),
    (_edit_trainer, "--exprun-stale=error", "*source toy.py changed*exprun_stale = error*"),
    (None, FROZEN, "*frozen mode trains nothing, and seed 42, 137, 256, 512, 1024 of no flags*"),
    (_file(".exprun"), "-q", "*.exprun*exprun_store*"),
    (None, "--exprun-trainer=nowhere:main", "*'nowhere' not found in *exprun_trainer*"),
    (None, "--exprun-inputs=no/such/file", "*exprun_inputs*no/such/file*"),
    (
        None,
        "--exprun-executor=nowhere:Slurm",
        "exprun_executor = 'nowhere:Slurm': nowhere cannot be imported from *allowed are*",
    ),
    (
        _file("odd.py", "1/0"),
        "--exprun-executor=odd:Slurm",
        "*odd cannot be imported from *ZeroDivisionError: division by zero*",
    ),
    (
        _file("odd.py", "class Slurm: ..."),
        "--exprun-executor=odd:Slurm",
        "*no executor Slurm, a class with the methods run and rejects*",
    ),
]

if importlib.util.find_spec("ray") is None:
    STORED.append(
        (
            None,
            "--exprun-executor=ray",
            "exprun_executor = ray: ray is not installed; pip install 'pytest-exprun[[]ray]'",
        )
    )


@dataclass(frozen=True)
class Row:
    """What is wrong, how the session ends, and the line that says so."""

    ending: str
    message: str
    body: str = ROPE
    args: tuple[str, ...] = ()
    trainer: str = ""
    prepare: Callable[[Any], None] | None = None


ROWS = [
    *(Row("collection", message, body=body) for body, message in COLLECTION),
    *(Row("usage", message, args=(option,)) for option, message in OPTIONS),
    *(
        Row(
            "usage",
            message,
            args=(
                "--exprun-trainer=",
                f"--exprun-command={command}",
                "--exprun-budget=2 steps",
                f"--exprun-pattern={pattern}",
            ),
        )
        for command, pattern, message in COMMANDS
    ),
    *(Row("setup", message, body=body) for body, message in SETUP),
    *(Row("setup", message, trainer=source, args=("--exprun-trainer=broken:main",)) for source, message in TRAINERS),
    *(Row("setup", message, prepare=prepare, args=(option,)) for prepare, option, message in STORED),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.ending}-{ROWS.index(row)}")
def test_bad_input_is_one_clear_line(toy_project, row):
    """A collection error, a usage error or an error of that test's setup; never a verdict, never a traceback of ours."""
    if row.prepare is not None:
        row.prepare(toy_project)
    trained = len(toy_project.runs)
    if row.trainer:
        (toy_project.pytester.path / "broken.py").write_text(row.trainer + "\n", encoding="utf-8")
    toy_project.write(row.body)
    # Where pytest interrupts itself it shows where, for which it parses its own sources: that takes longer than the session.
    result = toy_project.run(*row.args, "--continue-on-collection-errors")
    (result.stderr if row.ending == "usage" else result.stdout).fnmatch_lines([row.message])
    assert "pytest_exprun/" not in result.stdout.str()
    if row.ending == "usage":
        assert result.ret == pytest.ExitCode.USAGE_ERROR
    else:
        result.assert_outcomes(errors=1)
    if row.ending != "setup":
        assert len(toy_project.runs) == trained
        assert "ERROR at setup" not in result.stdout.str()


def test_the_table_is_long_enough():
    """Everything that the plugin refuses has a row of its own."""
    assert len({(row.body, row.args, row.trainer, row.message) for row in ROWS}) >= 80


@pytest.mark.parametrize(("body", "message"), SETUP)
def test_an_error_of_one_test_leaves_the_others_alone(toy_project, body, message):
    """Wrong flags are the error of that test; the next one trains and passes."""
    toy_project.write(f"{body}\n\n{ROPE}\n")
    result = toy_project.run()
    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines([message])


def test_a_trainer_that_cannot_be_asked_is_every_tests_error(toy_project):
    """It is asked once; the second test does not begin to train."""
    (toy_project.pytester.path / "broken.py").write_text("print('ASKED')\n1 / 0\n", encoding="utf-8")
    toy_project.write(f'{ROPE}\n\n@experiment("--worse")\ndef test_worse(): ...\n')
    result = toy_project.run("--exprun-trainer=broken:main", "-s")
    result.assert_outcomes(errors=2)
    # Where CI is set, pytest's closing summary repeats them.
    lines = [
        line for line in result.outlines if line.startswith("trainer broken:main (exprun_trainer): cannot be imported")
    ]
    assert len(lines) == 2
    assert result.stdout.str().count("ASKED") == 1
    assert not [line for line in result.outlines if "training seed" in line]


def test_misuse_is_a_collection_error_under_xdist_too(toy_project):
    """The same line with workers, and no INTERNALERROR."""
    toy_project.write('@experiment("rope")\ndef test_it(): ...')
    result = toy_project.run_fresh("-n", "1")
    result.stdout.fnmatch_lines(["*flags start with --*"])
    assert "INTERNALERROR" not in result.stdout.str()


def test_an_executor_that_does_not_exist_is_one_line_under_xdist_and_none_where_nothing_trains(toy_project):
    """No INTERNALERROR in a worker; collecting and planning need no executor."""
    toy_project.write(ROPE)
    wrong = "--exprun-executor=nowhere:Slurm"
    result = toy_project.run_fresh(wrong, "-n", "1")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["exprun_executor = 'nowhere:Slurm': nowhere cannot be imported from *"])
    assert toy_project.run(wrong, "--collect-only").ret == 0
    assert toy_project.run(wrong, "--exprun-mode=plan").ret == 0


def test_two_files_may_not_share_a_name(toy_project):
    """Two tests named rope with other flags would overwrite each other's report."""
    toy_project.write('@experiment("--rope")\ndef test_rope(): ...')
    toy_project.write('@experiment("--worse")\ndef test_rope(): ...', "test_rope_again.py")
    result = toy_project.run()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*the name 'rope' belongs to another comparison already*"])


def test_marked_test_that_cannot_be_judged_is_an_error(toy_project):
    """A marked unittest method would pass untrained; it is an error instead."""
    toy_project.write(
        'import unittest\n\nclass TestIt(unittest.TestCase):\n    @pytest.mark.experiment("--rope")\n    def test_it(self): ...'
    )
    result = toy_project.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*is no plain test function, so it cannot be judged*"])


def test_bad_ini_key_is_a_usage_error(toy_project):
    """The same from the ini file."""
    ini = toy_project.pytester.path / "pytest.ini"
    ini.write_text(ini.read_text(encoding="utf-8") + "exprun_tokens = many\n", encoding="utf-8")
    toy_project.write('@experiment("--rope")\ndef test_rope(): ...')
    result = toy_project.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*exprun_tokens = 'many': allowed is*"])


def test_wrong_flags_are_found_before_the_first_run(toy_project):
    """A typing error in the last test is said before the first test trains."""
    toy_project.write('@experiment("--rope")\ndef test_a(): ...\n\n@experiment("--ropee")\ndef test_b(): ...\n')
    out = toy_project.run().stdout.str()
    assert out.index("did you mean --rope?") < out.index("seed 42")
