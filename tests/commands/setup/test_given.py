"""A command that trains already is read: its script, what it sets, and what stays of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_exprun.commands.setup.given import Given
from pytest_exprun.running.options.script_options import read_script
from pytest_exprun.terms.errors import SettingsError

SCRIPT = """steps = 5
lr = 0.5
name = "a"
compile = False
exec(open("configurator.py").read())
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Stand in a folder with a script and a config file."""
    monkeypatch.chdir(tmp_path)
    Path("train.py").write_text(SCRIPT)
    Path("small.py").write_text("steps = 7\nlr = 0.25\nother = 'x'\n")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "before", "after"),
    [
        ([], ["python"], []),
        (["train.py"], ["python"], []),
        (["python", "./train.py", "small.py"], ["python"], ["small.py"]),
        (["torchrun", "--nproc=2", "train.py", "--lr", " -1"], ["torchrun", "--nproc=2"], ["--lr", "-1"]),
    ],
)
def test_the_script_is_found_in_any_command(folder, words, before, after):
    """What stands before it starts it, what stands behind it is its own."""
    Path("small.py").rename("conftest.py") if not words else None
    given = Given.read(folder, words)
    assert (given.script, given.before, given.after) == (Path("train.py"), before, after)


def test_a_command_without_a_script_of_this_folder_is_refused(folder):
    """The name that was meant is in the line."""
    with pytest.raises(SettingsError, match=r"there is no script nope\.py in "):
        Given.read(folder, ["python", "nope.py", "--x"])
    with pytest.raises(SettingsError, match="there is no script python -m lab in "):
        Given.read(folder, ["python", "-m", "lab"])


def test_what_the_command_sets_is_the_default(folder):
    """Config files too, in the order of the words; a text with a placeholder says nothing."""
    script = read_script(Path("train.py"))
    given = Given.read(folder, ["train.py", "small.py", "--lr=1e-3", "--name", "b", "--steps={steps}", "--compile"])
    given.settle(script)
    values = {name: option.default for name, option in script.options.items()}
    assert values == {"steps": 7, "lr": 0.001, "name": "b", "compile": True, "other": "x"}
    assert given.files == [Path("small.py")]
    assert given.said == {"steps", "lr", "name", "compile", "other"}


def test_options_are_left_out_with_their_values(folder):
    """In both spellings, and dashes as underscores; what stands alone stays."""
    script = read_script(Path("train.py"))
    given = Given.read(folder, ["train.py", "small.py", "--lr=1", "--max-steps", "9", "--name=b", "--verbose"])
    assert given.without({"lr", "max_steps"}, script) == ["small.py", "--name=b", "--verbose"]
