"""Small runs and keys, forged records and a failing disk, for the tests of the store."""

import dataclasses
import hashlib
import json
import os

from pytest_exprun.terms.model import Budget, RunSpec, Variant
from pytest_exprun.terms.outcome import CurvePoint, RunResult
from pytest_exprun.trust.identity.key import Key
from pytest_exprun.trust.store.filesystem import FileSystem
from pytest_exprun.trust.store.records import Record, encode

ROPE = Variant(("--rope",))
BASELINE = Variant()


def make_key(variant=ROPE, source="0" * 64, **components):
    """Return a key as the fingerprinter makes it, with a toy source."""
    return Key(
        {
            "schema": "1",
            "flags": json.dumps(list(variant.identity)),
            "common args": "[]",
            "budget": "1000000 tokens",
            "source toy.py": source,
            **{name.replace("_", " "): value for name, value in components.items()},
        }
    )


def make_run(seed=42, loss=1.5, variant=ROPE, **changes):
    """Return a finished run of a few hundred bytes."""
    curve = (CurvePoint(1, {"val_loss": 2.0, "time": 0.1}), CurvePoint(2, {"val_loss": loss, "time": 0.2}))
    run = RunResult(
        spec=RunSpec(variant, seed, Budget()),
        status="finished",
        metrics={"val_loss": loss, "wall_time": 1.0},
        notes={"data_sha256": "ab"},
        curve=curve,
        provenance={"host": "h"},
    )
    return dataclasses.replace(run, **changes)


KEY = make_key()


def seal(content):
    """Frame any JSON value as a record with a right checksum: forged, not rotted."""
    body = json.dumps(content).encode()
    return b'{"sha256": "' + hashlib.sha256(body).hexdigest().encode() + b'",\n"record": ' + body + b"}\n"


def forged(**changes):
    """Return a valid record's content with some fields replaced."""
    return json.loads(encode(Record(KEY, make_run())))["record"] | changes


def files(folder):
    """Return all files below a folder by relative name."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Failing(FileSystem):
    """A file system on which one operation fails."""

    def __init__(self, operation, number, after=0):
        self.operation, self.number, self.after = operation, number, after

    def call(self, name, *arguments):
        """Fail the wanted call after letting some through."""
        if name == self.operation:
            self.after -= 1
            if self.after < 0:
                raise OSError(self.number, os.strerror(self.number))
        return super().call(name, *arguments)
