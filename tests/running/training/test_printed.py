"""What a program will print is read from its texts, by the readers of its output."""

from __future__ import annotations

import ast

import pytest

from pytest_exprun.running.training.output_metrics import OutputMetrics
from pytest_exprun.running.training.printed import Printed, printed_metrics, returned_metrics


def best(source):
    """Return the metric to judge by."""
    return next(iter(printed_metrics([ast.parse(source)])), None)


@pytest.mark.parametrize(
    ("source", "metric"),
    [
        ("print(f\"step {i}: train loss {l:.4f}, val loss {v['val']:.4f}\")", "val_loss"),
        ('print(f"\\nStep {s}: Val Loss: {a:.4f}, " f"Val Acc: {b:.4f}")', "val_loss"),
        ('print(f"val_bpb:          {v:.6f}")\nprint(f"num_steps:        {s}")', "val_bpb"),
        ('print(f"Step {s} | val_loss: {v}")', "val_loss"),
    ],
)
def test_known_formats_need_no_pattern(source, metric):
    """They are read by the reader that reads them later."""
    assert best(source) == Printed(metric)


@pytest.mark.parametrize(
    ("source", "line", "metric", "value"),
    [
        (
            'print(f"global_step={g}, episodic_return={r}")',
            "global_step=12, episodic_return=[ 22.]",
            "episodic_return",
            22.0,
        ),
        ('print("Accuracy of net =", acc)', "Accuracy of net = 0.5", "accuracy_of_net", 0.5),
        ('log.info("epoch %d, test accuracy %.3f" % (e, a))', "epoch 3, test accuracy 0.912", "test_accuracy", 0.912),
        (
            'print("Test: Average loss: {:.4f} ({})".format(l, n))',
            "Test: Average loss: 0.1234 (7)",
            "average_loss",
            0.1234,
        ),
    ],
)
def test_any_other_line_gets_a_pattern(source, line, metric, value):
    """And the pattern reads the line."""
    found = best(source)
    assert found.metric == metric
    heard = OutputMetrics(metric, pattern=found.pattern)
    heard.hear(line)
    assert heard.metrics()[metric] == value


def test_held_out_data_come_first():
    """Losses of held-out data, then other numbers of it; what is of training, or of unknown direction, last or not at all."""
    source = 'print(f"epoch {e}: train_loss={t}, loss={l}, val_acc={a}, val_loss={v}, seconds={s}, train_time={w}")'
    assert [each.metric for each in printed_metrics([ast.parse(source)])] == ["val_loss", "val_acc", "loss"]
    assert best('print("done", x)\nprint("SPS:", s)') is None


@pytest.mark.parametrize(
    ("returned", "names"),
    [
        ('{"val_loss": 1, "accuracy": 2}', ["val_loss", "accuracy"]),
        ("accuracy_score(y, p)", ["accuracy"]),
        ("float(val_acc)", ["val_acc"]),
        ("model.score(x, y)", ["score"]),
        ("rmse", ["rmse"]),
        ("1.0", []),
    ],
)
def test_what_a_function_returns_has_a_name(returned, names):
    """The keys of its dictionary, or that of the lone number."""
    assert returned_metrics(ast.parse(f"def train():\n    return {returned}").body[0]) == names
