"""The hooks that others may implement, in a conftest.py or a plugin. All are called in the controlling process only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_exprun.terms.outcome import RunResult
    from pytest_exprun.verdict.comparison import Comparison


@pytest.hookspec(firstresult=True)
def pytest_exprun_markdown(config: pytest.Config, comparison: Comparison) -> str | None:
    """Replace the text of an experiment's Markdown report. None leaves it to the next implementation, in the end to the plugin."""


@pytest.hookspec
def pytest_exprun_report(config: pytest.Config, comparisons: Sequence[Comparison], paths: Mapping[str, Path]) -> None:
    """Hear of all comparisons at the end of the session, after the reports are written; `paths` has each one's Markdown by name."""


@pytest.hookspec
def pytest_exprun_run_finished(config: pytest.Config, run: RunResult) -> None:
    """Hear of each run that was trained in this session, as soon as it is stored; for experiment trackers and loggers."""
