"""The skill for coding agents, put where they look for it."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from pytest_exprun.terms.errors import SettingsError

FOLDER = ".claude/skills"
"""Where a project's skills are kept if nobody says otherwise."""
_TEXT = Path(__file__).with_name("SKILL.md")


def place_of(root: Path, folder: str) -> Path:
    """Return the file that a project's skill has in this folder of skills.

    Raises:
        SettingsError: there is another text already, or the folder is none or outside the project.
    """
    path = Path(os.path.normpath(root / folder / "exprun" / "SKILL.md"))
    in_the_way = next((each for each in path.parents if each.exists() and not each.is_dir()), None)
    if path.is_dir():
        raise SettingsError(
            f"{os.path.relpath(path)} is a folder: remove it, or name another folder of skills than {folder}"
        )
    if not folder or in_the_way is not None or not path.is_relative_to(root):
        raise SettingsError(
            f"--agent={folder}: allowed is a folder of skills in {root}, as in --agent=.agents/skills"
            + (f", and {os.path.relpath(in_the_way)} is a file" if in_the_way else "")
        )
    if path.exists() and (changed := _difference(path)):
        raise SettingsError(
            f"{os.path.relpath(path)} is there and differs from this version's by {changed}: it is left as it is. Remove it for the "
            "new text, or name another folder, as in --agent=.agents/skills"
        )
    return path


def write_skill(path: Path) -> None:
    """Write the skill."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_TEXT.read_bytes())


def _difference(path: Path) -> str:
    """Say how many lines differ, nothing if none do."""
    there, ours = (each.read_text(encoding="utf-8", errors="replace").splitlines() for each in (path, _TEXT))
    signs = [line[0] for line in difflib.ndiff(there, ours) if line[0] in "+-"]
    return f"+{signs.count('+')} -{signs.count('-')} lines" if signs else ""
