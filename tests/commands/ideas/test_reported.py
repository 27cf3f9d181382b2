"""An experiment by its name in the reports."""

from __future__ import annotations

import pytest

from pytest_exprun.commands.ideas.reported import reported
from pytest_exprun.report.files import write_experiment
from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.errors import RefusedError
from pytest_exprun.terms.model import Budget
from tests.report_toys import comparison


@pytest.fixture
def settings(tmp_path):
    """Return settings whose report folder has `rope` at three budgets."""
    settings = Settings(root=tmp_path, trainer="toy:main", plots="off")
    for tokens in (1_000_000, 20_000, 8_000_000):
        write_experiment(comparison(budget=Budget(tokens)), settings.path("report_dir"), settings, None)
    return settings


def test_the_budget_of_the_settings_tells_which(settings):
    """One name may have been judged at several scales."""
    assert reported(settings, "rope").declaration.budget == Budget()
    assert reported(Settings(root=settings.root, budget=Budget(20_000)), "rope").declaration.budget == Budget(20_000)


def test_another_budget_is_asked_for(settings):
    """Where it was judged at several others, they are named; at one, that is it."""
    with pytest.raises(RefusedError, match="rope was judged at 1M tokens, 20K tokens, 8M tokens: say which"):
        reported(Settings(root=settings.root, budget=Budget(7)), "rope")
    for path in settings.path("report_dir").glob("*_1M.json"):
        path.unlink()
    for path in settings.path("report_dir").glob("*_8M.json"):
        path.unlink()
    assert reported(Settings(root=settings.root), "rope").declaration.budget == Budget(20_000)


def test_a_name_that_is_none(settings, tmp_path):
    """A misspelt one gets the right one; where nothing was judged, what would."""
    with pytest.raises(RefusedError, match=r"no experiment 'rpoe' was judged.*did you mean rope"):
        reported(settings, "rpoe")
    with pytest.raises(RefusedError, match="there is none yet: exprun try, exprun run, or pytest"):
        reported(Settings(root=tmp_path / "empty"), "rope")
