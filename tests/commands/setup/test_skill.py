"""The skill for coding agents is one text, and nothing that is there is overwritten."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_exprun.commands.setup import skill
from pytest_exprun.terms.errors import SettingsError

PAGE = Path(__file__).parents[3] / "docs" / "agent" / "SKILL.md"


def test_the_page_and_what_is_shipped_are_one_text():
    """docs/agent/SKILL.md is what the package has (else run `python tests/test_docs.py`)."""
    assert Path(skill.__file__).with_name("SKILL.md").read_bytes() == PAGE.read_bytes()


def test_it_is_written_once_and_again_if_nothing_changed(tmp_path):
    """Into a folder of its own name, as every agent wants it."""
    for _ in range(2):
        path = skill.place_of(tmp_path, skill.FOLDER)
        skill.write_skill(path)
    assert path == tmp_path / ".claude" / "skills" / "exprun" / "SKILL.md"
    assert path.read_bytes() == PAGE.read_bytes()


def test_another_text_is_left_with_what_to_do(tmp_path):
    """How much differs, and both ways out."""
    path = skill.place_of(tmp_path, "skills")
    skill.write_skill(path)
    path.write_text("mine\n" + path.read_text())
    with pytest.raises(SettingsError, match=r"differs from this version's by \+0 -1 lines: .* Remove it"):
        skill.place_of(tmp_path, "skills")


@pytest.mark.parametrize("folder", ["train.py", "train.py/x", "../elsewhere", ""])
def test_only_a_folder_of_the_project_is_allowed(tmp_path, folder):
    """`--agent train.py` takes the script for the folder: the line says so."""
    (tmp_path / "train.py").write_text("")
    with pytest.raises(SettingsError, match="allowed is a folder of skills in"):
        skill.place_of(tmp_path, folder)


def test_a_folder_of_the_files_name_is_no_skill(tmp_path):
    """It is named, not stumbled over."""
    (tmp_path / "skills" / "exprun" / "SKILL.md").mkdir(parents=True)
    with pytest.raises(SettingsError, match=r"SKILL\.md is a folder: remove it"):
        skill.place_of(tmp_path, "skills")
