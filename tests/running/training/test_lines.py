"""Metrics in the output of other people's scripts: read right, or refused; never misread."""

from __future__ import annotations

import ast
import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pytest_exprun.running.training.lines import CLOCKS, FORMATS, declared_clocks, number, plain_text
from pytest_exprun.running.training.output_metrics import OutputMetrics
from pytest_exprun.settings.settings import LOG_FORMATS, Settings
from tests.logs import NUMBERS, PATTERN, read, same

# One line of each format with `{value}` where the validation loss stands. `{step}` counts up.


LINES = {
    "protocol": "Step {step} | val_loss: {value} | train_loss: 1.5 | tokens: 204800 | tok/s: 27100 | lr: 1.0e-02 | time: 7.6s",
    "nanogpt": "step {step}: train loss 1.5000, val loss {value}",
    "modded-nanogpt": "step:{step}/9999 val_loss:{value} train_time:12345ms step_avg:49.38ms",
    "autoresearch": "val_loss:          {value}",
    "huggingface": "{{'eval_loss': {value}, 'eval_runtime': 0.5, 'epoch': 1.0}}",
    "llm-research-kit": "Step {step}: Val Loss: {value}, Val Acc: 0.2500, Val PPL: 167.00",
}


NO_NUMBERS = ["2,3456", "1.2.3", "tensor(1.2)", "None", "1e", "--1", "0x1f!", "1.2%", "2.3k", "1.2±0.1", "१.२", "1 2"]


NOISE = [
    "",
    "loading checkpoint 3",
    "100%|##########| 10/10 [00:01<00:00, 9.9it/s]",
    "  0%|          | 0/10 [00:00<?, ?it/s]",
    "best loss so far: 0.1",
    "Epoch 1 of 3",
    "warning: 2 lossy operations",
    "num_steps:        953",
]


def test_every_format_of_the_settings_has_a_reader_and_a_line_here():
    """The option, the readers and this table name the same formats."""
    assert set(LOG_FORMATS) - {"auto", "lightning"} == set(FORMATS) == set(LINES)


@pytest.mark.parametrize("how", ["auto", "named"])
@pytest.mark.parametrize("value", NUMBERS)
@pytest.mark.parametrize("name", LINES)
def test_every_number_is_read_in_every_format(name, value, how):
    """Exponents, signs, NaN and infinities come out as Python's float reads them, with the format named or recognised."""
    log = LINES[name].format(step=1, value="9.9") + "\n" + LINES[name].format(step=2, value=value) + "\n"
    assert same(read(log, log_format=name if how == "named" else "auto"), float(value))


@pytest.mark.parametrize("value", NO_NUMBERS)
@pytest.mark.parametrize("name", LINES)
def test_what_is_no_number_is_refused_and_no_older_value_taken(name, value):
    """A known line whose value cannot be trusted refuses the log, although an earlier line was fine."""
    log = LINES[name].format(step=1, value="9.9") + "\n" + LINES[name].format(step=2, value=value) + "\n"
    assert read(log) == "refused"


DECORATIONS = {
    "colours": lambda line: f"\x1b[32m{line[:6]}\x1b[0m\x1b[1m{line[6:]}\x1b[0m",
    "progress bar before": lambda line: f" 10%|#     | 1/10\r{line}",
    "bar cleared": lambda line: f" 10%|#  | 1/10\r              \r{line}",
    "bar after": lambda line: f"{line}\r 20%|##    | 2/10",
    "windows line end": lambda line: f"{line}\r",
    "logging": lambda line: f"2026-01-01 10:00:00,123 - INFO - {line}",
    "bracketed time": lambda line: f"[2026-01-01 10:00:00] {line}",
    "torchrun": lambda line: f"[default0]:{line}",
    "rank": lambda line: f"[rank0]: {line}",
    "trailing space": lambda line: f"{line}   ",
    "noise around": lambda line: f"{NOISE[1]}\n{line}\n{NOISE[2]}",
}


@pytest.mark.parametrize("decoration", DECORATIONS)
@pytest.mark.parametrize("name", LINES)
def test_hard_cases_are_read(name, decoration):
    """Colours, carriage returns, launchers' and loggers' prefixes do not change what a line says."""
    log = "\n".join(DECORATIONS[decoration](LINES[name].format(step=step, value=step + 0.25)) for step in (1, 2, 3))
    assert read(log) == 3.25


def test_a_progress_bar_on_the_dictionary_of_the_hugging_face_trainer():
    """tqdm leaves its bar in front of the dictionary, and may print behind it."""
    assert read(" 50%|###  | 5/10 [00:01<00:01]{'eval_loss': 1.25, 'epoch': 1.0} 60%|####") == 1.25
    assert read("{'eval_loss': '1.25', 'epoch': '1.0'}") == 1.25
    assert read("{'eval_loss': np.float64(1.25)}") == 1.25
    assert read('{"eval_loss": NaN, "epoch": null}') is not None
    assert math.isnan(read('{"eval_loss": NaN, "epoch": null}'))


@pytest.mark.parametrize(
    "log",
    [
        "{'eval_loss': 1.5, 'eval_loss': 1.25}",
        "{'eval_loss': True}",
        "{'eval_loss': 1j}",
        "{'eval_loss': 1.5}\n{'eval_loss': ",
        "{'eval_loss': 1.5} {'eval_loss': 1.25}",
        "Step 1 | val_loss: 1.5 | val_loss: 1.25",
        "Step 1 | val_loss: 1.5\nStep 1 | val_loss: 1.25",
        "step 1: train loss 1.5,val loss 1.25",
        "step:1/2 val_loss:1.5\nstep:2/2 train_loss:1.5,val_loss:1.25",
        "Step 1 | val_loss 1.5",
        "step:1/2 val_loss: 1.5",
        "Step 1 | val_loss: 1.5\nval_loss: 1.25",
        "Step 1 | val_loss: 1.5\nStep 2: Val Loss: 1.25",
        "",
        "no metric here",
    ],
)
def test_ambiguous_logs_are_refused(log):
    """Two values on a line, one step with two values, two formats, a torn line, no metric at all."""
    assert read(log) == "refused"


# Fuzzing against a second reading, written with other means: string methods and no regular expression.


def plain_number(text: str) -> float | None:
    """Return a decimal number of ASCII characters alone, None for anything else."""
    unsigned = text[1:] if text[:1] in ("+", "-") else text
    if unsigned.lower() in {"nan", "inf", "infinity"}:
        return float(text)
    if not unsigned or set(unsigned) - set("0123456789.eE+-"):
        return None
    try:
        return float(text)
    except ValueError:
        return None


def mentions(name: str, line: str) -> list[str] | None:
    """Return the texts that a line of a format gives for the validation loss; None if the line is of another form."""
    if name == "autoresearch":
        key, colon, value = line.partition(":")
        return [value.strip()] if colon and key == "val_loss" and value[:1].isspace() else None
    if name == "huggingface":
        start = line.find("{'")
        return None if start < 0 else dictionary(line[start : line.rfind("}") + 1])
    if name == "protocol":
        head, *pieces = line.split("|")
        key, colon, form = "val_loss", ":", ("Step ", " ")
    elif name == "modded-nanogpt":
        head, *pieces = line.split(" ")
        head, _, total = head.removesuffix(",").partition("/")
        pieces = [piece.removesuffix(",") for piece in pieces]
        key, colon, form = "val_loss", ":", ("step:", "")
        if not (total.isdecimal() and total.isascii()):
            return None
    else:
        head, _, rest = line.partition(": ")
        pieces = rest.split(", ")
        key, colon, form = ("val loss", " ", ("step ", "")) if name == "nanogpt" else ("Val Loss", ": ", ("Step ", ""))
    digits = head.removeprefix(form[0])[: -len(form[1]) or None]
    if not (head == form[0] + digits + form[1] and digits.isdecimal() and digits.isascii()):
        return None
    split = [piece.strip().rpartition(colon) for piece in pieces]
    return [value.strip() for text, _, value in split if text.strip().removesuffix(":").lower() == key.lower()]


def dictionary(text: str) -> list[str]:
    """Return what a dictionary gives for eval_loss, as text."""
    try:
        tree = ast.parse(text, mode="eval").body
        values = [
            value for key, value in zip(tree.keys, tree.values, strict=True) if key.value in {"eval_loss", "val_loss"}
        ]
    except (SyntaxError, ValueError, AttributeError):
        return ["torn"] if "val_loss" in text else []
    return [text[value.col_offset : value.end_col_offset].strip("'\"") for value in values]


def second_reading(name: str, lines: list[str]) -> float | str | None:
    """Return the last value of a log by the other means: a number, `refused`, or None where nothing is found."""
    last: float | str | None = None
    for line in lines:
        texts = mentions(name, line.strip())
        if texts:
            found = plain_number(texts[0])
            last = found if found is not None and len(texts) == 1 else "refused"
    return last


number_texts = st.one_of(
    st.sampled_from(NUMBERS),
    st.floats(allow_nan=True, allow_infinity=True).map(repr),
    st.floats(-10, 10).map("{:.4f}".format),
    st.floats(0, 1e-3).map("{:.1e}".format),
)


@given(
    name=st.sampled_from(sorted(LINES)),
    values=st.lists(number_texts, min_size=1, max_size=4),
    noise=st.lists(st.sampled_from(NOISE), max_size=4),
    decoration=st.sampled_from(sorted(DECORATIONS)),
)
@settings(max_examples=150)
def test_clean_logs_are_read_right(name, values, noise, decoration):
    """Any sequence of numbers, decorated and with other lines between, gives its last one."""
    lines = [
        DECORATIONS[decoration](LINES[name].format(step=step, value=value)) for step, value in enumerate(values, 1)
    ]
    log = "\n".join(f"{line}\n{other}" for line, other in zip(lines, [*noise, *[""] * len(lines)], strict=False))
    assert same(read(log, log_format=name), float(values[-1]))


ARABIC_THREE, MINUS, NO_BREAK_SPACE = "\u0663", "\u2212", "\u00a0"


NASTY = (*" ,.:|-+eE019_%xX/'\"{}()[]=;\t\bnaif", ARABIC_THREE, MINUS, NO_BREAK_SPACE)


@given(
    name=st.sampled_from(sorted(LINES)),
    values=st.lists(st.sampled_from(["1.25", "-0.5", "5.1e-05", "nan", "2"]), min_size=2, max_size=3),
    where=st.floats(0, 1),
    what=st.sampled_from(NASTY),
    how=st.sampled_from(["insert", "replace", "delete", "cut"]),
    auto=st.booleans(),
)
@example(name="huggingface", values=["1.25", "5.1e-05"], where=0.203125, what="e", how="replace", auto=False)
@settings(max_examples=400)
def test_a_damaged_last_line_is_never_misread(name, values, where, what, how, auto):  # noqa: PLR0917  # given by name
    """One character inserted, replaced or deleted, or the rest cut off: the second reading agrees, or the log is refused."""
    lines = [LINES[name].format(step=step, value=value) for step, value in enumerate(values, 1)]
    last = lines[-1]
    position = int(where * len(last))
    lines[-1] = {
        "insert": last[:position] + what + last[position:],
        "replace": last[:position] + what + last[position + 1 :],
        "delete": last[:position] + last[position + 1 :],
        "cut": last[:position],
    }[how]
    result = read("\n".join(lines), log_format="auto" if auto else name)
    assert result == "refused" or same(result, second_reading(name, lines))


@given(st.text(max_size=40))
@settings(max_examples=150)
def test_any_text_can_be_heard(text):
    """No line makes a reader fail, and only a number alone is a number."""
    heard = OutputMetrics("val_loss")
    heard.hear(text)
    heard.hear(f"Step 1 | val_loss: {text}")
    heard.hear(f"{{'eval_loss': {text}}}")
    OutputMetrics("val_loss", pattern=PATTERN).hear(f"val loss {text}")
    assert same(number(text), plain_number(text))
    assert plain_text(text) is not None


def test_clocks_are_those_of_the_format():
    """Every format says what it prints of clocks; one that is not named may be any of them; a function and a pattern have none."""
    assert set(CLOCKS) == set(FORMATS)
    assert declared_clocks(Settings(clocks=("mine",))) == ("mine",)
    command = ("python", "train.py")
    assert declared_clocks(Settings(command=command, log_format="nanogpt", clocks=("mine",))) == ("mine", "time", "mfu")
    assert declared_clocks(Settings(command=command, pattern="(?P<val_loss>.*)")) == ()
    assert {"mfu", "train_time", "eval_runtime"} <= set(declared_clocks(Settings(command=command)))
