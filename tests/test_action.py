"""The action for GitHub: its script is run as a shell on a runner would, in a clone at the base that has fetched the state on trial."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_exprun.settings.settings import GATES, Settings
from tests.states import Checkout

ROOT = Path(__file__).parent.parent
ACTION = (ROOT / "action.yml").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
INI = "[pytest]\nexprun_trainer = toy:main\nexprun_plots = off\nexprun_tokens = 2000\n"


def inputs() -> dict[str, str]:
    """Return the action's inputs and their defaults."""
    block = re.search(r"^inputs:\n(.*?)^runs:", ACTION, re.DOTALL | re.MULTILINE)[1]
    found = {}
    for name, body in re.findall(r"^  (\w+):\n((?:    .*\n)+)", block, re.MULTILINE):
        default = re.search(r"default: (.*)", body)
        found[name] = default[1].strip('"') if default else ""
    return found


def script() -> tuple[dict[str, str], str]:
    """Return the environment of the step that runs a script, by input, and the script."""
    step = ACTION[ACTION.index("    - shell: bash") :]
    environment = dict(re.findall(r"^        (\w+): \$\{\{ inputs\.(\w+) \}\}", step, re.MULTILINE))
    lines = step.partition("run: |\n")[2].splitlines()
    return environment, "\n".join(line.removeprefix(" " * 8) for line in lines)


@pytest.fixture
def runner(toy_project, tmp_path):
    """Return a function that runs the action for a branch of a pull request; the clone is at the base."""
    origin = Checkout(toy_project.pytester.path)
    toy = (origin.root / "toy.py").read_text(encoding="utf-8")
    origin.commit("first", **{"pytest.ini": INI, ".gitignore": ".exprun/\n.traces/\n*.pyc\ndocs/\n"})
    for name, loss in (("better", "1.9"), ("worse", "2.2")):
        raised = INI.replace("2000", "9000")  # a state on trial does not write the rules
        origin.branch(
            name, **{"toy.py": toy.replace("loss = 2.0 +", f"loss = {loss} +") + "\nX = 1\n", "pytest.ini": raised}
        )
    clone = tmp_path / "clone"
    origin.git("clone", "--quiet", str(origin.root), str(clone))
    programs = tmp_path / "bin"
    programs.mkdir()
    command = "import sys; from pytest_exprun.cli import main; sys.exit(main())"
    (programs / "exprun").write_text(f"#!/bin/sh\nexec '{sys.executable}' -c '{command}' \"$@\"\n", encoding="utf-8")
    (programs / "exprun").chmod(0o755)

    def run(branch: str, **given: str):
        values = inputs() | {"state": origin.git("rev-parse", branch)} | given
        names, text = script()
        environment = {
            **os.environ,
            **{variable: values[name] for variable, name in names.items()},
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "GITHUB_ACTIONS": "true",
            "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
        }
        environment.pop("PYTEST_ADDOPTS", None)
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-c", text],
            cwd=clone,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr, (tmp_path / "summary.md")

    return run


def test_a_better_pull_request_passes(runner):
    """The summary has the verdict first; the budget is the base's."""
    status, said, summary = runner("better")
    assert status == 0, said
    assert "::notice file=toy.py,title=WINNER::WINNER " in said
    text = summary.read_text(encoding="utf-8")
    assert text.splitlines()[2].startswith("**WINNER** ")
    assert "at 2K tokens" in text


def test_a_worse_one_fails_at_its_file(runner):
    """And further options reach the command."""
    status, said, _ = runner("worse", args="--tokens=3000 --rule=tested")
    assert status == 1, said
    assert "::error file=toy.py,title=LOSER::LOSER " in said
    assert "at 3K tokens" in said


def test_the_page_uses_what_the_action_has():
    """Its inputs, gates and settings exist."""
    used = re.search(r"with:\n((?:          \w+: .*\n)+)```", PAGE)[1]
    assert set(re.findall(r"(\w+):", re.sub(r"\$\{\{.*?\}\}|--\S+", "", used))) <= set(inputs())
    assert inputs()["gate"] in GATES
    assert inputs()["store"] == str(Settings().store)
