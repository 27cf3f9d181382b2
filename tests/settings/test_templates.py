"""Command lines with placeholders: what is filled in, and what cannot be told apart run by run."""

from __future__ import annotations

import pytest

from pytest_exprun.settings.templates import check_command, fill, options_last, placeholders, values_of
from pytest_exprun.terms.errors import SettingsError
from pytest_exprun.terms.model import Budget

COMMAND = ("python", "train.py", "--seed={seed}", "--out={output_dir}", "{flags}")


def test_placeholders_are_the_names_in_braces():
    """A literal brace is written twice, before and after filling in."""
    assert placeholders("a{seed}b{{x}}{steps}") == {"seed", "steps"}
    assert fill("a{seed}b{{x}}", {"seed": "42"}) == "a42b{x}"


@pytest.mark.parametrize("text", ["{", "{nothing}", "{seed:3}", "{seed!r}", "{}"])
def test_what_is_no_placeholder_is_refused(text):
    """Half a brace, another name, a format."""
    with pytest.raises(ValueError):  # noqa: PT011  # the words of str.Formatter, or ours
        placeholders(text)


@pytest.mark.parametrize(
    ("budget", "per_step", "values"),
    [
        (Budget(1000), 0, {"train_tokens": "1000"}),
        (Budget(1000), 300, {"train_tokens": "1000", "steps": "4"}),
        (Budget(7, "steps"), 300, {"steps": "7", "train_tokens": "2100"}),
        (Budget(7, "seconds"), 300, {"seconds": "7"}),
    ],
)
def test_tokens_and_steps_are_converted_where_a_step_is_known(budget, per_step, values):
    """Tokens that are no whole number of steps are rounded up."""
    assert values_of(budget, per_step) == values


@pytest.mark.parametrize(
    ("command", "budget", "message"),
    [
        (COMMAND[:-1], Budget(9, "steps"), "{flags} must be there as a word of its own"),
        ((*COMMAND, "x{flags}"), Budget(9, "steps"), "{flags} must be there as a word of its own"),
        (("python", *COMMAND[3:]), Budget(9, "steps"), "no {seed}, and every run needs one"),
        ((*COMMAND[:3], COMMAND[4]), Budget(9, "steps"), "no {output_dir}, and every run writes"),
        (COMMAND, Budget(9), "neither {train_tokens} nor {steps}"),
        ((*COMMAND, "{seconds}"), Budget(9, "steps"), "{seconds} is unknown where exprun_budget is an amount of steps"),
        ((*COMMAND, "{steps}"), Budget(9), "exprun_tokens_per_step is not set"),
    ],
)
def test_a_command_that_cannot_be_told_apart_is_refused(command, budget, message):
    """What is missing is named."""
    with pytest.raises(SettingsError) as caught:
        check_command(command, (), budget, 0)
    assert message in str(caught.value)


def test_a_complete_command_passes():
    """The environment may carry what the command line does not."""
    check_command(COMMAND, (), Budget(9, "steps"), 0)
    check_command(("train", "{flags}"), ("SEED={seed}", "OUT={output_dir}"), Budget(9, "seconds"), 0)


def test_what_stands_behind_the_flags_wins():
    """An option in front of them may be set again."""
    assert options_last(("python", "t.py", "--a=1", "{flags}", "--b-c=2", "x", "--d")) == {"b_c": "--b-c=2", "d": "--d"}
    assert options_last(()) == {}
