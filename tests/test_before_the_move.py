"""A store that was written before the modules of the package were moved into rooms: it must stand after it."""

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

    options = ("experiments", "--exprun-mode=frozen", "--exprun-store=store")

    def test_it_stands(self, project, ini):
        """Every run is found, none is trained: frozen mode could not."""
        project.runpytest_inprocess("-c", ini, *self.options).assert_outcomes(passed=1)

    def test_it_does_not_stand_for_other_code(self, project, ini):
        """What makes it stand is its content: an edit of the module that the trainer imports is seen."""
        helper = project.path / "helper.py"
        helper.write_text(helper.read_text(encoding="utf-8").replace("0.01", "0.02"), encoding="utf-8")
        result = project.runpytest_inprocess("-c", ini, *self.options)
        result.assert_outcomes(errors=1)
        result.stdout.fnmatch_lines(["*source helper.py changed*"])
