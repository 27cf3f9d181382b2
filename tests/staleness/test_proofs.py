"""A harmless edit costs at most one run an arm, wherever the edited source is known from; a change of data is never proved away."""

from __future__ import annotations

import pytest

from tests.ways import WAYS, make_project

TRAINER = """
import importlib, inspect, os
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main(argv):
    seed = int(argv[argv.index("--seed") + 1])
    with open(HERE / ".runs", "a") as runs:
        runs.write("x")
    plugin = importlib.import_module("plug" + "in")
    loss = seed / 1000 + plugin.base() + float((HERE / ("da" + "ta.txt")).read_text())
    loss += 0 * len(inspect.getsource(plugin)) + len((HERE / ("corp" + "us.py")).read_text())
    print(f"Step 1 | val_loss: {loss}")
    return {"val_loss": loss}
"""
PLUGIN = "def base():\n    return 1.0\n"


@pytest.fixture(params=WAYS)
def project(request, pytester):
    """Return a project whose five baseline seeds are stored, and a function that runs a session and counts its runs.

    Nothing is heard in a session that trains nothing, so that one may be in this process.
    """
    (pytester.path / "plugin.py").write_text(PLUGIN, encoding="utf-8")
    (pytester.path / "corpus.py").write_text("x = 1\n", encoding="utf-8")
    (pytester.path / "data.txt").write_text("1", encoding="utf-8")
    make_project(pytester, request.param, TRAINER)

    def trained(run=pytester.runpytest_subprocess):
        runs = pytester.path / ".runs"
        runs.unlink(missing_ok=True)
        run("-p", "no:cacheprovider").assert_outcomes(passed=1)
        return len(runs.read_text()) if runs.exists() else 0

    pytester.trained = trained
    pytester.all_stand = lambda: trained(pytester.runpytest_inprocess) == 0
    assert trained() == 5
    assert pytester.all_stand(), "nothing changed, so nothing is trained"
    return pytester


def edit(project, name, content):
    """Write a file of the project."""
    (project.path / name).write_text(content, encoding="utf-8")


@pytest.mark.slow
def test_harmless_edits_of_a_module_that_only_hearing_knows(project):
    """Each costs one run, the key being the same all the time; what was proved before stands by what is proved now."""
    for body in (
        "    'A docstring.'\n    return 1.0\n",
        "    one = 1.0\n    return one\n",
        "    # a comment\n    return 0.5 + 0.5\n",
    ):
        edit(project, "plugin.py", f"def base():\n{body}")
        assert project.trained() == 1
        assert project.all_stand()
    edit(project, "plugin.py", PLUGIN.replace("1.0", "2.0"))
    assert project.trained() in (5, 6)
    assert project.all_stand()


def test_the_key_and_a_heard_module_change_together(project):
    """One run proves both."""
    edit(project, "plugin.py", PLUGIN + "\ndef unused(): ...\n")
    edit(project, "train.py", (project.path / "train.py").read_text(encoding="utf-8") + "\nUNUSED = 1\n")
    assert project.trained() == 1
    assert project.all_stand()


@pytest.mark.parametrize(("name", "content"), [("data.txt", "1.0"), ("corpus.py", "x = 2\n")])
def test_data_are_never_proved_away(project, name, content):
    """Neither alone nor beside a harmless edit, even where the number is the same: seeds that were not tried may read them otherwise."""
    edit(project, name, content)
    edit(project, "plugin.py", PLUGIN + "\ndef unused(): ...\n")
    assert project.trained() == 5
    assert project.all_stand()
