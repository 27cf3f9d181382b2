"""Small runs and keys for the tests of the store."""

import dataclasses
import json

from pytest_exprun.terms.model import Budget, RunSpec, Variant
from pytest_exprun.terms.outcome import CurvePoint, RunResult
from pytest_exprun.trust.identity.key import Key

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
