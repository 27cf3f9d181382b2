"""Where pytest reads its keys: putting ours there, and changing nothing else."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_exprun.settings.options import PREFIX
from pytest_exprun.settings.project import Project, read_keys
from pytest_exprun.terms.errors import SettingsError
from pytest_exprun.terms.whole_file import replace_file

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
    return _after_header(file, file.read_text(encoding="utf-8").splitlines() if file.exists() else [])


def _after_header(file: Path, lines: list[str]) -> int:
    headers = _HEADERS.get(file.name, ("[pytest]",))
    return next((at for header in headers for at, line in enumerate(lines, 1) if line.strip() == header), 0)


# One key that gets another value.


@dataclass(frozen=True)
class Edit:
    """A change of a file that is not written yet."""

    file: Path
    before: str
    after: str

    def diff(self) -> list[str]:
        """Return the change as the lines of a diff."""
        name, before, after = self.file.name, self.before.splitlines(), self.after.splitlines()
        # Without the lines around it: they may hold what others keep secret.
        return list(difflib.unified_diff(before, after, f"a/{name}", f"b/{name}", lineterm="", n=0))

    def check_writable(self) -> None:
        """Refuse a file that may not be written.

        Raises:
            SettingsError: it says why.
        """
        try:
            if self.file.exists():
                self.file.open("r+b").close()
        except OSError as error:
            raise self._error(error) from None

    def write(self) -> None:
        """Put it into the file, in one step.

        Raises:
            SettingsError: it cannot be written: the file is as it was.
        """
        path = self.file.resolve()  # a link stays one
        try:
            mode = path.stat().st_mode if path.exists() else None
            replace_file(path, self.after.encode())
            if mode is not None:
                path.chmod(mode)
        except OSError as error:
            raise self._error(error) from None

    def _error(self, error: OSError) -> SettingsError:
        return SettingsError(f"{self.file} cannot be written: {(error.strerror or str(error)).lower()}")


def edit_key(project: Project, name: str, value: str) -> Edit:
    """Return the change that gives a key of pytest's section a value. Comments, layout and all other keys stay.

    Raises:
        SettingsError: the file cannot be read, or is written in a way that only its author should change.
    """
    file = project.file if project.file and read_keys(project.file) else project.root / "pytest.ini"
    before = file.read_bytes().decode() if file.exists() else ""
    said = (read_keys(file, before) if before else None) or {}
    after = _with_key(file, before, f"{PREFIX}{name}", json.dumps(value, ensure_ascii=False), value)
    try:
        is_meant = read_keys(file, after) == {**said, f"{PREFIX}{name}": value}
    except SettingsError:
        is_meant = False
    if not is_meant:
        raise SettingsError(f"{file} is written in a way that is not changed safely: set {PREFIX}{name} there by hand")
    return Edit(file, before, after)


def _with_key(file: Path, text: str, key: str, quoted: str, value: str) -> str:
    """Return a file's text with a key's value replaced, or the key put below the header, which is made where there is none."""
    lines = text.splitlines(keepends=True)
    end = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"
    written = quoted if file.suffix == ".toml" else value
    start = _after_header(file, lines)
    if not start:
        lines += [*([end] if lines else []), f"[pytest]{end}"]
        start = len(lines)
    if not lines[start - 1].endswith("\n"):
        lines[start - 1] += end
    stop = next((at for at, line in enumerate(lines[start:], start) if line.startswith("[")), len(lines))
    assigned = re.compile(rf"{key}[ \t]*{'=' if file.suffix == '.toml' else '[=:]'}[ \t]*")
    at = next((at for at in range(start, stop) if assigned.match(lines[at])), None)
    if at is None:
        return "".join([*lines[:start], f"{key} = {written}{end}", *lines[start:]])
    found = assigned.match(lines[at])
    assert found is not None
    head = found[0] if found[0][-1] in " \t" else f"{found[0]} "
    rest = "".join([lines[at][found.end() :], *lines[at + 1 :]])
    behind = _behind_toml(rest) if file.suffix == ".toml" else _behind_ini(rest)
    return "".join([*lines[:at], head, written, behind])


def _behind_toml(rest: str) -> str:
    """Return what stands behind a value: the shortest text that is one ends there."""
    for length in range(1, len(rest) + 1):
        try:
            tomllib.loads(f"x = {rest[:length]}")
        except ValueError:
            continue
        return rest[length:]
    return rest


def _behind_ini(rest: str) -> str:
    """Return what stands behind a value, which goes on in indented lines; comments between them stay."""
    first, *others = rest.splitlines(keepends=True) or [""]
    stop = next((at for at, line in enumerate(others) if line.strip() and not line[0].isspace()), len(others))
    kept = [line for line in others[:stop] if not line.strip() or line.lstrip()[0] in "#;"]
    return "".join([first[len(first.rstrip("\r\n")) :], *kept, *others[stop:]])
