"""A store that was written before the modules were moved: since sources are read in another way, one run an arm must prove it."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from pytest_exprun.trust.identity import fingerprint

PROJECT = Path(__file__).parent / "data" / "before_the_move"
KEY = json.loads(next(PROJECT.glob("store/baseline/*/seed-42.json")).read_text(encoding="utf-8"))["record"]["key"]

pytestmark = pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the stored runs are of Python 3.11")


@pytest.fixture
def project(pytester, monkeypatch):
    """The project with its store, on what looks like the machine that its runs were made on."""
    shutil.copytree(PROJECT, pytester.path, dirs_exist_ok=True)
    monkeypatch.setattr(sys, "version", KEY["python"].removeprefix("CPython "))
    monkeypatch.setattr(fingerprint, "machine", lambda: KEY["machine"])
    return pytester


@pytest.mark.parametrize("ini", ["function.ini", "command.ini"])
class TestStoreFromBefore:
    """Eight runs of a function, and eight of a command."""

    options = ("experiments", "--exprun-store=store")

    def test_one_run_an_arm_proves_it(self, project, ini):
        """One seed of the baseline and one of the experiment are trained again; from then on frozen mode finds every run."""
        project.runpytest_inprocess("-c", ini, *self.options).assert_outcomes(passed=1)
        result = project.runpytest_inprocess("-c", ini, *self.options, "--exprun-mode=frozen")
        result.assert_outcomes(passed=1)
        new = [
            path
            for path in project.path.glob("store/*/*/seed-*.json")
            if f'"{KEY["source train.py"]}"' not in path.read_text()
        ]
        assert sorted(path.parts[-3] for path in new) == ["baseline", "rope"]

    def test_it_does_not_stand_for_other_code(self, project, ini):
        """What makes it stand is its content: an edit of the module that the trainer imports shows in the run that is to prove it."""
        helper = project.path / "helper.py"
        helper.write_text(helper.read_text(encoding="utf-8").replace("0.01", "0.02"), encoding="utf-8")
        result = project.runpytest_inprocess("-c", ini, *self.options)
        result.stdout.fnmatch_lines(["*the change matters*"])
