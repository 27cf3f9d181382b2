"""Bad input: each row is one clear line that names the value, the place, what is allowed or the fix."""

from __future__ import annotations

import pytest

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
        "*--seed is reserved: the plugin sets --seed, --train_tokens and --output_dir itself*",
    ),
    ('@experiment("--train-tokens", "7")\ndef test_it(): ...', "*--train-tokens is reserved*"),
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


@pytest.mark.parametrize(("body", "message"), COLLECTION)
def test_misuse_is_a_collection_error_of_one_line(toy_project, body, message):
    """Exit code 2, one line, no traceback of ours, nothing trained."""
    toy_project.write(body)
    result = toy_project.run()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines([message])
    assert "Traceback" not in result.stdout.str()
    assert "pytest_exprun" not in result.stdout.str()
    assert toy_project.runs == []


def test_misuse_is_a_collection_error_under_xdist_too(toy_project):
    """The same line with workers, and no INTERNALERROR."""
    toy_project.write('@experiment("rope")\ndef test_it(): ...')
    result = toy_project.run_fresh("-n", "1")
    result.stdout.fnmatch_lines(["*flags start with --*"])
    assert "INTERNALERROR" not in result.stdout.str()


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


OPTIONS = [
    ("--exprun-tokens=0", "*exprun_tokens = '0': allowed is a whole number of at least 1*"),
    ("--exprun-tokens=1e6", "*exprun_tokens = '1e6': allowed is*"),
    ("--exprun-tokens=", "*exprun_tokens = '': allowed is*"),
    ("--exprun-rule=best", "*exprun_rule = 'best': allowed is two_sigma or tested*"),
    ("--exprun-mode=fast", "*exprun_mode = 'fast': allowed is run, plan, frozen, refresh*"),
    ("--exprun-trainer=toy", "*exprun_trainer = 'toy': allowed is module:function*"),
    ("--exprun-trainer=toy.py:main()", "*exprun_trainer = *allowed is module:function*"),
    ("--exprun-min-effect=nan", "*exprun_min_effect = 'nan': allowed is*"),
    ("--exprun-baseline-seeds=4", "*exprun_baseline_seeds = '4': allowed is a whole number of at least 5*"),
    ("--exprun-args='--a", "*exprun_args = *allowed is*"),
    ("--exprun-store= ", "*exprun_store = '': allowed is a path*"),
]


@pytest.mark.parametrize(("option", "message"), OPTIONS)
def test_bad_option_is_a_usage_error_of_one_line(toy_project, option, message):
    """Exit code 4 with the option, the value and what is allowed."""
    toy_project.write('@experiment("--rope")\ndef test_rope(): ...')
    result = toy_project.run(option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])


def test_bad_ini_key_is_a_usage_error(toy_project):
    """The same from the ini file."""
    ini = toy_project.pytester.path / "pytest.ini"
    ini.write_text(ini.read_text(encoding="utf-8") + "exprun_tokens = many\n", encoding="utf-8")
    toy_project.write('@experiment("--rope")\ndef test_rope(): ...')
    result = toy_project.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*exprun_tokens = 'many': allowed is*"])


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


@pytest.mark.parametrize(("body", "message"), SETUP)
def test_wrong_flags_are_an_error_of_that_test(toy_project, body, message):
    """The trainer's own parser is asked; the other tests go on."""
    toy_project.write(body + '\n\n@experiment("--rope")\ndef test_rope(): ...\n')
    result = toy_project.run()
    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines([message])


def test_wrong_flags_are_found_before_the_first_run(toy_project):
    """A typing error in the last test is said before the first test trains."""
    toy_project.write('@experiment("--rope")\ndef test_a(): ...\n\n@experiment("--ropee")\ndef test_b(): ...\n')
    out = toy_project.run().stdout.str()
    assert out.index("did you mean --rope?") < out.index("seed 42")


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
    ("def main(): ...", "*raised TypeError: main() takes 0 positional arguments but 1 was given*"),
    (
        "def main(argv): ...\ndef build_parser(): return 3",
        "*build_parser() must return an argparse.ArgumentParser, not int*",
    ),
    ("def main(argv): ...\ndef build_parser(): 1/0", "*build_parser() failed: ZeroDivisionError: division by zero*"),
    ("import numpy\ndef main(argv): return {'val_loss': numpy.zeros(2)}", "*val_loss is *no real number*"),
]


@pytest.mark.parametrize(("source", "message"), TRAINERS)
def test_broken_trainer_is_an_error_of_one_line(toy_project, source, message):
    """What the trainer did wrong, in the error of the test; never a verdict."""
    (toy_project.pytester.path / "broken.py").write_text(source + "\n", encoding="utf-8")
    toy_project.write('@experiment("--rope")\ndef test_rope(): ...')
    result = toy_project.run("--exprun-trainer=broken:main")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([message])


def test_missing_trainer_is_an_error_of_one_line(toy_project):
    """A module that is not there is named, with the key to change."""
    toy_project.write('@experiment("--rope")\ndef test_rope(): ...')
    result = toy_project.run("--exprun-trainer=nowhere:main")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*'nowhere' not found in *exprun_trainer*"])


def test_unwritable_store_is_found_before_training(toy_project):
    """A store that cannot be written costs no training."""
    (toy_project.pytester.path / ".exprun").write_text("a file in the way", encoding="utf-8")
    toy_project.write('@experiment("--rope")\ndef test_rope(): ...')
    result = toy_project.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*.exprun*exprun_store*"])
    assert toy_project.runs == []
