"""Settings: one table for options, ini keys and the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.errors import RefusedError, SettingsError


def test_defaults_are_the_protocols():
    """A million tokens, the protocol's rule, five seeds."""
    settings = Settings.read({}, Path("/root-directory"))
    assert settings.tokens == 1_000_000
    assert settings.rule == "two_sigma"
    assert settings.seeds_of_baselines == (42, 137, 256, 512, 1024)
    assert settings.path("store") == Path("/root-directory/.exprun")


def test_texts_are_parsed():
    """Numbers with underscores, token lists as a shell splits them, paths with a home directory."""
    given = {
        "tokens": "20_000",
        "args": "--data 'a b' --size nano",
        "baseline": "--rope",
        "baseline_seeds": "7",
        "store": "~/x",
    }
    settings = Settings.read(given, Path())
    assert settings.tokens == 20_000
    assert settings.args == ("--data", "a b", "--size", "nano")
    assert settings.default_control.flags == ("--rope",)
    assert settings.seeds_of_baselines == (42, 137, 256, 512, 1024, 2048, 4096)
    assert settings.store == Path("~/x").expanduser()


@pytest.mark.parametrize("given", ["--size nano", ["--size", "nano"]])
def test_a_list_of_words_is_the_text_with_blanks(given):
    """A list, as TOML has it, is what the words would be in an ini file."""
    assert Settings.read({"args": given}, Path()).args == ("--size", "nano")


@pytest.mark.parametrize("name", [row.name for row in Settings.rows()])
def test_bad_values_name_the_key_and_what_is_allowed(name):
    """One line: key, value, what is allowed. A list of words refuses an open quote, a name only blanks."""
    text = "" if name == "metric" else "'\0{(?P<open"
    with pytest.raises(SettingsError) as caught:
        Settings.read({name: text}, Path())
    assert str(caught.value).startswith(f"exprun_{name} = {text!r}: ")
    assert "allowed is " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_options_are_grouped_by_what_they_are_about():
    """Every option stands under one heading, in the order of the table; what is only for commands stands beside the command."""
    groups = Settings.groups()
    assert [row for rows in groups.values() for row in rows] == list(Settings.rows())
    assert next(iter(groups)) == "what is trained"
    assert {row.name for row in groups["how it is judged"]} >= {"metric", "rule", "min_effect"}


def test_what_is_only_for_commands_needs_one():
    """Any option beside the command is refused without it."""
    for row in Settings.groups()["a command in place of a function"]:
        text = {"env": "A=1", "pattern": "(?P<val_loss>.)", "log_format": "nanogpt", "tokens_per_step": "5"}.get(
            row.name, "x"
        )
        if row.name != "command":
            with pytest.raises(
                SettingsError, match=f"exprun_{row.name} is about the training command, but there is no"
            ):
                Settings.read({row.name: text}, Path())


@pytest.mark.parametrize("row", list(Settings.rows()), ids=lambda row: row.name)
def test_every_row_is_complete(row):
    """Each option has a parser, a help text and words for what is allowed."""
    assert row.what
    assert row.allowed
    assert callable(row.kind.parse)


def test_settings_travel_as_plain_json():
    """What a process elsewhere is told is what this one was told, paths and token lists included."""
    given = {
        "args": "--size nano",
        "store": "here",
        "executor": "processes",
        "jobs": "2",
        "ray_resources": "num_gpus=0.5",
    }
    settings = Settings.read(given, Path("/root-directory"))
    assert Settings.from_json(json.loads(json.dumps(settings.to_json())), settings.root) == settings


def test_an_unknown_option_from_elsewhere_is_named():
    """Two machines with different versions are told apart."""
    with pytest.raises(SettingsError, match="unknown option exprun_colour"):
        Settings.from_json({"colour": "red"}, Path())


def test_several_jobs_need_an_executor_that_has_them():
    """The line says what to set."""
    with pytest.raises(
        SettingsError, match="exprun_jobs = 2: executor inprocess trains one run after the other; set exprun_executor"
    ):
        Settings.read({"jobs": "2"}, Path())


def test_directions_are_declared_or_told_by_the_name():
    """What is said where the question is asked wins over the settings; a name that nobody knows is refused with the fix."""
    settings = Settings.read({"higher_is_better": "score", "lower_is_better": "cost"}, Path())
    assert dict(settings.directions("score", None, "")) == {"score": False, "cost": True}
    assert dict(settings.directions("cost", False, "")) == {"score": False, "cost": False}  # noqa: FBT003  # less is not better
    assert "val_loss" not in dict(settings.directions("val_loss", None, ""))
    with pytest.raises(RefusedError, match="nobody says whether more zork is better: name it"):
        settings.directions("zork", None, "name it")


@pytest.mark.parametrize(
    ("given", "how", "futility"),
    [
        ({}, (), 0.0),
        ({"tried": "."}, (), "seeds"),
        ({"flags": "--rope"}, (), "seeds"),
        ({"against": "main"}, (), 0.0),
        ({"tried": ".", "futility": "never"}, (), 0.0),
        ({"futility": "seeds"}, (), "seeds"),
        ({"futility": "0.5"}, (), 0.5),
        ({"tried": "."}, ("non_inferior",), 0.0),
        ({"futility": "seeds"}, ("loser",), 0.0),
        ({"futility": "seeds"}, ("winner",), "seeds"),
        ({"tried": "."}, ("not_loser", "tested", 0.5), 0.0),
        ({"tried": "."}, ("not_loser", "tested", 1.0), "seeds"),
    ],
)
def test_what_is_tried_ends_early_and_what_is_tested_does_not(given, how, futility):
    """Unless it is said otherwise; a gate about harm wants all seeds, and so does a bar below one sigma."""
    assert Settings.read(given, Path()).stops(*how, *("not_loser", "two_sigma", 2.0)[len(how) :]) == futility


def test_a_bar_that_is_too_low_to_stop_is_refused_where_it_was_asked_for():
    """The line says what to do."""
    with pytest.raises(
        RefusedError, match=r"exprun_futility = seeds wants a bar of at least 1.*'never' trains all seeds"
    ):
        Settings.read({"futility": "seeds"}, Path()).stops("not_loser", "tested", 0.5)
