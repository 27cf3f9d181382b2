"""Settings: one table for options, ini keys and the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_exprun.terms.errors import SettingsError
from pytest_exprun.terms.settings import Settings


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


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tokens", "0"),
        ("tokens", "1.5"),
        ("tokens", "nan"),
        ("rule", ""),
        ("min_effect", "inf"),
        ("futility", "-1"),
        ("trainer", "a b:c"),
        ("executor", "threads"),
        ("jobs", "0"),
        ("timeout", "-1"),
        ("ray_resources", "num_cpus"),
        ("ray_resources", "num_cpus=many"),
    ],
)
def test_bad_values_name_the_key_and_what_is_allowed(name, text):
    """One line: key, value, what is allowed."""
    with pytest.raises(SettingsError, match=rf"^exprun_{name} = '{text}': allowed is "):
        Settings.read({name: text}, Path())


@pytest.mark.parametrize("row", list(Settings.rows()), ids=lambda row: row.name)
def test_every_row_is_complete(row):
    """Each option has a parser, a help text and words for what is allowed; its default parses or is a value of its own type."""
    assert {"parse", "help", "allowed"} <= set(row.metadata)
    assert row.metadata["help"]
    assert row.metadata["allowed"]


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
