"""The metrics of one run, gathered line by line: the last value of each counts, or the run is refused."""

from __future__ import annotations

import math

import pytest

from pytest_exprun.running.training.output_metrics import OutputMetrics, UnreadableOutput
from pytest_exprun.terms.curves import MAX_POINTS
from tests.logs import NUMBERS, PATTERN, read, same


def test_a_format_named_silences_the_others():
    """exprun_log_format chooses among two that are there."""
    log = "Step 1 | val_loss: 1.5\nval_loss: 1.25\n"
    assert read(log, log_format="protocol") == 1.5
    assert read(log, log_format="autoresearch") == 1.25


def test_times_come_in_seconds_and_other_units_are_left_out():
    """`train_time:12345ms` is 12.345; a rate or percentage is no metric."""
    heard = OutputMetrics("val_loss")
    heard.hear("step:250/1750 val_loss:3.2800 train_time:12345ms step_avg:49.38ms")
    assert heard.metrics() == {"val_loss": 3.28, "train_time": 12.345}


def test_a_metric_that_stopped_being_a_number_is_dropped():
    """The last value counts for every metric: one that is unreadable at the end has none."""
    heard = OutputMetrics("val_loss")
    heard.hear("Step 1 | val_loss: 1.5 | acc: 0.5")
    heard.hear("Step 2 | val_loss: 1.25 | acc: n/a")
    assert heard.metrics() == {"val_loss": 1.25}


def test_the_message_quotes_the_line_and_says_what_to_set():
    """What could not be read is shown, with the option that helps."""
    heard = OutputMetrics("val_loss")
    heard.hear("Step 2 | val_loss: 1,25")
    with pytest.raises(UnreadableOutput, match=r"'Step 2 \| val_loss: 1,25'.*exprun_pattern"):
        heard.metrics()
    other = OutputMetrics("val_loss")
    other.hear("val_bpb:    0.9979")
    with pytest.raises(UnreadableOutput, match=r"printed no val_loss, only val_bpb: .*exprun_metric"):
        other.metrics()


def test_a_line_too_long_to_be_held_is_not_believed():
    """Half a line may hold half a number; it also ends the trust in an older one."""
    heard = OutputMetrics("val_loss")
    heard.hear("Step 1 | val_loss: 1.5")
    heard.hear("Step 2 | val_loss: 1.2", complete=False)
    with pytest.raises(UnreadableOutput):
        heard.metrics()


# Patterns.


@pytest.mark.parametrize("value", [value for value in NUMBERS if value != "-inf"])
def test_a_pattern_reads_every_number(value):
    """A value that the pattern does not know, as nan, is found in its place all the same."""
    assert same(read(f"val loss 9.9\nepoch 3, val loss {value}, lr 1e-3\n", pattern=PATTERN), float(value))


@pytest.mark.parametrize(
    ("line", "pattern"),
    [
        ("val loss 5.1e-05", r"val loss (?P<val_loss>[0-9.]+)"),
        ("val loss 5.1e-05", r"val loss (?P<val_loss>[0-9.]+).*"),
        ("val loss -0.5", r"val loss.*?(?P<val_loss>[0-9.]+)"),
        ("val loss 12.5", r"val loss.*(?P<val_loss>[0-9.]+)"),
        ("val loss 1,234.5", PATTERN),
        ("val loss 1.5.", PATTERN),
        ("val loss 1.5M", PATTERN),
        ("val loss 1.5%", PATTERN),
        ("val loss None", PATTERN),
        ("val loss -inf", PATTERN),
        ("val loss 1.5 val loss 1.25", PATTERN),
        ("train loss 1.5, val loss 1.25", r"loss (?P<val_loss>[0-9.eE+-]+)"),
    ],
)
def test_a_pattern_that_cuts_a_number_is_refused(line, pattern):
    """A part of a number is no number, whatever the pattern says; an older value does not stand for it."""
    assert read(f"val loss 9.9\n{line}\n", pattern=pattern) == "refused"


def test_words_where_a_pattern_wants_a_number_are_no_value():
    """Prose about the metric changes nothing."""
    assert read("val loss 1.5\nval loss improved, saving\n", pattern=PATTERN) == 1.5


def test_a_pattern_with_several_groups_and_brackets():
    """Each named group is a metric; classes with brackets inside do not confuse the reader."""
    heard = OutputMetrics("val_loss", pattern=r"\[eval\] loss=(?P<val_loss>[^\s\])]+) \((?P<acc>[0-9.]+)\)")
    heard.hear("[eval] loss=1.5 (0.25)")
    assert heard.metrics() == {"val_loss": 1.5, "acc": 0.25}


# Curves.


def test_curves_have_steps_and_stay_small():
    """A point a line, bounded in number: a script may print for every one of a million steps."""
    heard = OutputMetrics("val_loss")
    for step in range(MAX_POINTS + 10):
        heard.hear(f"step {step}: train loss 1.0, val loss 2.0")
    assert len(heard.curve) == MAX_POINTS
    assert heard.curve[3].step == 3
    assert heard.hear("step 99999: train loss 1.0, val loss nan").step == 99999, "the live line goes on"
    assert heard.curve[-1].step == MAX_POINTS - 1
    assert math.isnan(heard.metrics()["val_loss"])


def test_curves_hold_no_nan():
    """A value that is not finite is None, as in records."""
    heard = OutputMetrics("val_loss")
    assert heard.hear("Step 1 | val_loss: nan").values == {"val_loss": None}
