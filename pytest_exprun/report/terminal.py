"""What the terminal shows: a line a finished run, the summary of a session, the table under a failed assertion. ASCII, no colour needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from pytest_exprun.report.certainty import confirmation, is_doubtful
from pytest_exprun.report.markdown import summary
from pytest_exprun.report.text import (
    DASH,
    duration,
    level,
    mean_and_spread,
    number,
    p_value,
    percent,
    places,
    plain,
    signed,
)
from pytest_exprun.terms.model import Budget, CurvePoint, Effect, RunResult, RunSpec, Summary, Variant, Verdict
from pytest_exprun.verdict.comparison import Comparison, compared_baseline, has_no_effect
from pytest_exprun.verdict.family import Family, families

Line = tuple[dict[str, bool], str]
"""pytest's markup keywords, and a line of text."""

NOT_COMPARABLE, STALE = "*", "~"
_HEADER = ("name", "verdict", "baseline", "experiment", "sigma", "p", "n", "wall %", "Holm p")
_GAP = 2
_NAME_WIDTHS = 12, 22
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


# While it runs.


def live_line(spec: RunSpec, point: CurvePoint, metric: str = "val_loss") -> str:
    """Return the line that is overwritten while a run trains."""
    parts = [f"{_label(spec.variant)}  seed {spec.seed}", f"step {point.step}"]
    tokens, value = point.values.get("tokens"), point.values.get(metric)
    if tokens is not None and spec.budget.unit == "tokens":
        parts.append(f"{min(100, 100 * tokens / spec.budget.amount):.0f} %")
    if value is not None:
        parts.append(f"{plain(metric)} {value:.4f}")
    return "  ".join(parts)


def name_width(variants: Iterable[Variant]) -> int:
    """Return the width of the names in the lines of a session's runs."""
    least, most = _NAME_WIDTHS
    return min(most, max([least, *(len(plain(each.slug)) for each in variants)]))


def run_line(
    result: RunResult,
    role: str,
    metric: str,
    outlook: Outlook | None = None,
    old: RunResult | None = None,
    *,
    width: int = _NAME_WIDTHS[0],
) -> str:
    """Return a finished run's one line: `rope        seed 137  val_loss 1.7061  34.1 s   3/8 runs, about 2 min left`."""
    name = "baseline" if role == "baseline" else _label(result.spec.variant)
    seconds = result.metrics.get("wall_time") or result.provenance.get("wall_time")
    parts = [f"{name:<{width}} seed {result.spec.seed:<5}", f"{plain(metric)} {_value(result, metric)}"]
    parts.append(f"{duration(seconds):>7}")
    if outlook is not None:
        parts.append(f" {_outlook(outlook)}")
    if old is not None:
        parts.append(f"(was {_value(old, metric)})")
    return "  ".join(parts)


def _label(variant: Variant) -> str:
    name, most = plain(variant.slug), _NAME_WIDTHS[1]
    return name if len(name) <= most else f"{name[: most - 2]}.."


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
) -> list[Line]:
    """Return the session's summary, a block for each baseline; nothing where there is nothing to say.

    `earlier` are known from reports written before: they count where the terminal says how much a baseline has judged.
    """
    lines: list[Line] = []
    for family in families(comparisons, earlier):
        lines += [({}, ""), *_block(family, width)] if lines else _block(family, width)
    if written is not None:
        lines += [({"yellow": True}, f"note: {plain(notice)}") for notice in written.notices]
        lines += [({}, line) for line in _whereabouts(written.paths)]
    return lines


def _block(family: Family, width: int) -> list[Line]:
    header, *rows = _fitted(family, width)
    lines: list[Line] = [({"bold": True}, line) for line in (*_title(family), *header)]
    for comparison, row in zip(family.comparisons, rows, strict=True):
        lines += [(_MARKUP[comparison.verdict], line) for line in row]
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


def _fitted(family: Family, width: int) -> list[list[str]]:
    """Lay the table out in full, or if that is too wide with two digits of the spread and a line of its own for a long name."""
    for full in (True, False):
        rows = [_HEADER, *(_row(*entry, full=full) for entry in zip(family.comparisons, family.holm, strict=True))]
        widths = _widths(rows)
        spare = width - sum(widths[1:]) - _GAP * (len(widths) - 1)
        if widths[0] <= spare:
            return [[_aligned(row, widths)] for row in rows]
    widths[0] = max(len(_HEADER[0]), spare)
    return [
        [_aligned(row, widths)] if len(row[0]) <= widths[0] else [row[0], _aligned(("", *row[1:]), widths)]
        for row in rows
    ]


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]


def _aligned(row: Sequence[str], widths: Sequence[int], texts: int = 2) -> str:
    """Join a row's cells: the first `texts` of them to the left, numbers to the right."""
    cells = [
        cell.ljust(size) if column < texts else cell.rjust(size)
        for column, (cell, size) in enumerate(zip(row, widths, strict=True))
    ]
    return (" " * _GAP).join(cells).rstrip()


def _row(comparison: Comparison, q: float | None, *, full: bool) -> Sequence[str]:
    judgement, baseline = comparison.judgement, compared_baseline(comparison)[comparison.metric]
    s_b = comparison.evidence.s_b
    decimals = places([baseline]) if full else places([Summary(1, s_b, None, s_b, s_b)]) - 2
    means = (
        _mean(found, decimals, full=full) for found in (baseline, summary(comparison.experiment, comparison.metric))
    )
    return (
        plain(comparison.name),
        ("no effect" if has_no_effect(comparison) else comparison.verdict.value) + (STALE if comparison.stale else ""),
        *means,
        signed(judgement.sigmas, 1),
        p_value(judgement.p_value, judgement.alpha) + ("?" if is_doubtful(comparison) else ""),
        str(comparison.evidence.n_experiment),
        _wall(comparison),
        p_value(q),
    )


def _mean(found: Summary | None, decimals: int, *, full: bool) -> str:
    if found is None:
        return DASH
    text = mean_and_spread(found, max(0, decimals), "+-")
    return text if full else text.replace(" ", "").replace("+-0.", "+-.")


def _wall(comparison: Comparison) -> str:
    effect = comparison.effects.get("wall_time")
    if effect is None:
        return DASH
    return percent(effect.raw_percent).removesuffix(" %") + ("" if effect.comparable else NOT_COMPARABLE)


def _remarks(comparison: Comparison) -> Iterator[str]:
    """Yield what must not be missed beside a row."""
    name, judgement = plain(comparison.name), comparison.judgement
    if is_doubtful(comparison):
        yield f"{name}: {comparison.verdict}, but {confirmation(comparison)} (level {level(judgement.alpha)})"
    if comparison.two_sigma.verdict is not comparison.verdict:
        yield f"{name}: {comparison.verdict} by rule {judgement.rule}, {comparison.two_sigma.verdict} by the protocol's two_sigma"
    if judgement.kind in ("diverged", "blow-up", "identical"):
        yield f"{name}: {plain(comparison.reason)}"
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
    widths = _widths(rows)
    return [_aligned(row, widths, texts=1) for row in rows]


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
