"""What the terminal shows: a line a finished run, the summary of a session, the table under a failed assertion. ASCII, no colour needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from pytest_exprun.report.certainty import confirmation, is_doubtful
from pytest_exprun.report.markdown import summary
from pytest_exprun.report.overview import NOT_COMPARABLE, STALE, View, cells, rows_of
from pytest_exprun.report.text import (
    DASH,
    NAME,
    Cells,
    aligned,
    duration,
    fits,
    is_numbered,
    level,
    mean_and_spread,
    narrowed,
    number,
    percent,
    places,
    plain,
    shortened,
    signed,
)
from pytest_exprun.terms.judged_at import early_note
from pytest_exprun.terms.model import SEED_BY_SEED, Budget, Experiment, RunSpec, Variant
from pytest_exprun.terms.outcome import CurvePoint, Effect, RunResult, Summary, Verdict
from pytest_exprun.verdict.comparison import Comparison
from pytest_exprun.verdict.sessions.chance import Family, Others, families, no_others

Line = tuple[dict[str, bool], str]
"""pytest's markup keywords, and a line of text."""

BASELINE = "baseline"
_COMMIT, _MOST_FILES = 7, 10
"""Digits of a commit, and files of a diff, that are shown."""
_NAME_WIDTHS = 12, 22
_GIVING_WAY = ((BASELINE, 22), ("n", 22), ("Holm p", 16), ("wall %", 16), ("experiment", 12))
"""Columns that a narrow summary goes without, in this order, while its names would get less than so many columns."""
_MARKUP = {Verdict.WINNER: {"green": True}, Verdict.NEUTRAL: {}, Verdict.LOSER: {"red": True}}


class Outlook(Protocol):
    """How far a session is: runs done, runs left at least and at most, mean seconds of a run."""

    @property
    def done(self) -> int: ...  # noqa: D102
    @property
    def left(self) -> tuple[int, int]: ...  # noqa: D102
    @property
    def seconds_a_run(self) -> float | None: ...  # noqa: D102


class Written(Protocol):
    """What a session leaves behind besides verdicts."""

    @property
    def paths(self) -> Mapping[str, Path]: ...  # noqa: D102
    @property
    def notices(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def anchor(self) -> Sequence[str]: ...  # noqa: D102


# Before it runs.


def diff_lines(declared: Iterable[Experiment]) -> Iterator[str]:
    """Say which states of the code are compared, in which files they differ, and whether some of what is judged may end early."""
    for each in (declared := list(declared)):
        if each.diff is None:
            continue
        changes = " with changes that are in no commit" if each.diff.uncommitted else ""
        yield (
            f"{each.name} ({each.diff.tip[:_COMMIT]}{changes}) against {each.control.tree} ({each.diff.base[:_COMMIT]}): {each.diff}"
        )
        files = sorted(each.diff.files, key=lambda file: -sum(file[1:]))
        width = max([len(file[0]) for file in files[:_MOST_FILES]], default=0)
        for name, added, deleted in files[:_MOST_FILES]:
            yield f"  {name:{width}}  " + (f"+{added} -{deleted}" if added >= 0 else "binary")
        if files[_MOST_FILES:]:
            yield f"  and {len(files) - _MOST_FILES} more"
    if any(each.futility == SEED_BY_SEED and (each.diff is None or each.diff.files) for each in declared):
        yield "one seed after the other, as long as more are worth it (exprun_futility = never: all of them)"


# While it runs.


def run_names(variants: Iterable[Variant]) -> dict[str, str]:
    """Return what arms are called in the lines of a session's runs, by label: padded to one width, no two of them alike."""
    least, most = _NAME_WIDTHS
    names = shortened([BASELINE, *(each.label for each in variants)], most)
    width = max([least, *map(len, names.values())])
    return {label: name.ljust(width) for label, name in names.items()}


def live_line(name: str, spec: RunSpec, point: CurvePoint, metric: str = "val_loss") -> str:
    """Return the line that is overwritten while a run trains."""
    parts = [f"{name.rstrip()}  seed {spec.seed}", f"step {point.step}"]
    tokens, value = point.values.get("tokens"), point.values.get(metric)
    if tokens is not None and spec.budget.unit == "tokens":
        parts.append(f"{min(100, 100 * tokens / spec.budget.amount):.0f} %")
    if value is not None:
        parts.append(f"{plain(metric)} {value:.4f}")
    return "  ".join(parts)


def run_line(
    name: str, result: RunResult, metric: str, outlook: Outlook | None = None, old: RunResult | None = None
) -> str:
    """Return a finished run's one line: `rope        seed 137  val_loss 1.7061  34.1 s   3/8 runs, about 2 min left`."""
    seconds = result.metrics.get("wall_time") or result.provenance.get("wall_time")
    parts = [f"{name} seed {result.spec.seed:<5}", f"{plain(metric)} {_value(result, metric)}"]
    parts.append(f"{duration(seconds):>7}")
    if outlook is not None:
        parts.append(f" {_outlook(outlook)}")
    if old is not None:
        parts.append(f"(was {_value(old, metric)})")
    return "  ".join(parts)


def _value(result: RunResult, metric: str) -> str:
    value = result.metrics.get(metric)
    return "diverged" if value is None else number(value, places([Summary.of([value])]))


def _outlook(outlook: Outlook) -> str:
    least, most = outlook.left
    runs = f"{outlook.done}/{_range(outlook.done + least, outlook.done + most)} runs"
    seconds = outlook.seconds_a_run
    if not most or seconds is None:
        return runs
    return f"{runs}, about {_time_left(least * seconds, most * seconds)} left"


def _time_left(least: float, most: float) -> str:
    if most < 90:  # noqa: PLR2004  # below a minute and a half, seconds say more
        return f"{_range(round(least), round(most))} s"
    return f"{_range(round(least / 60), round(most / 60))} min"


def _range(least: int, most: int) -> str:
    return str(most) if least == most else f"{least} to {most}"


# At the end of the session.


def summary_lines(
    comparisons: Sequence[Comparison],
    written: Written | None = None,
    *,
    width: int = 80,
    earlier: Iterable[Comparison] = (),
    others: Others = no_others,
) -> list[Line]:
    """Return the session's summary, a block for each baseline; nothing where there is nothing to say.

    `earlier` are known from reports written before, `others` from the ledger: they count where the terminal says how much a baseline has
    judged.
    """
    lines: list[Line] = []
    for family in families(comparisons, earlier, others):
        lines += [({}, ""), *_block(family, width)] if lines else _block(family, width)
    if written is not None:
        lines += [({"yellow": True}, f"note: {plain(notice)}") for notice in written.notices]
        lines += [({}, line) for line in (*_whereabouts(written.paths), *(written.anchor if comparisons else ()))]
    return lines


def _block(family: Family, width: int) -> list[Line]:
    columns = _fitted(family, width)
    header, *rows = aligned([list(row.values()) for row in columns], texts=2)
    title = [*_title(family), *([] if BASELINE in columns[0] else [_baseline_line(family)])]
    lines: list[Line] = [({"bold": True}, line) for line in (*title, header)]
    lines += [(_MARKUP[each.verdict], row) for each, row in zip(family.comparisons, rows, strict=True)]
    for comparison, row in zip(family.comparisons, columns[1:], strict=True):
        if is_numbered(row[NAME]):
            lines.append(({}, f"{row[NAME]} is {plain(comparison.name)}"))
    lines += [({"yellow": True}, line) for comparison in family.comparisons for line in _remarks(comparison)]
    if any(comparison.stale for comparison in family.comparisons):
        lines.append(({"yellow": True}, f"{STALE} judged from stale runs (exprun_stale = keep): see the notes"))
    return [*lines, ({}, family.outlook())]


def _title(family: Family) -> list[str]:
    declared = family.comparisons[0].declaration
    seeds = ", ".join(map(str, family.baseline.seeds))
    lines = [f"{plain(family.metric)} at {declared.budget}; baseline: {plain(declared.control)}, seeds {seeds}"]
    if not declared.budget.is_standard:
        lines.append(f"not the standard scale ({Budget()}): a smoke test, no finding")
    return lines


def _baseline_line(family: Family) -> str:
    """Return what a table without a column for it says of the baseline."""
    found = family.baseline[family.metric]
    return f"the baseline's {plain(family.metric)}: {mean_and_spread(found, places([found]), '+-')}"


def _fitted(family: Family, width: int) -> list[Cells]:
    """Return the table's rows, the header first: in full, or with two digits of the spread, or with fewer columns and cut names."""
    for full in (True, False):
        header, *rows = cells(View.TERMINAL, rows_of(family, full=full))
        found: list[Cells] = [dict(zip(header, row, strict=True)) for row in (header, *rows)]
        if fits(found, width):
            return found
    return narrowed(found, width, _GIVING_WAY)


def _remarks(comparison: Comparison) -> Iterator[str]:
    """Yield what must not be missed beside a row."""
    name, judgement = plain(comparison.name), comparison.judgement
    if is_doubtful(comparison):
        yield f"{name}: {comparison.verdict}, but {confirmation(comparison)} (level {level(judgement.alpha)})"
    if fresh := comparison.confirmation:
        yield f"{name}: {fresh.word}, {plain(fresh.reason)}; its row quotes them, the first look's was {signed(judgement.sigmas, 1)}"
    if speed := comparison.speedup:
        yield f"{name}: {plain(speed.headline)}"
        if speed.only_computes_more:
            yield f"{name}: {speed.reading[:1].lower()}{speed.reading[1:-1]}"
    if comparison.two_sigma.verdict is not comparison.verdict:
        yield f"{name}: {comparison.verdict} by rule {judgement.rule}, {comparison.by_protocol} by the protocol's two_sigma"
    if judgement.kind in ("diverged", "blow-up", "identical", "stopped"):
        yield f"{name}: {plain(comparison.reason)}"
    if early := comparison.judged_early:
        yield f"{name}: {plain(early_note(comparison.metric, early))}"
    wall = comparison.effects.get("wall_time")
    if wall is not None and not wall.comparable:
        yield f"{NOT_COMPARABLE} {name}: wall time is not comparable, {plain(wall.why_not)}"


def _whereabouts(paths: Mapping[str, Path]) -> list[str]:
    found = sorted({_shown(path) for path in paths.values()})
    if len(found) <= 1:
        return [f"report: {path}" for path in found]
    folders = sorted({str(Path(path).parent) for path in found})
    return [f"{len(found)} reports in {', '.join(folders)}"]


def _shown(path: Path) -> str:
    """Return a path as typed from the current directory."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


# Of a confirmation.


def confirmation_lines(comparison: Comparison) -> list[str]:
    """Return what fresh seeds said of a WINNER, and what the first look had said."""
    fresh, decimals = comparison.confirmation, places([comparison.baseline[comparison.metric]])
    assert fresh is not None
    quoted, first = comparison.quoted, replace(comparison, confirmation=None).quoted
    interval = (
        ""
        if quoted.low is None
        else f", 95 % interval {signed(quoted.low, decimals)} to {signed(quoted.high, decimals)}"
    )
    return [
        f"{fresh.word} {plain(comparison.name)}: {plain(fresh.reason)}",
        f"quote this: {plain(comparison.metric)} better by {signed(quoted.improvement, decimals)} ({percent(quoted.percent)}){interval}",
        f"the first look said {signed(first.improvement, decimals)}, {signed(first.sigmas, 1)} sigmas: it was picked for being large",
        f"fresh seeds: {', '.join(map(str, fresh.seeds))}",
    ]


# Under a failed assertion.


def assertion_lines(comparison: Comparison) -> list[str]:
    """Return the verdict with its numbers as the first line, then a table of every metric and what stands beside the verdict."""
    return [
        plain(comparison.headline()),
        confirmation(comparison),
        *(f"stale runs: {plain(arm)} {plain(text)}" for arm, text in comparison.stale.items()),
        "",
        *_metric_table(comparison),
        "",
        *_seed_lines(comparison),
    ]


def _metric_table(comparison: Comparison) -> list[str]:
    """Return a row for every metric, but for constants."""
    header = ("metric", "baseline", "experiment", "change", "sigmas better", "d", "95 % interval")
    rows = [header, *(_metric_row(effect, comparison) for effect in comparison.effects.values() if effect.delta != 0)]
    return aligned(rows)


def _metric_row(effect: Effect, comparison: Comparison) -> Sequence[str]:
    found = [summary(arm, effect.metric) for arm in (comparison.baseline, comparison.experiment)]
    decimals = places(one for one in found if one is not None)
    low, high = effect.ci
    return (
        plain(effect.metric),
        *(mean_and_spread(one, decimals, "+-") for one in found),
        percent(effect.raw_percent) + ("" if effect.comparable else NOT_COMPARABLE),
        signed(effect.sigmas, 1),
        signed(effect.cohens_d, 2),
        DASH if low is None else f"{signed(low, decimals)} to {signed(high, decimals)}",
    )


def _seed_lines(comparison: Comparison) -> list[str]:
    """Return a line for each seed of the experiment."""
    decimals = places([comparison.baseline[comparison.metric]])
    pairs = {seed: values for seed, *values in comparison.evidence.pairs}
    lines = []
    for seed in comparison.experiment.seeds:
        left, right, difference = pairs[seed]
        end = "diverged" if right is None else number(right, decimals)
        lines.append(f"seed {seed:<5} {number(left, decimals)} -> {end}  {signed(difference, decimals)}")
    return lines
