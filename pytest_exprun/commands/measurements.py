"""Numbers that exist already, for `exprun judge`: typed, or in files of many kinds. Standard library only.

Nothing is guessed that could change a verdict: a file without a number, a seed that two files carry, a column that is not there are
errors. What is not finite stays: it is a diverged run.
"""

from __future__ import annotations

import csv
import glob
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_exprun.running.training.lines import FORMATS, NUMBER, number, plain_text
from pytest_exprun.running.training.progress import read
from pytest_exprun.terms.errors import RefusedError
from pytest_exprun.terms.judged_at import Heard, Place, untrained

_SEED_IN_NAME = re.compile(r"seed[-_=.]?(\d{1,18})", re.IGNORECASE)
_SHOWN = 60
SEED_COLUMN = "seed"


@dataclass(frozen=True)
class Measurements:
    """One arm's numbers in the order found, and for each its seed, or no seeds at all; `origin` says where they are from.

    `places` say for each number of a log where in its run it is from, None where the log does not tell.
    """

    values: tuple[float, ...]
    seeds: tuple[int, ...] | None
    origin: str
    places: tuple[Place | None, ...] = ()

    def __post_init__(self) -> None:
        if self.seeds is not None and len(set(self.seeds)) != len(self.seeds):
            twice = next(seed for seed in self.seeds if self.seeds.count(seed) > 1)
            raise RefusedError(f"{self.origin}: seed {twice} is there twice; keep one run of each seed")


def read_measurements(source: str, metric: str = "val_loss", column: str | None = None) -> Measurements:
    """Read one arm.

    Args:
        source: numbers separated by commas; or a file of one number a line, CSV, TSV or JSON; or a log, a folder of logs, a glob.
        metric: the name before the number in logs, and the column unless `column` is given.
        column: the column of a CSV file, or the key of JSON objects.

    Raises:
        RefusedError: there is nothing to read, or something that cannot be read without guessing.
    """
    path = Path(source)
    if source.strip() and _exists(path):
        if path.is_dir():
            return _from_logs(sorted(_visible_files(path)), metric, f"folder {source}")
        return _from_file(path, metric, column)
    if glob.has_magic(source):
        found = sorted(Path(name) for name in glob.glob(source, recursive=True) if Path(name).is_file())  # noqa: PTH207  # absolute too
        if not found:
            raise RefusedError(f"{source!r}: no file matches")
        return _from_file(found[0], metric, column) if len(found) == 1 else _from_logs(found, metric, source)
    words = [word for word in re.split(r"[,\s]+", source.strip()) if word]
    values = _all_numbers(words)
    if not values:
        raise RefusedError(
            f"{source[:_SHOWN]!r} is neither an existing file, folder or glob nor numbers separated by commas such as 1.92,1.95"
        )
    return Measurements(values, None, "typed numbers")


def _all_numbers(texts: Sequence[str]) -> tuple[float, ...]:
    """Return all as numbers; nothing if any of them is none."""
    values = [value for text in texts if (value := number(text)) is not None]
    return tuple(values) if len(values) == len(texts) else ()


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # too long for a name, a NUL: numbers, perhaps
        return False


def _visible_files(folder: Path) -> list[Path]:
    found = [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]
    if not found:
        raise RefusedError(
            f"{folder}: the folder has no files; for logs in folders of their own give a glob: '{folder}/*/log.txt'"
        )
    return found


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise RefusedError(f"{path} cannot be read: {error.strerror or error}") from None


def _from_file(path: Path, metric: str, column: str | None) -> Measurements:
    """Read a file by what its name says it is, else by what it holds."""
    suffix = path.suffix.lower()
    if suffix == ".json":
        return _from_json(path, metric, column)
    if suffix in (".csv", ".tsv") or column is not None:
        return _from_table(path, metric, column)
    lines = [line for each in _read_text(path).splitlines() if (line := each.partition("#")[0].strip())]
    if values := _all_numbers(lines):
        return Measurements(values, None, f"file {path}")
    if _last_value(path, metric)[0] is not None:
        raise RefusedError(
            f"{path} is the log of one run, one number; give a folder or a quoted glob with a log for each seed: '{path.parent}/*{suffix}'"
        )
    bad = next((line for line in lines if number(line) is None), "")
    raise RefusedError(
        f"{path}: {bad[:_SHOWN]!r} is no number; allowed is one number a line, or lines with '{metric}: 1.23'"
        if bad
        else f"{path} is empty"
    )


# Tables.


def _from_table(path: Path, metric: str, column: str | None) -> Measurements:
    rows = _rows(path)
    header = [cell.strip() for cell in rows[0][1]]
    if len(header) == 1 and column is None and number(header[0]) is not None:
        return Measurements(tuple(_cell(path, line, row[0]) for line, row in rows), None, f"file {path}")
    name = column or metric
    at = _column(path, header, name)
    values = tuple(_cell(path, line, row[at]) for line, row in rows[1:])
    seed_at = _column(path, header, SEED_COLUMN) if SEED_COLUMN in header else None
    seeds = None if seed_at is None else tuple(_seed(path, row[seed_at]) for _, row in rows[1:])
    return Measurements(values, seeds, f"column {name} of {path}")


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """Return the rows that are not blank, each with its line, all of one length."""
    reader = csv.reader(_read_text(path).splitlines(), delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
    try:
        rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise RefusedError(f"{path} is no CSV file: {error}") from None
    if not rows:
        raise RefusedError(f"{path} is empty")
    for line, row in rows:
        if len(row) != len(rows[0][1]):
            raise RefusedError(f"{path} line {line}: {len(row)} cells where the first line has {len(rows[0][1])}")
    return rows


def _column(path: Path, header: Sequence[str], name: str) -> int:
    if header.count(name) != 1:
        problem = f"has {header.count(name)} columns {name!r}" if name in header else f"has no column {name!r}"
        raise RefusedError(
            f"{path} {problem}; its first line names: {', '.join(header)[:200]}. Choose one with --column"
        )
    return header.index(name)


def _cell(path: Path, line: int, text: str) -> float:
    value = number(text.strip())
    if value is None:
        raise RefusedError(f"{path} line {line}: {text[:_SHOWN]!r} is no number")
    return value


def _seed(path: Path, value: object) -> int:
    text = str(value).strip()
    if isinstance(value, bool) or not re.fullmatch(r"\d{1,18}", text):
        raise RefusedError(f"{path}: seed {text[:_SHOWN]!r} is no whole number")
    return int(text)


# JSON.


def _from_json(path: Path, metric: str, column: str | None) -> Measurements:
    try:
        data = json.loads(_read_text(path))
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"{path} is no JSON: {error}") from None
    name = column or metric
    if isinstance(data, dict) and name in data:
        data = data[name]
    if isinstance(data, dict) and data and all(re.fullmatch(r"\d{1,18}", key) for key in data):
        seeds = tuple(int(key) for key in data)
        return Measurements(tuple(_json_number(path, value) for value in data.values()), seeds, f"file {path}")
    if not isinstance(data, list):
        raise RefusedError(
            f"{path}: allowed is a list of numbers, a list of objects with the key {name!r}, or an object from seed to number; "
            "choose a key with --column"
        )
    if data and all(isinstance(entry, dict) for entry in data):
        return _from_objects(path, data, name)
    return Measurements(tuple(_json_number(path, value) for value in data), None, f"file {path}")


def _from_objects(path: Path, data: Sequence[Mapping[str, Any]], name: str) -> Measurements:
    for at, entry in enumerate(data, 1):
        if name not in entry:
            raise RefusedError(
                f"{path}: object {at} has no {name!r}; it has: {', '.join(entry)[:200]}. Choose one with --column"
            )
    with_seed = all(SEED_COLUMN in entry for entry in data)
    seeds = tuple(_seed(path, entry[SEED_COLUMN]) for entry in data) if with_seed else None
    return Measurements(tuple(_json_number(path, entry[name]) for entry in data), seeds, f"{name} of {path}")


def _json_number(path: Path, value: object) -> float:
    """Return a number; null is what a diverged metric is written as."""
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RefusedError(f"{path}: {str(value)[:_SHOWN]!r} ({type(value).__name__}) is no number")
    try:
        return float(value)
    except OverflowError:
        raise RefusedError(f"{path}: an integer too large for a float") from None


# Logs.


def _from_logs(paths: Sequence[Path], metric: str, origin: str) -> Measurements:
    """Read the last value of each log; the seeds are those that the names carry, if all carry one."""
    values, places = [], []
    for path in paths:
        value, place = _last_value(path, metric)
        if value is None:
            raise RefusedError(
                f"{path} has no line with '{metric}: ' and a number: a run that never reported cannot be judged; "
                "name the logs with a quoted glob, and another metric with --metric"
            )
        if math.isfinite(value) and place is not None and (why := untrained(metric, place)):
            raise RefusedError(f"{path}: {why}")
        values.append(value)
        places.append(place)
    seeds = _seeds_of(paths)
    return Measurements(tuple(values), seeds, f"the last {metric} of {len(paths)} logs, {origin}", tuple(places))


def _last_value(path: Path, metric: str) -> tuple[float | None, Place | None]:
    """Return a log's last value and where in the run it is from."""
    named = re.compile(rf"(?<![\w./-]){re.escape(metric)}[\"']?\s*[:=]\s*({NUMBER})(?!\w|\.\d)", re.IGNORECASE)
    last, heard = None, Heard()
    for line in _read_text(path).splitlines():
        printed = read(line)
        texts = [printed.texts[metric]] if printed and metric in printed.texts else named.findall(line)
        last = float(texts[-1]) if texts else last
        heard.take([metric] if texts else [], _counts(line))
    known = heard.reported_at([metric])
    return last, Place(*known[metric]) if known else None


def _counts(line: str) -> dict[str, float]:
    """Return how far a run is by a line of any known form."""
    text = plain_text(line)
    counts: dict[str, float] = {}
    for reader in FORMATS.values():
        reading = reader(text)
        counts |= {} if reading is None else reading.counts
    return counts


def _seeds_of(paths: Iterable[Path]) -> tuple[int, ...] | None:
    """Return the seed that each name carries (`seed42.log`, `seed_42/log.txt`, `42.log`), None unless all do."""
    for reading in _READINGS:
        seeds = [reading(path) for path in paths]
        found = [seed for seed in seeds if seed is not None]
        if len(found) == len(seeds):
            return tuple(found)
    return None


def _seed_in_file_name(path: Path) -> int | None:
    found = _SEED_IN_NAME.findall(path.name)
    if found:
        return int(found[-1])
    return int(path.stem) if re.fullmatch(r"\d{1,18}", path.stem) else None


def _seed_in_folder_name(path: Path) -> int | None:
    found = _SEED_IN_NAME.findall(path.parent.name)
    return int(found[-1]) if found else None


_READINGS: tuple[Callable[[Path], int | None], ...] = (_seed_in_file_name, _seed_in_folder_name)
