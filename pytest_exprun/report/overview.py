"""Comparisons side by side. One table says which columns there are, and what stands in them wherever many comparisons are listed.

The terminal and the baseline's report take their rows from here. The folder's list, made from the JSON files beside the reports, and the
summary page of a GitHub Actions job are written here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from pytest_exprun.report.certainty import confirmation, is_doubtful, stale_mark
from pytest_exprun.report.markdown import document, sentence, summary
from pytest_exprun.report.text import (
    DASH,
    baseline_stem,
    code,
    duration,
    experiment_stem,
    markdown,
    mean_and_spread,
    p_sentence,
    p_value,
    percent,
    places,
    plain,
    signed,
    table,
)
from pytest_exprun.terms.model import Budget
from pytest_exprun.terms.outcome import Arm, Summary
from pytest_exprun.verdict.comparison import Comparison, compared_baseline, has_no_effect
from pytest_exprun.verdict.compute.clocks import why_machines_differ
from pytest_exprun.verdict.compute.speedup import shown
from pytest_exprun.verdict.sessions.chance import Family, Others, families, no_others, rank

MARK = "<!-- Written by pytest-exprun from the .json files of this folder. Changes are lost. -->"
NOT_COMPARABLE, STALE = "*", "~"
"""Marks of the terminal; what they mean stands below its table."""


class View(IntEnum):
    """Where comparisons are listed: the end of a session, the folder's list, a job's summary page, the baseline's report."""

    TERMINAL = 0
    LIST = 1
    JOB = 2
    BASELINE = 3


@dataclass(frozen=True)
class Row:
    """A comparison in a list: with Holm's p there, the stem of its report's file, and whether there is room for every digit."""

    comparison: Comparison
    q: float | None = None
    stem: str = ""
    full: bool = True


class Column(NamedTuple):
    """A title for each view, empty where the column is not shown, and what stands in its cells. An optional one of dashes is not shown."""

    titles: tuple[str, str, str, str]
    cell: Callable[[Row, View], str]
    optional: bool = False


def _name(row: Row, view: View) -> str:
    if view is View.TERMINAL:
        return plain(row.comparison.name)
    name = markdown(row.comparison.name)
    return name if view is View.JOB else f"[{name}]({row.stem or experiment_stem(row.comparison.declaration)}.md)"


def _verdict(row: Row, view: View) -> str:
    found, judgement, remark = row.comparison, row.comparison.judgement, ""
    if view is not View.TERMINAL and found.confirmation:
        return f"{found.verdict}, {found.confirmation.word}{stale_mark(found)}"
    if view is View.TERMINAL:
        return ("no effect" if has_no_effect(found) else str(found.verdict)) + (STALE if found.stale else "")
    if view is View.LIST and (is_doubtful(found) or judgement.p_value is None):
        remark = f" ({confirmation(found)})"
    elif view is View.JOB and is_doubtful(found):
        remark = f" (**not confirmed**, {p_sentence(judgement.p_value, judgement.alpha)})"
    return f"{found.verdict}{remark}{stale_mark(found)}"


def _mean(row: Row, view: View, arm: Arm) -> str:
    """Return mean and spread; in the terminal with two digits of the spread and no blanks where there is little room."""
    found, metric = summary(arm, row.comparison.metric), row.comparison.metric
    if found is None or view is not View.TERMINAL:
        return mean_and_spread(found, _places(row))
    if row.full:
        return mean_and_spread(found, places([compared_baseline(row.comparison)[metric]]), "+-")
    s_b = row.comparison.evidence.s_b
    text = mean_and_spread(found, max(0, places([Summary(1, s_b, None, s_b, s_b)]) - 2), "+-")
    return text.replace(" ", "").replace("+-0.", "+-.")


def _baseline(row: Row, view: View) -> str:
    return _mean(row, view, compared_baseline(row.comparison) if view is View.TERMINAL else row.comparison.baseline)


def _places(row: Row) -> int:
    return places([row.comparison.baseline[row.comparison.metric]])


def _improvement(row: Row, _view: View) -> str:
    """Return the change in the metric's unit and in percent, positive when better."""
    quoted = row.comparison.quoted
    return f"{signed(quoted.improvement, _places(row))} ({percent(quoted.percent)})"


def _p(row: Row, view: View) -> str:
    quoted = row.comparison.quoted
    doubt = "?" if view is View.TERMINAL and is_doubtful(row.comparison) else ""
    return p_value(quoted.p_value, quoted.alpha) + doubt


def _seeds(row: Row, _view: View) -> str:
    """Return how many seeds the experiment was judged on, and how many fresh ones it was confirmed on."""
    fresh = row.comparison.confirmation
    return str(row.comparison.evidence.n_experiment) + (f"+{len(fresh.seeds)}" if fresh else "")


def _wall(row: Row, view: View) -> str:
    effect, mark = row.comparison.effects.get("wall_time"), (NOT_COMPARABLE, ", not comparable", " (not comparable)")
    change = DASH if effect is None else percent(effect.raw_percent) + ("" if effect.comparable else mark[view])
    if effect is not None and not effect.comparable and view is not View.TERMINAL:
        change += _cpu(row.comparison)
    if view is View.TERMINAL:
        return change.replace(" %", "")
    if view is View.JOB:
        return change
    seconds = summary(row.comparison.experiment, "wall_time")
    return duration(seconds.mean if seconds else None) + (f" ({change})" if effect else "")


def _cpu(found: Comparison) -> str:
    """Return the change of CPU time, which a busy machine moves less; another machine moves it too."""
    effect, runs = found.effects.get("cpu_time"), (*found.baseline, *found.experiment)
    if effect is None or effect.raw_percent is None or why_machines_differ([run.provenance for run in runs]):
        return ""
    return f"; CPU time {percent(effect.raw_percent)}"


def _speedup(row: Row, _view: View) -> str:
    found = row.comparison.speedup
    return DASH if found is None or found.factor is None else f"{found.bound} {shown(found.factor)}".strip()


COLUMNS = (
    Column(("name", "Experiment", "Experiment", "Experiment"), _name),
    Column(("", "Change", "Change", ""), lambda row, _: code(row.comparison.declaration.what, cell=True)),
    Column(("verdict", "Verdict", "Verdict", "Verdict"), _verdict),
    Column(("baseline", "", "Baseline", ""), _baseline),
    Column(("experiment", "", "Experiment", ""), lambda row, view: _mean(row, view, row.comparison.experiment)),
    Column(("", "Improvement", "", ""), _improvement),
    Column(
        ("sigma", "In sigmas", "Sigmas better", "Sigmas better"),
        lambda row, _: signed(row.comparison.quoted.sigmas, 1),
    ),
    Column(("p", "p", "p", "p"), _p),
    Column(("n", "n", "n", ""), _seeds),
    Column(("wall %", "Wall time", "Wall time", ""), _wall),
    Column(("", "Times as fast", "Times as fast", ""), _speedup, optional=True),
    Column(("Holm p", "", "Holm p", "Holm p"), lambda row, _: p_value(row.q)),
)
"""All columns, in the order in which every list has them."""


def rows_of(family: Family, *, full: bool = True) -> list[Row]:
    """Return a family's rows, best first."""
    return [Row(each, q, full=full) for each, q in zip(family.comparisons, family.holm, strict=True)]


def cells(view: View, rows: Iterable[Row]) -> list[list[str]]:
    """Return the titles, and then the cells of each row."""
    every = list(rows)
    found = [
        column
        for column in COLUMNS
        if column.titles[view] and not (column.optional and all(column.cell(row, view) == DASH for row in every))
    ]
    return [[column.titles[view] for column in found], *([column.cell(row, view) for column in found] for row in every)]


def markdown_table(view: View, rows: Iterable[Row]) -> list[str]:
    """Return the rows as a Markdown table."""
    header, *body = cells(view, rows)
    return table(header, body)


# The folder's list.


def index(
    comparisons: Mapping[str, Comparison],
    unreadable: Sequence[str] = (),
    anchor: Sequence[str] = (),
    ladder: Sequence[Sequence[str]] = (),
) -> str:
    """Return the list of comparisons by their report's file stem, best first.

    `unreadable` stems are named at the end, then come the sections about the ladder, and what ties the page to the ledger.
    """
    groups: dict[str, list[Row]] = {}
    for stem in sorted(comparisons):
        groups.setdefault(_group(comparisons[stem]), []).append(Row(comparisons[stem], stem=stem))
    sections = [[MARK], ["# Experiments"], *(section for key in sorted(groups) for section in _listed(groups[key]))]
    if unreadable:
        sections.append([f"Not listed, because their JSON cannot be read: {', '.join(map(code, sorted(unreadable)))}."])
    if not groups:
        sections.append(["None yet."])
    return document([*sections, *ladder, *_anchored(anchor)])


def _anchored(anchor: Iterable[str]) -> list[list[str]]:
    """Return what ties a page to the ledger: who has the page can tell whether a line was changed since."""
    return [[f"{line[:1].upper()}{line[1:]}; `exprun ledger verify --head` looks for it."] for line in anchor]


def _group(comparison: Comparison) -> str:
    """Return a sort key of what may stand in one table: one budget, one metric, the same baseline runs. The standard scale comes first."""
    declared = comparison.declaration
    arm = declared.control.identity, declared.common_args, comparison.baseline.values(declared.metric)
    return repr(
        (not declared.budget.is_standard, str(declared.budget), len(declared.control.flags), declared.metric, arm)
    )


def _listed(group: Iterable[Row]) -> list[list[str]]:
    rows = sorted(group, key=lambda row: rank(row.comparison))
    first = rows[0].comparison
    declared, control = first.declaration, first.declaration.control
    baseline = code(control) if control.identity else "without flags"
    link = f"[{first.baseline[first.metric].n} seeds]({baseline_stem(control, declared.budget)}.md)"
    return [
        [f"## {markdown(first.metric)} at {declared.budget}, baseline {baseline}"],
        [f"Baseline: {_baseline(rows[0], View.LIST)} over {link}.{_scale(declared.budget)}"],
        markdown_table(View.LIST, rows),
    ]


def _scale(budget: Budget) -> str:
    return "" if budget.is_standard else f" **Not the standard scale ({Budget()}).**"


# A job's summary page.


def step_summary(comparisons: Iterable[Comparison], others: Others = no_others, anchor: Sequence[str] = ()) -> str:
    """Return a table for each baseline, best first; an empty text where there are no comparisons."""
    sections = [section for family in families(comparisons, others=others) for section in _summarised(family)]
    return document([["## Experiments"], *sections, *_anchored(anchor)]) if sections else ""


def workflow_lines(comparisons: Iterable[Comparison], failed: Collection[str]) -> Iterator[str]:
    """Yield a line for each diff that GitHub Actions shows at the file with most changed lines: an error where its gate failed."""
    for each in comparisons:
        if (diff := each.declaration.diff) is not None:
            file = max(diff.files, key=lambda file: sum(file[1:]), default=("",))[0]
            kind = "error" if each.name in failed else "notice"
            yield f"::{kind} file={_property(file)},title={_property(str(each.verdict))}::{_data(plain(each.headline()))}"


def _data(text: str) -> str:
    """Write a text as a workflow command's message."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _fresh(found: Comparison) -> str:
    return f". {found.confirmation.word}: {markdown(found.confirmation.reason)}" if found.confirmation else ""


def _summarised(family: Family) -> list[list[str]]:
    declared = family.comparisons[0].declaration
    headlines = [
        f"**{each.verdict}** {markdown(each.name)}: {markdown(each.reason)}{_fresh(each)}"
        for each in family.comparisons
        if each.declaration.diff
    ]
    return [
        *([line] for line in headlines),
        [f"{code(family.metric)} at {declared.budget}, baseline {code(declared.control)}.{_scale(declared.budget)}"],
        markdown_table(View.JOB, rows_of(family)),
        [sentence(family.outlook())],
    ]
