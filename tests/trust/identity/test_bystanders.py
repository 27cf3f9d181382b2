"""Conftest files run in the process of an in-process trainer, and may patch it: they are stored with its runs."""

from __future__ import annotations

import sys
import types

import pytest

from pytest_exprun.trust.identity.bystanders import bystanders, conftests
from pytest_exprun.trust.identity.imports import import_closure

TRAINER = "import colorsys_of_mine, hypothesis\ndef main(argv): ...\n"


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Return a project with a test module that this process has loaded."""
    (tmp_path / "tests" / "deep").mkdir(parents=True)
    (tmp_path / "train.py").write_text(TRAINER, encoding="utf-8")
    (tmp_path / "colorsys_of_mine.py").write_text("", encoding="utf-8")
    module = types.ModuleType("test_loaded")
    module.__file__ = str(tmp_path / "tests" / "deep" / "test_loaded.py")
    monkeypatch.setitem(sys.modules, "test_loaded", module)
    return tmp_path


def test_every_folder_above_a_test_may_have_one(root):
    """There or not: one that appears may patch too."""
    assert [path.parent.relative_to(root).as_posix() for path in conftests(root)] == [".", "tests", "tests/deep"]


@pytest.mark.parametrize(
    ("source", "meets"),
    [
        ("import helper", False),
        ("import helper, train", True),
        ("import helper, colorsys_of_mine", True),
        ("import helper, hypothesis", True),
        ("import helper, pytest", False),
    ],
)
def test_what_a_conftest_imports_counts_if_it_may_reach_the_trainer(root, source, meets):
    """By a file or a package that both import."""
    (root / "helper.py").write_text("", encoding="utf-8")
    (root / "conftest.py").write_text(source, encoding="utf-8")
    trainer = import_closure("train", [str(root)])
    found = {path.name for path in bystanders(root, trainer, [str(root), *sys.path])}
    assert ("helper.py" in found) is meets
    assert "train.py" not in found
