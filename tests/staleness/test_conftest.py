"""A conftest that patches the trainer of its own process: what it is made of belongs to the stored runs."""

from __future__ import annotations

from tests.ways import make_project

TRAINER = """
import model
def main(argv):
    seed = int(argv[argv.index("--seed") + 1])
    return {"val_loss": seed / 1000 + model.base()}
"""
PATCH = """
import pytest, model
@pytest.fixture(autouse=True)
def patched(monkeypatch):
    monkeypatch.setattr(model, 'base', lambda: {})
"""


def test_a_patch_that_appears_changes_and_goes(pytester):
    """Each time one run is trained again and shows that it matters; a comment costs nothing."""
    (pytester.path / "model.py").write_text("def base(): return 1.0\n", encoding="utf-8")
    make_project(pytester, "inprocess", TRAINER)
    arguments = ("-p", "no:cacheprovider", "--exprun-mode=frozen")
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)
    conftest = pytester.path / "conftest.py"
    for text in (PATCH.format("2.0"), PATCH.format("3.0")):
        conftest.write_text(text, encoding="utf-8")
        pytester.runpytest_subprocess(*arguments).assert_outcomes(errors=1)
        pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)
        conftest.write_text(text + "# a comment\n", encoding="utf-8")
        pytester.runpytest_subprocess(*arguments).assert_outcomes(passed=1)
    conftest.unlink()
    pytester.runpytest_subprocess(*arguments).assert_outcomes(errors=1)
