"""Training experiments as tests.

`from pytest_exprun import Verdict, experiment` is all that an experiment file needs. Everything else is loaded when it is first used,
so that the plugin costs a session without experiments nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

    from pytest_exprun.terms.errors import ExprunError, NotComparable
    from pytest_exprun.terms.outcome import Arm, Effect, RunResult, Summary, Verdict
    from pytest_exprun.verdict.comparison import Comparison

__all__ = [
    "Arm",
    "Comparison",
    "Effect",
    "ExprunError",
    "NotComparable",
    "RunResult",
    "Summary",
    "Verdict",
    "experiment",
]

_HOME = {
    **dict.fromkeys(("Arm", "Effect", "RunResult", "Summary", "Verdict"), "terms.outcome"),
    **dict.fromkeys(("ExprunError", "NotComparable"), "terms.errors"),
    "Comparison": "verdict.comparison",
}
_MODULES = {"stats": "verdict.stats", "rules": "verdict.rules"}
"""Public modules, by the name under which they are imported from here."""


def experiment(*flags: Any, **keywords: Any) -> pytest.MarkDecorator:
    """Mark a test as an experiment: `pytest.mark.experiment` and nothing more.

    Args:
        flags: the change, one token of the trainer's command line each; `{x}` becomes the test's parameter x.
        keywords: name, baseline, metric, higher_is_better, seeds, rule, min_effect, gate, confirm, speedup, ref, patch, against; the
            reference says what each means.
    """
    import pytest

    mark: pytest.MarkDecorator = pytest.mark.experiment(*flags, **keywords)
    return mark


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"pytest_exprun.{_HOME[name]}"), name)
    if name in _MODULES:
        return import_module(f"pytest_exprun.{_MODULES[name]}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_MODULES])
