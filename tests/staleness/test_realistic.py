"""Changes of realistic projects: no stored value stands for another one; harmless edits cost at most one run, no edit none."""

from __future__ import annotations

import shutil
import sys

import pytest

from tests.staleness.projects.words import Edit, write
from tests.staleness.realistic import WAYS, every_change, every_harmless_edit, examine

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="projects lie where Linux keeps no system files"),
    pytest.mark.skipif(shutil.which("cc") is None, reason="some projects have compiled parts"),
]
SAMPLE = ("hydra", "a data root outside the project", "plugins executed from files", "a submodule on the path")


def check(outcomes):
    """Every edit changes a result, and no stored value of a changed seed stands."""
    assert [str(each) for each in outcomes if not each.changed] == []
    assert [str(each) for each in outcomes if each.stale] == []


def test_no_change_of_a_sample_is_accepted():
    """The projects in which most was found, in process; before and after all edits their runs stand."""
    chosen = [(project, edits[-4:]) for project, edits in every_change() if project.name in SAMPLE]
    outcomes = examine(chosen, "inprocess")
    assert len(outcomes) == 4 * len(SAMPLE)
    check(outcomes)


OVERLOOKED = (
    "models that unit tests import too",
    "a Python that is started while the trainer is imported",
    "data staged by links into the run's folder",
    "packages that no import statement names",
)


@pytest.mark.parametrize("name", OVERLOOKED)
def test_no_change_is_accepted_that_was_overlooked_once(name):
    """The process has run tests, has imported the trainer to ask for its flags, and the runs' folders are gone."""
    check(examine([(project, edits) for project, edits in every_change() if project.name == name], "inprocess"))


@pytest.mark.parametrize("way", WAYS[1:])
def test_one_project_in_other_processes(way):
    """The same, where runs are performed by others."""
    check(examine([(project, edits[:1]) for project, edits in every_change() if project.name == SAMPLE[0]], way))


def test_harmless_edits_of_a_sample():
    """They cost at most one run, and change nothing."""
    outcomes = examine(
        [(project, edits) for project, edits in every_harmless_edit() if project.name in SAMPLE], "inprocess"
    )
    assert len(outcomes) == 2 * len(SAMPLE)
    assert [str(each) for each in outcomes if each.changed or each.decision.kind == "anew"] == []


def test_the_laboratory_can_fail(monkeypatch):
    """Were it deaf for modules that are looked for in vain, it would say so."""
    monkeypatch.setattr("pytest_exprun.trust.files.audit_hook.Seeker.find_spec", lambda *_: None)
    appears = Edit(
        "a package in the place of a module", write("zoo/init/__init__.py", "def start(seed):\n    return seed / 9\n")
    )
    ((project, _),) = [each for each in every_change() if each[0].name == "hydra"]
    (outcome,) = examine([(project, [appears])], "inprocess")
    assert outcome.stale == outcome.changed != ()


def test_there_are_enough():
    """A hundred changes in twenty-five projects, and fifty harmless edits."""
    assert sum(len(edits) for _, edits in every_change()) >= 100
    assert len(every_change()) >= 25
    assert sum(len(edits) for _, edits in every_harmless_edit()) >= 50


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_no_change_is_accepted(way):
    """All of them."""
    check(examine(every_change(), way))


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_what_no_event_tells(way):
    """What docs/trust.md names as not covered goes unnoticed indeed: once it is heard, the page is to be changed."""
    assert [str(each) for each in examine(every_change(by_nature=True), way) if not each.stale] == []


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_harmless_edits_cost_at_most_one_run(way):
    """All of them."""
    outcomes = examine(every_harmless_edit(), way)
    assert [str(each) for each in outcomes if each.changed or each.decision.kind == "anew"] == []
