"""The `exprun` command itself, in this process and as a shell sees it in one of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from pytest_exprun.cli import build_parser, main
from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.model import Variant
from tests.shell import (
    BASELINE,
    ROPE,
    SCHEMA,
    edit,
    shell,
    train_baseline,
)

PAGE = (Path(__file__).parents[1] / "docs" / "cli.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["powr"], "invalid choice: 'powr'"),
        (["why", "--rootdir=nowhere"], "--rootdir nowhere: no such folder"),
        (["why", "--tokens=0"], "exprun_tokens = '0'"),
        (["why", "--trainer=toy"], "exprun_trainer = 'toy': allowed is module:function"),
        (["power", "--trainer=nosuch:main"], "trainer module 'nosuch' not found"),
        (["aa", "--trainer=toy:nosuch"], "has no function 'nosuch'"),
        (["aa", "--baseline=--ropee"], "did you mean --rope?"),
        (["aa", "--metric=zork"], "nobody says whether more zork is better"),
        (["why", "--store=toy.py", "-k"], "expected one argument"),
    ],
)
def test_mistakes_are_one_line(exprun, project, argv, message):
    """Every mistake is one line that says what is allowed, with exit status 2."""
    assert project.runs == []
    exprun(*argv, status=2)
    assert message in exprun.err
    assert exprun.err.splitlines()[-1].startswith("exprun: ")
    assert len(exprun.err.splitlines()) == 1


def test_a_mistake_in_the_configuration_is_one_line(exprun, project):
    """So is a misspelt key."""
    (project.pytester.path / "pytest.ini").write_text("[pytest]\nexprun_trainr = toy:main\n", encoding="utf-8")
    assert "did you mean exprun_trainer?" in exprun.refused("why")


@pytest.mark.parametrize(
    "argv",
    [
        ["powr"],
        ["why", "--tokens=0"],
        ["aa", "--metric=zork"],
        ["power"],
        ["judge", "1,2"],
        ["try"],
        ["apply", "nosuch"],
    ],
)
def test_what_is_refused_is_an_object_for_a_program(exprun, project, argv):
    """Bad words, bad settings, nothing stored, no repository: one object, and the same line for people."""
    told = exprun.told(*argv, status=2)
    assert exprun.err == f"exprun: {told['errors'][0]}\n"
    assert told["next"] == "fix"
    (project.pytester.path / "pytest.ini").write_text("[pytest]\nexprun_trainr = toy:main\n", encoding="utf-8")
    assert exprun.told(*argv, status=2)["errors"]


def test_an_object_stands_alone_whatever_a_trainer_prints(project):
    """Also where a program that it starts, or C, writes to standard output; what was said meanwhile is on standard error."""
    edit(project, "import argparse\n", "import argparse\nimport os\n\nos.system('echo loud')\nos.write(1, b'louder')\n")
    process = shell("aa", "--json", cwd=project.pytester.path)
    out, err = process.communicate(timeout=180)
    told = json.loads(out)
    jsonschema.validate(told, SCHEMA)
    assert (told["exit_status"], told["comparisons"][0]["verdict"]) == (0, "NEUTRAL")
    assert told["relabelled"]["count"] == 2000
    assert "loud" in err
    assert "training seeds 42, 137" in err
    assert "A/A passed" not in err


def test_another_root_directory(exprun, project, tmp_path_factory, monkeypatch):
    """--rootdir names the project from anywhere."""
    train_baseline()
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert "nothing changed: 10 seeds stand" in " ".join(exprun("why", f"--rootdir={project.pytester.path}").split())


def test_a_trainer_on_pythonpath_is_found(exprun, project):
    """pytest's `pythonpath` counts, the key is the session's, and the import path is left as it was."""
    source = project.pytester.mkdir("src") / "toy3.py"
    (project.pytester.path / "toy.py").rename(source)
    edit(project, "exprun_trainer = toy:main", "exprun_trainer = toy3:main\npythonpath = src", name="pytest.ini")
    before = list(sys.path)
    exprun("aa")
    assert sys.path == before
    project.write(ROPE)
    project.run().assert_outcomes(passed=1)
    trained = (source.parent / ".traces" / "runs").read_text(encoding="utf-8").splitlines()
    assert len(trained) == 13
    assert "nothing changed: 10 seeds stand" in " ".join(exprun("why").split())


def test_ctrl_c_ends_without_a_traceback(exprun, project):
    """130, finished seeds stay stored."""
    edit(
        project,
        "    if args.seed == args.crash_at:",
        "    if args.seed == 256:\n        raise KeyboardInterrupt\n    if False:",
    )
    exprun("aa", status=130)
    assert exprun.err == "exprun: interrupted; runs that had finished are stored\n"
    assert "42, 137 of" in exprun("why")


@pytest.mark.parametrize("command", ["", "power", "judge", "aa", "budget", "why", "audit", "try", "promote", "ladder"])
def test_help_fits_and_is_ascii(exprun, command):
    """--help of every command names the exit statuses."""
    with pytest.raises(SystemExit) as done:
        main([*command.split(), "--help"])
    assert done.value.code == 0
    out = exprun._capsys.readouterr().out
    assert "exit status: 0" in out
    assert out.isascii()
    assert all(len(line) <= 80 for line in out.splitlines())


def test_every_setting_of_a_session_is_an_option(exprun):
    """Nothing of the settings' table is forgotten, but for what only a session has a use for."""
    with pytest.raises(SystemExit):
        main(["aa", "--help"])
    out = exprun._capsys.readouterr().out
    given = {row.name for row in Settings.rows() if f"{row.flag} " in out}
    assert {row.name for row in Settings.rows()} - given == {
        "mode",
        "plots",
        "against",
        "against_gate",
        "tried",
        "flags",
        "confirm",
        "shared",
    }


def test_the_console_script_is_installed():
    """The entry point names this function."""
    from importlib.metadata import entry_points

    (found,) = entry_points(group="console_scripts", name="exprun")
    assert found.load() is main
    assert Variant().slug == "baseline"


def test_a_real_sigint_ends_with_130(project):
    """Ctrl-C in a shell: the process ends by itself, without a traceback, with what was finished stored."""
    project.hold(137)
    process = shell("aa", cwd=project.pytester.path)
    project.wait_for_runs(2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=180)
    assert process.returncode == 130
    assert err == "exprun: interrupted; runs that had finished are stored\n"
    assert len(list(project.pytester.path.glob(".exprun/baseline/*/seed-*.json"))) == 1


def test_a_closed_pipe_is_quiet(tmp_path):
    """`exprun ... | head -0` prints no traceback."""
    read, write = os.pipe()
    os.close(read)
    process = subprocess.run(
        [sys.executable, "-c", "import sys; from pytest_exprun.cli import main; sys.exit(main())", "judge", "1,2,3,4,5", "1,2,3"],
        cwd=tmp_path, stdout=write, stderr=subprocess.PIPE, text=True, check=False, timeout=180,
    )  # fmt: skip
    os.close(write)
    assert (process.returncode, process.stderr) == (141, "")


def test_it_works_where_nothing_is_printable_but_ascii(tmp_path):
    """A metric with a foreign name, on a terminal that has no such letters."""
    (tmp_path / "a.csv").write_text("größe_loss\n" + "\n".join(map(str, BASELINE)), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from pytest_exprun.cli import main; sys.exit(main())", "judge", "a.csv", "a.csv",
         "--column=größe_loss"],
        cwd=tmp_path, env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, text=True, check=False, timeout=180,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert r"gr\xf6\xdfe_loss" in done.stdout


def test_judge_and_why_import_nothing_heavy(project):
    """Neither pytest nor torch nor scipy.stats nor the trainer is loaded to judge numbers or to say what changed."""
    code = (
        "import sys; from pytest_exprun.cli import main; main(['judge', '1,2,3,4,5', '1,2,3']); main(['why']); "
        "print(sorted({'pytest', '_pytest', 'torch', 'toy', 'scipy.stats', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project.pytester.path, capture_output=True, text=True, check=True, timeout=180
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "command",
    ["run", "confirm", "promote", "ladder", "speedup", "power", "budget", "judge", "aa", "why", "audit", "ledger"],
)
def test_every_command_and_option_is_documented(command):
    """Each command has its heading, and each option of its own stands below it."""
    assert f"\n## exprun {command}\n" in PAGE
    section = PAGE.split(f"\n## exprun {command}\n")[1].split("\n## ")[0]
    (parsers,) = [action for action in build_parser()._actions if isinstance(action.choices, dict)]
    for action in parsers.choices[command]._actions:
        if (
            action.option_strings
            and not action.dest.startswith("exprun_")
            and action.dest not in ("help", "rootdir", "json")
        ):
            assert f"`{action.option_strings[0]}" in section, action.option_strings


@pytest.mark.parametrize("name", ["rootdir", "130", "--json"])
def test_what_all_commands_share_is_documented(name):
    """The root directory and the exit statuses stand at the top."""
    assert name in PAGE.split("\n## ")[0]
