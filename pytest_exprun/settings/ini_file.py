"""Where pytest reads its keys: putting ours there, and changing nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pytest_exprun.settings.options import PREFIX
from pytest_exprun.settings.project import Project

_HEADERS = {"pyproject.toml": ("[tool.pytest.ini_options]", "[tool.pytest]"), "setup.cfg": ("[tool:pytest]",)}


def write_keys(project: Project, keys: Mapping[str, str]) -> Path:
    """Put the keys below the header of pytest's section, or in a pytest.ini; return the file."""
    file = project.file if project.file and _below_header(project.file) else project.root / "pytest.ini"
    quoted = file.suffix == ".toml"
    text = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    at = _below_header(file)
    if not at:
        text += ["", "[pytest]"] if text else ["[pytest]"]
        at = len(text)
    text[at:at] = [f"{PREFIX}{name} = {json.dumps(value) if quoted else value}" for name, value in keys.items()]
    file.write_text("\n".join([*text, ""]), encoding="utf-8")
    return file


def _below_header(file: Path) -> int:
    """Return after which line the keys of pytest's section start, 0 if there is no such section."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    headers = _HEADERS.get(file.name, ("[pytest]",))
    return next((at for header in headers for at, line in enumerate(lines, 1) if line.strip() == header), 0)
