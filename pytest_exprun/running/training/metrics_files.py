"""Metrics in a file that a training script writes: JSON, JSON lines, or CSV as Lightning's logger writes it."""

from __future__ import annotations

import csv
import glob
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pytest_exprun.running.training.lines import number
from pytest_exprun.running.training.output_metrics import UnreadableOutput
from pytest_exprun.terms.judged_at import Heard, counts_in

MAX_BYTES = 64 << 20
LIGHTNING = "{output_dir}/**/metrics.csv"
"""Where Lightning's CSVLogger leaves its table if its `save_dir` is the output folder."""

Stamps = Mapping[Path, tuple[int, int, int]]


def stamps(pattern: str, base: Path) -> Stamps:
    """Return the files that a path or glob names, with what changes when they are written."""
    found = map(Path, glob.glob(str(base / pattern), recursive=True))  # noqa: PTH207  # Path.glob takes no absolute pattern
    return {path: (stat.st_mtime_ns, stat.st_size, stat.st_ino) for path in sorted(found) if (stat := path.stat())}


class Written(NamedTuple):
    """What a file holds: the last value of each name, non-finite numbers as they are, and at which step each was there."""

    values: dict[str, Any]
    reported_at: dict[str, list[Any]]


def read_written(pattern: str, base: Path, before: Stamps) -> Written:
    """Return what is in the one file of that name that was written since `before`.

    Raises:
        UnreadableOutput: none or several were written, or the file is not what its name says.
    """
    written = [path for path, stamp in stamps(pattern, base).items() if before.get(path) != stamp]
    if len(written) != 1:
        names = ", ".join(path.name if path.parent == base else str(path) for path in written[:5])
        found = f"{len(written)} ({names})" if written else "none, or left the one of an earlier run as it was"
        raise UnreadableOutput(
            f"should have written one metrics file {pattern} (exprun_metrics_file) and wrote {found}"
        )
    path = written[0]
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise UnreadableOutput(
            f"left its metrics in {path.name}: allowed are {', '.join(READERS)} (exprun_metrics_file)"
        )
    if path.stat().st_size > MAX_BYTES:
        raise UnreadableOutput(f"left {path.stat().st_size:,} bytes in {path.name}: allowed are {MAX_BYTES:,}")
    try:
        return _last_of_each(reader(path))
    except (ValueError, RecursionError, csv.Error) as error:
        raise UnreadableOutput(f"left a metrics file {path.name} that cannot be read: {error}") from None


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    twins = {name for name in names if names.count(name) > 1}
    if twins:
        raise ValueError(f"{', '.join(sorted(twins))} is there twice")
    return dict(pairs)


def _last_of_each(records: Iterable[Any]) -> Written:
    last: dict[str, Any] = {}
    heard = Heard()
    for record in records:
        if not isinstance(record, dict):
            raise ValueError(f"an object of metrics is needed, found {record!r:.60}")  # noqa: TRY004  # of the file, as any other
        last |= record
        heard.take(record, counts_in(record))
    return Written(last, heard.reported_at(last))


def _json(path: Path) -> list[Any]:
    content = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_no_twins)
    return content if isinstance(content, list) else [content]


def _json_lines(path: Path) -> list[Any]:
    lines = path.read_text(encoding="utf-8-sig").split("\n")
    return [json.loads(line, object_pairs_hook=_no_twins) for line in lines if line.strip()]


def _csv(path: Path) -> list[Any]:
    """The filled cells of each row by their columns."""
    text = path.read_text(encoding="utf-8-sig")
    if not text.endswith("\n"):
        raise ValueError("it ends within a line")
    rows = [row for row in csv.reader(text.splitlines(), strict=True) if row]
    if len(rows) < 2:  # noqa: PLR2004  # a header and one row
        raise ValueError("it has no row of numbers below its header")
    header, *body = rows
    _no_twins([(name, None) for name in header])
    records = []
    for row in body:
        if len(row) != len(header):
            raise ValueError(f"a row of {len(row)} cells below a header of {len(header)}")
        cells = {name: cell.strip() for name, cell in zip(header, row, strict=True) if cell.strip()}
        records.append({name: cell if (value := number(cell)) is None else value for name, cell in cells.items()})
    return records


READERS: Mapping[str, Callable[[Path], list[Any]]] = {".json": _json, ".jsonl": _json_lines, ".csv": _csv}
"""Readers by the end of the file's name."""
