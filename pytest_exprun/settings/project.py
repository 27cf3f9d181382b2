"""The project that `exprun` is started in: its root directory and what its configuration says, found as pytest finds them.

pytest itself is not imported. The order of the files and what counts as configuration are those of its reference, "Initialization:
determining rootdir and configfile": the first file, from the current directory upwards, that has a table or section for pytest.
"""

from __future__ import annotations

import argparse
import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_exprun.settings.options import PREFIX
from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.errors import SettingsError, meant

_SECTIONS = {
    **dict.fromkeys(("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini"), "pytest"),
    "pyproject.toml": "tool.pytest",
    "tox.ini": "pytest",
    "setup.cfg": "tool:pytest",
}
"""The files in pytest's order of precedence, each with the section or table that it reads."""


@dataclass(frozen=True)
class Project:
    """Where the project is and what it says.

    Attributes:
        root: the root directory; every relative path of the settings starts there.
        file: the configuration file, if there is one.
        values: what the `exprun_*` keys say, without the prefix, `addopts` and PYTEST_ADDOPTS included.
        python_path: the folders of pytest's `pythonpath`, absolute: what the trainer may be imported from besides the root.
        overridden: what addopts or PYTEST_ADDOPTS say, whatever the file's keys do.
    """

    root: Path
    file: Path | None = None
    values: Mapping[str, object] = field(default_factory=dict)
    python_path: tuple[Path, ...] = ()
    overridden: frozenset[str] = frozenset()

    def settings(self, given: Mapping[str, str | None]) -> Settings:
        """Return the settings, what is `given` on the command line before what the project says.

        Raises:
            SettingsError: a value that is not allowed.
        """
        said = {name: text for name, text in given.items() if text is not None}
        return Settings.read({**self.values, **said}, self.root)


def find_project(start: Path, environ: Mapping[str, str], root: Path | None = None) -> Project:
    """Return the project of a folder: what `pytest` started there without arguments would work with.

    Args:
        start: an existing folder, absolute.
        environ: the environment; PYTEST_ADDOPTS of it is read.
        root: the root directory, if it is not to be found from `start`, as with pytest's --rootdir.

    Raises:
        SettingsError: a configuration file that cannot be read, or says what pytest or this package refuses.
    """
    directory, file, values = _locate(start)
    addopts = _words(values.get("addopts", ""), file) + _words(environ.get("PYTEST_ADDOPTS", ""), "PYTEST_ADDOPTS")
    options, overrides = _options(addopts)
    keys = {_known(key, file): value for key, value in values.items() if key.startswith(PREFIX)}
    folders = tuple((file or directory).parent / entry for entry in _words(values.get("pythonpath", ""), file))
    told = {**overrides, **options}
    return Project(root or directory, file, {**keys, **told}, folders, frozenset(told))


def _locate(start: Path) -> tuple[Path, Path | None, dict[str, Any]]:
    """Return the root directory, the configuration file and what it says."""
    above = (start, *start.parents)
    for folder in above:
        for name in _SECTIONS:
            if (folder / name).is_file() and (values := read_keys(folder / name)) is not None:
                return folder, folder / name, values
    for mark in ("pyproject.toml", "setup.py"):
        if root := next((folder for folder in above if (folder / mark).is_file()), None):
            return root, root / mark if mark in _SECTIONS else None, {}
    return start, None, {}


def read_keys(path: Path, text: str | None = None) -> dict[str, Any] | None:
    """Return what a file says to pytest, or would with another text; None if nothing: the search goes on.

    Raises:
        SettingsError: it cannot be read, or says what pytest refuses.
    """
    from iniconfig import IniConfig, ParseError

    try:
        text = path.read_text(encoding="utf-8") if text is None else text
        said = tomllib.loads(text) if path.suffix == ".toml" else dict(IniConfig(str(path), text).sections)
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, ParseError) as error:
        raise SettingsError(f"{path} cannot be parsed: {' '.join(str(error).split())}") from None
    table = said.get("tool", {}).get("pytest") if path.name == "pyproject.toml" else said.get(_SECTIONS[path.name])
    if not isinstance(table, Mapping | None):
        raise SettingsError(f"{path}: pytest = {table!r}: it must be a table")
    if path.name == "pyproject.toml":
        return _native_or_texts(path, dict(table or {}))
    if path.name == "setup.cfg" and table is None and "pytest" in said:
        raise SettingsError(f"{path}: pytest does not read [pytest] in setup.cfg; call the section [tool:pytest]")
    return dict(table or {}) if table is not None or path.stem.endswith("pytest") else None


def _native_or_texts(path: Path, table: dict[str, Any]) -> dict[str, Any] | None:
    """Return what pyproject.toml says: the native table, or the one within it that is written as ini files are."""
    texts = table.pop("ini_options", None)
    if texts and table:
        raise SettingsError(f"{path}: use [tool.pytest] or [tool.pytest.ini_options], not both")
    return table or texts


def _words(value: object, where: object) -> list[str]:
    """Return a list as it is, and a text split as a shell would."""
    try:
        return [*map(str, value)] if isinstance(value, list) else shlex.split(str(value))
    except ValueError as error:
        raise SettingsError(f"{where}: {value!r}: {error}") from None


def _options(words: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return what options given to pytest say of ours, and what `-o` says of our keys; of each the last one counts."""
    parser = argparse.ArgumentParser(
        add_help=False, allow_abbrev=False, exit_on_error=False, argument_default=argparse.SUPPRESS
    )
    parser.add_argument("-o", "--override-ini", action="append", default=[])
    for row in Settings.rows():
        parser.add_argument(row.flag, dest=row.name)
    try:
        known, others = parser.parse_known_args(words)
    except argparse.ArgumentError as error:
        raise SettingsError(f"addopts: {error}") from None
    for word in others:
        if word.startswith("--exprun-"):
            _known(word.removeprefix("--").partition("=")[0].replace("-", "_"), "addopts")
    options = vars(known)
    overrides = (text.partition("=") for text in options.pop("override_ini"))
    return options, {_known(key, "addopts"): text for key, _, text in overrides if key.startswith(PREFIX)}


def _known(key: str, where: object) -> str:
    """Return the option that a key names."""
    names = {row.key: row.name for row in Settings.rows()}
    if key not in names:
        hint = meant(key.removeprefix(PREFIX), [*names.values()], PREFIX)
        raise SettingsError(f"{key} in {where}: no such setting; {hint}")
    return names[key]
