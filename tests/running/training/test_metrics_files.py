"""Metrics in a file that a script writes: read whole, or refused."""

from __future__ import annotations

import re

import pytest

from pytest_exprun.running.training.metrics_files import read_written, stamps
from pytest_exprun.running.training.output_metrics import UnreadableOutput
from pytest_exprun.running.training.results import sort_returned


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("m.json", '{"val_loss": 1.5, "acc": 0.25, "note": "x"}', {"val_loss": 1.5, "acc": 0.25}),
        ("m.json", '[{"val_loss": 2.5}, {"val_loss": 1.5}]', {"val_loss": 1.5}),
        ("m.json", '{"val_loss": NaN}', {"val_loss": None}),
        ("m.jsonl", '{"val_loss": 2.5}\n{"lr": 0.5}\n{"val_loss": 1.5}\n', {"val_loss": 1.5, "lr": 0.5}),
        (
            "m.csv",
            "epoch,step,train_loss,val_loss\n0,1,2.5,\n0,2,,1.5\n",
            {"epoch": 0, "step": 2, "train_loss": 2.5, "val_loss": 1.5},
        ),
    ],
)
def test_the_last_value_of_each_metric_counts(tmp_path, name, content, expected):
    """JSON, JSON lines and CSV."""
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert sort_returned(read_written(name, tmp_path, {}).values)[0] == expected


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.json", '{"val_loss": 1.5, "val_loss": 2.5}', "val_loss is there twice"),
        ("m.json", '{"val_loss": 1.', "cannot be read"),
        ("m.json", "[1.5]", "an object of metrics is needed, found 1.5"),
        ("m.csv", "step,val_loss\n1,1.5\n2,1.", "it ends within a line"),
        ("m.csv", "step,val_loss\n1,1.5,7\n", "a row of 3 cells below a header of 2"),
        ("m.csv", "step,val_loss\n", "no row of numbers"),
        ("m.txt", "1.5", "allowed are .json, .jsonl, .csv"),
        ("other.json", "{}", "wrote none, or left the one of an earlier run as it was"),
    ],
)
def test_files_that_prove_nothing(tmp_path, name, content, message):
    """A torn, doubtful or missing file is an error that names it."""
    wanted = "m.json" if name == "other.json" else name
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(UnreadableOutput, match=re.escape(message)):
        read_written(wanted, tmp_path, {})


def test_only_what_was_written_since_counts(tmp_path):
    """A file of an earlier run is no result of this one, and of two that were written nobody knows which one counts."""
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text('{"val_loss": 9.5}')
    before = stamps("*.json", tmp_path)
    with pytest.raises(UnreadableOutput, match="wrote none, or left the one of an earlier run"):
        read_written("*.json", tmp_path, before)
    (tmp_path / "b.json").write_text('{"val_loss": 12.5}')
    assert read_written("*.json", tmp_path, before).values == {"val_loss": 12.5}
    (tmp_path / "a.json").write_text('{"val_loss": 13.5}')
    with pytest.raises(UnreadableOutput, match=r"wrote 2 \(a.json, b.json\)"):
        read_written("*.json", tmp_path, before)
