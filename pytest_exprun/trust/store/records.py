"""The bytes of one stored run: a JSON object whose `sha256` is over the exact bytes of its `record`. No pickle, nothing executable.

`decode` believes nothing: whatever is not exactly what `encode` writes is damaged, with the reason in plain words.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from pytest_exprun.terms.errors import StoreError
from pytest_exprun.terms.outcome import RunResult
from pytest_exprun.trust.identity.key import Key

RECORD_SCHEMA = 1
MAX_RECORD_BYTES = 16 << 20
STORABLE = ("finished", "diverged")
_ENCODER = json.JSONEncoder(allow_nan=False)

_HEAD, _MIDDLE, _TAIL = b'{"sha256": "', b'",\n"record": ', b"}\n"
_DIGEST_LENGTH = 64


class DamagedRecord(Exception):  # noqa: N818  # read as a fact: why a record cannot be believed
    """The reason why a record cannot be believed, as a phrase."""


@dataclass(frozen=True)
class Record:
    """One stored run.

    Attributes:
        key: what the run depended on, complete.
        result: what it gave.
        opened: content of files below the root that it read and the key does not name: label -> digest.
        stored_at: UTC, ISO 8601.
    """

    key: Key
    result: RunResult
    opened: Mapping[str, str] = field(default_factory=dict)
    stored_at: str = ""


@dataclass(frozen=True)
class Attestation:
    """Runs stored under the key `stands` stand for `key` too: one seed was trained again under `key` and came out bit for bit equal.

    So they do while the answers that it got then (`opened`, as in a record) are the same: the stored runs may not have asked.
    `replaced` are the answers that the stored runs got and that are others now: label -> digest then.
    """

    key: Key
    stands: Key
    seed: int
    attested_at: str = ""
    opened: Mapping[str, str] = field(default_factory=dict)
    replaced: Mapping[str, str] = field(default_factory=dict)


def encode(record: Record) -> bytes:
    """Return the bytes of a record.

    Raises:
        StoreError: the result holds something that is no plain JSON, or is too big.
    """
    return _seal(
        {
            "schema": RECORD_SCHEMA,
            "stored_at": record.stored_at,
            "key": dict(record.key.components),
            "opened": dict(record.opened),
            "run": record.result.to_json(),
        },
        f"seed {record.result.spec.seed}",
    )


def decode(data: bytes) -> Record:
    """Return what `encode` wrote.

    Raises:
        DamagedRecord: the bytes are anything else.
    """
    content = _open(data)
    try:
        result = RunResult.from_json(content["run"])
        _check_types(result)
        _ENCODER.encode((result.notes, result.provenance))  # 1e999 is read as infinity
        if result.to_json() != content["run"]:
            raise DamagedRecord("it does not read back as it was written")
        if type(content["stored_at"]) is not str:
            raise DamagedRecord("stored_at is no text")
        return Record(_key(content, "key"), result, _texts(content, "opened"), content["stored_at"])
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise DamagedRecord(f"a field is missing or of the wrong kind ({type(error).__name__}: {error})") from None


def encode_attestation(attestation: Attestation) -> bytes:
    """Return the bytes of an attestation."""
    return _seal(
        {
            "schema": RECORD_SCHEMA,
            "attested_at": attestation.attested_at,
            "key": dict(attestation.key.components),
            "stands": dict(attestation.stands.components),
            "seed": attestation.seed,
            "opened": dict(attestation.opened),
            **({"replaced": dict(attestation.replaced)} if attestation.replaced else {}),
        },
        f"attestation by seed {attestation.seed}",
    )


def decode_attestation(data: bytes) -> Attestation:
    """Return what `encode_attestation` wrote.

    Raises:
        DamagedRecord: the bytes are anything else.
    """
    content = _open(data)
    if type(content.get("seed")) is not int or type(content.get("attested_at")) is not str:
        raise DamagedRecord("an attestation without seed or time")
    key, stands, opened = _key(content, "key"), _key(content, "stands"), _texts(content, "opened")
    replaced = _texts(content, "replaced") if "replaced" in content else {}
    return Attestation(key, stands, content["seed"], content["attested_at"], opened, replaced)


def _seal(content: dict[str, Any], what: str) -> bytes:
    try:
        # A line for each entry. `indent` would leave the encoding to Python, at four times the cost.
        lines = (f"{_ENCODER.encode(name)}: {_ENCODER.encode(value)}" for name, value in content.items())
        body = ("{\n" + ",\n".join(lines) + "\n}").encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise StoreError(f"{what} cannot be stored: {error}; metrics and notes must be plain JSON values") from None
    if len(body) > MAX_RECORD_BYTES // 2:
        raise StoreError(f"{what} cannot be stored: it has {len(body):,} bytes, allowed are {MAX_RECORD_BYTES // 2:,}")
    return _HEAD + hashlib.sha256(body).hexdigest().encode() + _MIDDLE + body + _TAIL


def _open(data: bytes) -> dict[str, Any]:
    start = len(_HEAD) + _DIGEST_LENGTH + len(_MIDDLE)
    if len(data) > MAX_RECORD_BYTES:
        raise DamagedRecord(f"longer than {MAX_RECORD_BYTES:,} bytes")
    framed = data.startswith(_HEAD) and data[start - len(_MIDDLE) : start] == _MIDDLE and data.endswith(_TAIL)
    if not framed or len(data) <= start + len(_TAIL):
        raise DamagedRecord("cut short, or no record of this plugin")
    body = data[start : -len(_TAIL)]
    if hashlib.sha256(body).hexdigest().encode() != data[len(_HEAD) : len(_HEAD) + _DIGEST_LENGTH]:
        raise DamagedRecord("its checksum does not match its content")
    try:
        content = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise DamagedRecord(f"not JSON ({type(error).__name__})") from None
    if not isinstance(content, dict) or type(content.get("schema")) is not int:
        raise DamagedRecord("no schema version")
    if content["schema"] != RECORD_SCHEMA:
        raise DamagedRecord(f"written with record schema {content['schema']}, this version reads {RECORD_SCHEMA}")
    return content


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _texts(content: dict[str, Any], name: str) -> dict[str, str]:
    value = content.get(name)
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise DamagedRecord(f"{name} is no mapping of texts")
    return value


def _key(content: dict[str, Any], name: str) -> Key:
    return Key(_texts(content, name))


def _is_metric(value: Any) -> bool:
    return value is None or (type(value) in (float, int) and math.isfinite(value))


def _check_types(result: RunResult) -> None:
    """Refuse values that would only fail later, in a statistic."""
    spec = result.spec
    checks: tuple[tuple[Callable[[], bool], str], ...] = (
        (lambda: result.status in STORABLE, "status"),
        (
            lambda: type(spec.seed) is int and type(spec.budget.amount) is int and type(spec.budget.unit) is str,
            "seed or budget",
        ),
        (lambda: all(type(token) is str for token in (*spec.variant.flags, *spec.common_args)), "flags"),
        (lambda: all(type(name) is str and _is_metric(value) for name, value in result.metrics.items()), "metrics"),
        (lambda: isinstance(result.notes, dict) and isinstance(result.provenance, dict), "notes"),
        (lambda: all(type(p.step) is int and all(map(_is_metric, p.values.values())) for p in result.curve), "curve"),
    )
    for holds, name in checks:
        if not holds():
            raise DamagedRecord(f"{name} of the wrong kind")


def check_identity(record: Record, key: Key, seed: int) -> None:
    """Refuse a record that lies in another one's place.

    Raises:
        DamagedRecord: it has another key, seed or flags than its place says.
    """
    if dict(record.key.components) != dict(key.components):
        raise DamagedRecord(f"it belongs to another key: {record.key.why(key)}")
    spec = record.result.spec
    if spec.seed != seed:
        raise DamagedRecord(f"it is seed {spec.seed}, its name says {seed}")
    flags = json.dumps(list(spec.variant.tokens))
    if key.components.get("flags", flags) != flags:
        raise DamagedRecord(f"its run has the flags {flags}, its key {key.components['flags']}")
