"""The session as a short Markdown table for the summary page of a GitHub Actions job."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pytest_exprun.report.certainty import is_doubtful, stale_mark
from pytest_exprun.report.markdown import document, summary
from pytest_exprun.report.text import (
    DASH,
    code,
    markdown,
    mean_and_spread,
    p_sentence,
    p_value,
    percent,
    places,
    signed,
    table,
)
from pytest_exprun.terms.model import Budget
from pytest_exprun.verdict.chance import Family, families
from pytest_exprun.verdict.comparison import Comparison

_HEADER = (
    "Experiment",
    "Change",
    "Verdict",
    "Baseline",
    "Experiment",
    "Sigmas better",
    "p",
    "n",
    "Wall time",
    "Holm p",
)


def step_summary(comparisons: Iterable[Comparison]) -> str:
    """Return a table for each baseline, best first; an empty text where there are no comparisons."""
    found = families(comparisons)
    if not found:
        return ""
    return document([["## Experiments"], *(section for family in found for section in _sections(family))])


def _sections(family: Family) -> list[list[str]]:
    declared = family.comparisons[0].declaration
    scale = "" if declared.budget.is_standard else f" **Not the standard scale ({Budget()}).**"
    rows = [_row(comparison, q) for comparison, q in zip(family.comparisons, family.holm, strict=True)]
    outlook = family.outlook()
    return [
        [f"{code(family.metric)} at {declared.budget}, baseline {code(declared.control)}.{scale}"],
        table(_HEADER, rows),
        [f"{outlook[:1].upper()}{outlook[1:]}."],
    ]


def _row(comparison: Comparison, q: float | None) -> Sequence[str]:
    judgement, wall = comparison.judgement, comparison.effects.get("wall_time")
    found = [summary(arm, comparison.metric) for arm in (comparison.baseline, comparison.experiment)]
    decimals = places([comparison.baseline[comparison.metric]])
    doubt = f" (**not confirmed**, {p_sentence(judgement.p_value, judgement.alpha)})" if is_doubtful(comparison) else ""
    change = DASH if wall is None else percent(wall.raw_percent) + ("" if wall.comparable else " (not comparable)")
    return (
        markdown(comparison.name),
        code(" ".join(comparison.declaration.change), cell=True),
        f"{comparison.verdict}{doubt}{stale_mark(comparison)}",
        *(mean_and_spread(one, decimals) for one in found),
        signed(judgement.sigmas, 1),
        p_value(judgement.p_value, judgement.alpha),
        str(comparison.evidence.n_experiment),
        change,
        p_value(q),
    )
