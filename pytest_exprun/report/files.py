"""Report files: the only module of the reports that reads or writes.

Reports appear whole or not at all, and one that would not change is left alone, so that its time tells when something was last learned.
A CI's step summary is appended to, as its host asks.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pytest_exprun.report.baseline import baseline_report, without_judged
from pytest_exprun.report.markdown import experiment_report
from pytest_exprun.report.overview import MARK, index, step_summary
from pytest_exprun.report.plots import Drawing, drawings
from pytest_exprun.report.text import INDEX, baseline_stem, experiment_stem
from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.errors import ExprunError
from pytest_exprun.terms.outcome import Arm
from pytest_exprun.terms.whole_file import replace_file
from pytest_exprun.verdict.comparison import Comparison
from pytest_exprun.verdict.sessions.chance import Others, is_judged_by, no_others

State = tuple[int, int, int]


def write_experiment(comparison: Comparison, directory: Path, settings: Settings, text: str | None = None) -> Path:
    """Write an experiment's report, its data as JSON and, where matplotlib is installed, its pictures; `text` replaces the report's.

    Returns:
        The Markdown file.

    Raises:
        OSError: the folder or a file cannot be written.
    """
    stem = experiment_stem(comparison.declaration)
    pictures = drawings(comparison) if settings.plots == "auto" else []
    data = directory / f"{stem}.json"
    publish(data, json_text(comparison))
    _read[data] = _state(data), comparison
    _draw(pictures, directory)
    report = directory / f"{stem}.md"
    shown = [drawing.picture for drawing in pictures]
    publish(report, text or experiment_report(comparison, trainer=settings.trainer, pictures=shown))
    return report


def _draw(pictures: Iterable[Drawing], directory: Path) -> None:
    for drawing in pictures:
        path = directory / drawing.picture.file
        # Importing matplotlib takes longer than a session that trains nothing may last.
        if not (path.is_file() and drawing.is_drawn_in(path.read_text(encoding="utf-8", errors="replace"))):
            publish(path, drawing.draw())


def write_baseline(arm: Arm, directory: Path, settings: Settings, text: str | None = None) -> Path:
    """Write a baseline's report, with every experiment of the folder's reports that it has judged, and return its path.

    One that has the arm's figures already is left alone: its list of experiments is brought up to date by `write_overview`.

    Raises:
        OSError: the folder or the file cannot be written.
    """
    report = _baseline_path(arm, directory)
    figures = baseline_report(arm, metric=settings.metric)
    if text or not report.is_file() or without_judged(report.read_bytes()) != figures.encode():
        _write_baseline(arm, directory, settings, text, read_reports(directory).comparisons.values())
    return report


def _write_baseline(
    arm: Arm,
    directory: Path,
    settings: Settings,
    text: str | None,
    known: Iterable[Comparison],
    *,
    others: Others = no_others,
) -> None:
    judged = [comparison for comparison in known if is_judged_by(comparison, arm)]
    report = text or baseline_report(arm, metric=settings.metric, judged=judged, others=others)
    publish(_baseline_path(arm, directory), report)


def _baseline_path(arm: Arm, directory: Path) -> Path:
    return directory / f"{baseline_stem(arm.variant, arm.runs[0].spec.budget)}.md"


def write_overview(
    arms: Iterable[Arm],
    directory: Path,
    settings: Settings,
    others: Others = no_others,
    anchor: Sequence[str] = (),
    *,
    ladder: Sequence[Sequence[str]] = (),
    pictures: Sequence[Drawing] = (),
) -> None:
    """At a session's end, write what depends on more than one experiment: the baselines' reports again, and the folder's list.

    The list is README.md. One that this package did not write is left alone. `others`, `anchor` and the sections and pictures of the
    ladder are what the ledger says.

    Raises:
        OSError: the folder or a file cannot be read or written.
    """
    found = read_reports(directory)
    for arm in arms:
        _write_baseline(arm, directory, settings, None, found.comparisons.values(), others=others)
    path = directory / INDEX
    if not path.is_file() or MARK in path.read_text(encoding="utf-8", errors="replace"):
        _draw(pictures, directory)
        publish(path, index(found.comparisons, found.unreadable, anchor, ladder))


def append_step_summary(
    comparisons: Sequence[Comparison],
    environ: Mapping[str, str],
    others: Others = no_others,
    anchor: Sequence[str] = (),
) -> Path | None:
    """Append the session to the file that GitHub Actions names in `GITHUB_STEP_SUMMARY`; None where there is none, or nothing to say.

    Raises:
        OSError: the file cannot be written.
    """
    name, text = environ.get("GITHUB_STEP_SUMMARY"), step_summary(comparisons, others, anchor)
    if not name or not text:
        return None
    with Path(name).open("a", encoding="utf-8") as file:
        file.write(text)
    return Path(name)


class Reports(NamedTuple):
    """What a folder's reports say, by file stem, and the stems of those that cannot be read."""

    comparisons: dict[str, Comparison]
    unreadable: list[str]


def read_reports(directory: Path) -> Reports:
    """Read the JSON of every experiment's report in a folder and compare its runs again."""
    found = Reports({}, [])
    for path in sorted(directory.glob("experiment_*.json")):
        try:
            found.comparisons[path.stem] = _comparison(path)
        except (OSError, ExprunError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
            found.unreadable.append(path.stem)
    return found


_read: dict[Path, tuple[State, Comparison]] = {}
"""What this process has written or read, by file: until the file changes its statistics need not be worked out again."""


def _comparison(path: Path) -> Comparison:
    state = _state(path)
    if path not in _read or _read[path][0] != state:
        _read[path] = state, Comparison.from_json(json.loads(path.read_text(encoding="utf-8")))
    return _read[path][1]


def _state(path: Path) -> State:
    """Return what changes whenever a file is written: its inode, time and size."""
    stat = path.stat()
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


def json_text(comparison: Comparison) -> str:
    """Return a comparison's JSON with a line for each entry of the outer two levels, so one for each run: diffs show what changed."""
    entries = {name: _nested(value) for name, value in comparison.conclusions().items()}
    entries["baseline"], entries["experiment"] = (
        _block(arm.json_lines, "[]") for arm in (comparison.baseline, comparison.experiment)
    )
    return "{\n" + ",\n".join(f"{_one_line(name)}: {text}" for name, text in entries.items()) + "\n}\n"


def _nested(value: object) -> str:
    if isinstance(value, list) and value:
        return _block(map(_one_line, value), "[]")
    if isinstance(value, dict) and value:
        return _block((f"{_one_line(key)}: {_one_line(one)}" for key, one in value.items()), "{}")
    return _one_line(value)


def _block(lines: Iterable[str], brackets: str) -> str:
    return f"{brackets[0]}\n " + ",\n ".join(lines) + f"\n{brackets[1]}"


_one_line = json.JSONEncoder(allow_nan=False).encode


def publish(path: Path, content: str) -> bool:
    """Write a text file atomically, its folder too; return False where it has that content already.

    Raises:
        OSError: it cannot be written; what was there before is unharmed, and no part of the new file is left.
    """
    if path.is_file() and path.read_bytes() == content.encode():
        return False
    replace_file(path, content)
    return True
