"""Ideas on top of each other."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from tests.field.ideas import IDEAS, DoesNotApplyError, Idea, sources
from tests.field.lab import FIRST_SEED, Lab, edits_of


def climbed(lab: Lab) -> dict[Idea, float]:
    """Climb a ladder of single runs: return each idea that was kept, on top of those before it, and how much lower its one run was."""
    kept: dict[Idea, float] = {}
    lowest = lab.losses("control-once", (), [FIRST_SEED])[FIRST_SEED]
    for number, idea in enumerate(IDEAS, 1):
        with contextlib.suppress(DoesNotApplyError):
            loss = lab.losses(f"rung-{number:02}", (*kept, idea), [FIRST_SEED])[FIRST_SEED]
            if loss < lowest:
                kept[idea], lowest = lowest - loss, loss
    return kept


def compatible(ideas: Iterable[Idea]) -> tuple[Idea, ...]:
    """Return the ideas that can be put together, an earlier one before a later one."""
    together: tuple[Idea, ...] = ()
    for idea in ideas:
        with contextlib.suppress(DoesNotApplyError):
            sources(edits_of((*together, idea)))
            together = (*together, idea)
    return together


def name_of(together: Iterable[Idea]) -> str:
    """Return what the runs of several ideas put together are called; those of none are the control's, those of one its own."""
    return "+".join(idea.name for idea in together) or "control"
