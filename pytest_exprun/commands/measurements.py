"""Numbers that exist already, for `exprun judge`: typed, or in files of many kinds. Standard library only.

Nothing is guessed that could change a verdict: a file without a number, a seed that two files carry, a column that is not there are
errors. What is not finite stays: it is a diverged run.
"""

from __future__ import annotations

import csv
import glob
import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pytest_exprun.running.training.lines import FORMATS, NUMBER, plain_text
from pytest_exprun.terms.errors import RefusedError
from pytest_exprun.terms.judged_at import REPORTED_AT, Heard, Place, untrained
from pytest_exprun.terms.outcome import RunResult
from pytest_exprun.trust.store.records import DamagedRecord, decode

_NUMBER = re.compile(NUMBER, re.ASCII | re.IGNORECASE)
_SEED = re.compile(r"\d{1,18}", re.ASCII)
_SEED_IN_NAME = re.compile(r"seed[-_=.]?(\d{1,18})", re.IGNORECASE | re.ASCII)
_STORED = re.compile(r"seed-\d{1,18}\.json", re.ASCII)
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
        source: numbers separated by commas; a file of one number a line, CSV, TSV or JSON, for its inside with `:` and a path behind it;
            or a folder or glob of logs or stored runs.
        metric: the name before the number in logs, and the column unless `column` is given.
        column: the column of a CSV file, or the key of JSON objects.

    Raises:
        RefusedError: there is nothing to read, or something that cannot be read without guessing.
    """
    there = os.path.exists(source)  # noqa: PTH110  # false, not an error, for what is too long to be a name
    if there and not Path(source).is_dir():
        return _from_file(Path(source), metric, column)
    if there or glob.has_magic(source):
        names = Path(source).iterdir() if there else map(Path, glob.glob(source, recursive=True))  # noqa: PTH207  # absolute too
        files = sorted(path for path in names if path.is_file() and not path.name.startswith("."))
        if not files:
            raise RefusedError(
                f"{source!r}: no file there; for logs in folders of their own give a quoted glob such as 'runs/*/log.txt'"
            )
        return (
            _from_files(files, column or metric, source)
            if there or len(files) > 1
            else _from_file(files[0], metric, column)
        )
    name, colon, inside = source.rpartition(":")
    if colon and name.endswith(".json") and Path(name).is_file():
        return _from_json(Path(name), _read_text(Path(name)), column or metric, inside)
    words = [word for word in re.split(r"[,\s]+", source) if word]
    if not words or not all(map(_NUMBER.fullmatch, words)):
        raise RefusedError(
            f"{source[:_SHOWN]!r} is neither an existing file, folder or glob nor numbers separated by commas such as 1.92,1.95"
        )
    return Measurements(tuple(map(float, words)), None, "typed numbers")


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise RefusedError(f"{path} cannot be read: {error.strerror or error}") from None


def _from_file(path: Path, metric: str, column: str | None) -> Measurements:
    """Read a file by what its name says it is, else a number a line."""
    text, suffix = _read_text(path), path.suffix.lower()
    if suffix == ".json":
        return _from_json(path, text, column or metric)
    lines = [line for line in (line.partition("#")[0].strip() for line in text.splitlines()) if line]
    if not lines:
        raise RefusedError(f"{path} is empty")
    bad = next((line for line in lines if not _NUMBER.fullmatch(line)), None)
    if column or (bad is not None and suffix in (".csv", ".tsv")):
        rows = _rows(path, csv.reader(text.splitlines(), delimiter="\t" if suffix == ".tsv" else ","), column or metric)
        return _from_objects(path, rows, column or metric)
    if bad is not None:
        raise RefusedError(
            f"{path}: {bad[:_SHOWN]!r} is no number; allowed is a number a line. If it is the log of one run, give the folder or a quoted "
            f"glob of logs, one for each seed: '{path.parent}/*{suffix}'"
        )
    return Measurements(tuple(map(float, lines)), None, f"file {path}")


def _rows(path: Path, reader: Iterable[list[str]], name: str) -> list[dict[str, str]]:
    """Return the rows of a table by the names in its first line."""
    try:
        header, *rows = [[cell.strip() for cell in row] for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise RefusedError(f"{path} is no CSV file: {error}") from None
    if twice := next((each for each in (name, SEED_COLUMN) if header.count(each) > 1), None):
        raise RefusedError(f"{path} has {header.count(twice)} columns {twice!r}; choose another one with --column")
    if bad := next((row for row in rows if len(row) != len(header)), None):
        raise RefusedError(
            f"{path}: {','.join(bad)[:_SHOWN]!r} has {len(bad)} cells where the first line has {len(header)}"
        )
    return [dict(zip(header, row, strict=True)) for row in rows]


def _from_json(path: Path, text: str, name: str, inside: str = "") -> Measurements:
    """Read a list of numbers or objects, an object from seed to number, or stored runs, at a place inside the file if one is given."""
    data, place = _at(path, _loaded(path, text), inside), f"{path}:{inside}" if inside else str(path)
    if isinstance(data, dict) and isinstance(data.get("record"), dict):
        data = [data["record"].get("run")]
    if isinstance(data, dict) and {"declaration", "baseline", "experiment"} <= set(data):
        raise RefusedError(f"{place} is the report of two arms: choose one, as in {path}:baseline or {path}:experiment")
    if isinstance(data, list) and data and all(map(_is_run, data)):
        return _from_runs(place, data, name)
    if isinstance(data, dict):
        data = data.get(name, data)
    if isinstance(data, dict) and all(map(_SEED.fullmatch, data)):
        data = [{SEED_COLUMN: seed, name: value} for seed, value in data.items()]
    if not isinstance(data, list):
        raise RefusedError(
            f"{place}: allowed is a list of numbers, a list of objects with the key {name!r}, or an object from seed to number; "
            f"choose a key with --column, or a place inside with {path}:key.0.key{_keys_of(data)}"
        )
    return _from_objects(place, [each if isinstance(each, dict) else {name: each} for each in data], name)


def _loaded(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"{path} is no JSON: {error}") from None


def _at(path: Path, data: Any, inside: str) -> Any:
    """Return what is at a place inside, `records.0.losses`: keys of objects and numbers of entries, from 0."""
    gone: list[str] = []
    for key in filter(None, inside.split(".")):
        if isinstance(data, list) and key.isdecimal() and int(key) < len(data):
            data = data[int(key)]
        elif isinstance(data, dict) and key in data:
            data = data[key]
        else:
            where = f" in {'.'.join(gone)}" if gone else ""
            raise RefusedError(f"{path}:{inside}: there is no {key!r}{where}{_keys_of(data)}")
        gone.append(key)
    return data


def _keys_of(data: Any) -> str:
    """Say what there is to choose from."""
    if isinstance(data, dict):
        return f"; there are: {', '.join(map(str, data))[: 3 * _SHOWN] or 'none'}"
    return f"; there are the entries 0 to {len(data) - 1}" if isinstance(data, list) and data else ""


def _is_run(data: Any) -> bool:
    """Whether it is a run as records and reports have it."""
    return isinstance(data, dict) and isinstance(data.get("spec"), dict) and isinstance(data.get("metrics"), dict)


def _from_runs(place: str, data: Sequence[Mapping[str, Any]], name: str) -> Measurements:
    """Read runs of one arm, their seeds and where in the run the metric is from."""
    try:
        runs = [RunResult.from_json(each) for each in data]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RefusedError(f"{place}: a run in it is damaged ({type(error).__name__}: {error})") from None
    arms = {(run.spec.variant.identity, run.spec.budget, run.spec.common_args): str(run.spec.variant) for run in runs}
    if len(arms) > 1:
        raise RefusedError(f"{place} has runs of {len(arms)} arms ({'; '.join(arms.values())}): name the files of one")
    found = _from_objects(place, [{SEED_COLUMN: run.spec.seed, **run.metrics} for run in runs], name)
    places = [run.provenance.get(REPORTED_AT, {}).get(name) for run in runs]
    return replace(found, places=tuple(None if each is None else Place(*each) for each in places))


def _from_objects(path: Path | str, entries: Sequence[Mapping[str, Any]], name: str) -> Measurements:
    """Read the value called `name` of each row or object, and its seed if all have one."""
    seeds = None
    if entries and all(SEED_COLUMN in entry for entry in entries):
        seeds = tuple(map(int, _numbers(path, entries, SEED_COLUMN, _SEED)))
    return Measurements(tuple(map(float, _numbers(path, entries, name, _NUMBER))), seeds, f"{name} of {path}")


def _numbers(
    path: Path | str, entries: Sequence[Mapping[str, Any]], name: str, allowed: re.Pattern[str]
) -> Iterator[str]:
    """Yield what each entry has under a name, as a text; null is what a diverged metric is written as."""
    for at, entry in enumerate(entries, 1):
        if name not in entry:
            raise RefusedError(
                f"{path}, entry {at}, has no {name!r}; it has: {', '.join(entry)[:200]}. Choose one with --column"
            )
        text = "nan" if entry[name] is None else str(entry[name])
        if not allowed.fullmatch(text):
            what = "whole number" if allowed is _SEED else "number"
            raise RefusedError(f"{path}, entry {at}: {name} {text[:_SHOWN]!r} is no {what}")
        yield text


def _from_files(paths: Sequence[Path], metric: str, origin: str) -> Measurements:
    """Read stored runs, one a file, beside which there may be attestations; else logs."""
    stored = [path for path in paths if _STORED.fullmatch(path.name)]
    if not stored or any(path.suffix != ".json" for path in paths):
        return _from_logs(paths, metric, origin)
    try:
        runs = [decode(path.read_bytes()).result.to_json() for path in stored]
    except OSError as error:
        raise RefusedError(f"{error.filename} cannot be read: {error.strerror or error}") from None
    except DamagedRecord as error:
        raise RefusedError(f"{origin}: one of its stored runs is damaged: {error}") from None
    return _from_runs(origin, runs, metric)


def _from_logs(paths: Sequence[Path], metric: str, origin: str) -> Measurements:
    """Read the last value of each log; the seeds are those that the names carry, if all carry one."""
    values, places = [], []
    for path in paths:
        value, place = _last_value(_read_text(path), metric)
        if value is None:
            raise RefusedError(
                f"{path} has no line with '{metric}: ' and a number: a run that never reported cannot be judged; "
                "name the logs with a quoted glob, and another metric with --metric"
            )
        if math.isfinite(value) and place is not None and (why := untrained(metric, place)):
            raise RefusedError(f"{path}: {why}")
        values.append(value)
        places.append(place)
    return Measurements(
        tuple(values), _seeds_of(paths), f"the last {metric} of {len(paths)} logs, {origin}", tuple(places)
    )


def _last_value(text: str, metric: str) -> tuple[float | None, Place | None]:
    """Return a log's last value and where in the run it is from."""
    named = re.compile(
        rf"(?<![\w./-]){re.escape(metric)}[\"']?[ \t]*[:=][ \t]*({NUMBER})(?!\w|\.\d)", re.ASCII | re.IGNORECASE
    )
    last, heard = None, Heard()
    for line in text.splitlines():
        found = named.findall(line)
        last = float(found[-1]) if found else last
        heard.take([metric] if found else [], _counts(line))
    known = heard.reported_at([metric])
    return last, Place(*known[metric]) if known else None


def _counts(line: str) -> dict[str, float]:
    """Return how far a run is by a line of any known form."""
    readings = (reader(plain_text(line)) for reader in FORMATS.values())
    return {name: count for reading in readings if reading is not None for name, count in reading.counts.items()}


def _seeds_of(paths: Sequence[Path]) -> tuple[int, ...] | None:
    """Return the seed that each name carries (`seed42.log`, `42.log`, `seed_42/log.txt`), None unless all do."""
    files = [_SEED_IN_NAME.findall(path.name) or _SEED.findall(path.stem) * path.stem.isdecimal() for path in paths]
    folders = [_SEED_IN_NAME.findall(path.parent.name) for path in paths]
    return next((tuple(int(each[-1]) for each in names) for names in (files, folders) if all(names)), None)
