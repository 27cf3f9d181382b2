"""The list of all experiments of a folder, best first, made from the JSON files beside the reports."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from pytest_exprun.report.certainty import confirmation, is_doubtful, stale_mark
from pytest_exprun.report.markdown import document, summary
from pytest_exprun.report.names import baseline_stem
from pytest_exprun.report.text import code, duration, markdown, mean_and_spread, p_value, percent, places, signed, table
from pytest_exprun.terms.model import Budget, Effect
from pytest_exprun.verdict.chance import rank
from pytest_exprun.verdict.comparison import Comparison

MARK = "<!-- Written by pytest-exprun from the .json files of this folder. Changes are lost. -->"
_HEADER = ("Experiment", "Change", "Verdict", "Improvement", "In sigmas", "p", "n", "Wall time")


def index(comparisons: Mapping[str, Comparison], unreadable: Sequence[str] = ()) -> str:
    """Return the list of comparisons by their report's file stem; `unreadable` stems are named at the end."""
    groups: dict[str, list[tuple[str, Comparison]]] = {}
    for stem in sorted(comparisons):
        groups.setdefault(_group(comparisons[stem]), []).append((stem, comparisons[stem]))
    sections = [[MARK], ["# Experiments"], *(section for key in sorted(groups) for section in _sections(groups[key]))]
    if unreadable:
        sections.append([f"Not listed, because their JSON cannot be read: {', '.join(map(code, sorted(unreadable)))}."])
    if not groups:
        sections.append(["None yet."])
    return document(sections)


def _group(comparison: Comparison) -> str:
    """Return a sort key of what may stand in one table: one budget, one metric, the same baseline runs. The standard scale comes first."""
    declared = comparison.declaration
    arm = declared.control.identity, declared.common_args, comparison.baseline.values(declared.metric)
    return repr(
        (not declared.budget.is_standard, str(declared.budget), len(declared.control.flags), declared.metric, arm)
    )


def _sections(group: Iterable[tuple[str, Comparison]]) -> list[list[str]]:
    entries = sorted(group, key=lambda entry: rank(entry[1]))
    first = entries[0][1]
    declared, control = first.declaration, first.declaration.control
    found = first.baseline[first.metric]
    title = f"## {markdown(first.metric)} at {declared.budget}, baseline {code(control) if control.flags else 'without flags'}"
    scale = "" if declared.budget.is_standard else f" **Not the standard scale ({Budget()}).**"
    spread = mean_and_spread(found, places([found]))
    link = f"[{found.n} seeds]({baseline_stem(control, declared.budget)}.md)"
    rows = [_row(stem, comparison) for stem, comparison in entries]
    return [[title], [f"Baseline: {spread} over {link}.{scale}"], table(_HEADER, rows)]


def _row(stem: str, comparison: Comparison) -> list[str]:
    judgement, effect, wall = comparison.judgement, comparison.effect(), comparison.effects.get("wall_time")
    decimals = places([comparison.baseline[comparison.metric]])
    seconds = summary(comparison.experiment, "wall_time")
    change = "" if wall is None else f" ({percent(wall.raw_percent)}{'' if wall.comparable else ', not comparable'})"
    remark = f" ({confirmation(comparison)})" if is_doubtful(comparison) or judgement.p_value is None else ""
    gain = f"{signed(judgement.improvement, decimals)} ({percent(_relative(effect))})"
    return [
        f"[{markdown(comparison.name)}]({stem}.md)",
        code(" ".join(comparison.declaration.change), cell=True),
        f"{comparison.verdict}{remark}{stale_mark(comparison)}",
        gain,
        signed(judgement.sigmas, 1),
        p_value(judgement.p_value, judgement.alpha),
        str(comparison.evidence.n_experiment),
        f"{duration(seconds.mean if seconds else None)}{change}",
    ]


def _relative(effect: Effect) -> float | None:
    """Return the change in percent, positive when better."""
    if effect.raw_percent is None or effect.improvement is None:
        return None
    return math.copysign(effect.raw_percent, effect.improvement)
