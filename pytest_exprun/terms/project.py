"""The project that `exprun` is started in: its root directory and what its configuration says, found as pytest finds them.

pytest itself is not imported. The order of the files and what counts as configuration are those of its reference, "Initialization:
determining rootdir and configfile": the first file, from the current directory upwards, that has a table or section for pytest.
"""

from __future__ import annotations

import difflib
import shlex
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_exprun.terms.errors import SettingsError
from pytest_exprun.terms.settings import Settings

PREFIX = "exprun_"
_OPTION = "--exprun-"

Values = Mapping[str, Any]
"""A file's pytest configuration: texts, or lists of texts where the file is TOML."""


@dataclass(frozen=True)
class Project:
    """Where the project is and what it says.

    Attributes:
        root: the root directory; every relative path of the settings starts there.
        file: the configuration file, if there is one.
        values: the texts of the `exprun_*` keys without the prefix, `addopts` and PYTEST_ADDOPTS included.
        python_path: the folders of pytest's `pythonpath`, absolute: what the trainer may be imported from besides the root.
    """

    root: Path
    file: Path | None = None
    values: Mapping[str, str] = field(default_factory=dict)
    python_path: tuple[Path, ...] = ()

    def settings(self, given: Mapping[str, str | None]) -> Settings:
        """Return the settings, what is `given` on the command line before what the project says.

        Raises:
            SettingsError: a value that is not allowed.
        """
        return Settings.read(
            {**self.values, **{name: text for name, text in given.items() if text is not None}}, self.root
        )


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
    ini = _texts(values, file)
    options: dict[str, str] = {}
    for tokens in (_words(values.get("addopts", ()), file), _words(environ.get("PYTEST_ADDOPTS", ""), None)):
        _take_options(tokens, ini, options)
    folders = tuple((file or directory).parent / entry for entry in _words(values.get("pythonpath", ()), file))
    return Project(root or directory, file, {**ini, **options}, folders)


def _locate(start: Path) -> tuple[Path, Path | None, Values]:
    """Return the root directory, the configuration file and its values."""
    empty_pyproject = None
    for folder in (start, *start.parents):
        for name, read in _READERS.items():
            path = folder / name
            if path.is_file():
                values = _reading(path, read)
                if values is not None:
                    return folder, path, values
                if name == "pyproject.toml":
                    empty_pyproject = empty_pyproject or path
    if empty_pyproject is not None:
        return empty_pyproject.parent, empty_pyproject, {}
    root = next((folder for folder in (start, *start.parents) if (folder / "setup.py").is_file()), start)
    return root, None, {}


def _reading(path: Path, read: Callable[[Path], Values | None]) -> Values | None:
    try:
        return read(path)
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is no UTF-8 text (byte {error.start}); save it as UTF-8") from None


def _section(path: Path, name: str) -> dict[str, str] | None:
    """Return one section of a file in ini form."""
    from iniconfig import IniConfig, ParseError

    try:
        sections = IniConfig(str(path)).sections
    except ParseError as error:
        raise SettingsError(f"{path} cannot be parsed: {' '.join(str(error).split())}") from None
    if path.name == "setup.cfg" and "pytest" in sections and name not in sections:
        raise SettingsError(f"{path}: pytest does not read [pytest] in setup.cfg; call the section [tool:pytest]")
    return None if name not in sections else dict(sections[name])


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} cannot be parsed: {error}") from None


def _table(path: Path, within: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = within.get(name, {})
    if not isinstance(found, dict):
        raise SettingsError(f"{path}: {name} = {found!r}: it must be a table")
    return dict(found)


def _native(path: Path, table: Mapping[str, Any]) -> dict[str, Any]:
    """Check a table in pytest's native form, where our keys are strings."""
    for name, value in table.items():
        if name.startswith(PREFIX) and not isinstance(value, str):
            raise SettingsError(f'{path}: {name} = {value!r}: write it as a string, {name} = "..."')
    return dict(table)


def _pytest_ini(path: Path) -> Values:
    return _section(path, "pytest") or {}


def _pytest_toml(path: Path) -> Values:
    return _native(path, _table(path, _toml(path), "pytest"))


def _pyproject(path: Path) -> Values | None:
    table = _table(path, _table(path, _toml(path), "tool"), "pytest")
    in_ini_form = _table(path, table, "ini_options") if "ini_options" in table else None
    table.pop("ini_options", None)
    if table and in_ini_form:
        raise SettingsError(f"{path}: use [tool.pytest] or [tool.pytest.ini_options], not both")
    if table:
        return _native(path, table)
    if in_ini_form is None:
        return None
    return {name: value if isinstance(value, list) else str(value) for name, value in in_ini_form.items()}


_READERS: Mapping[str, Callable[[Path], Values | None]] = {
    "pytest.toml": _pytest_toml,
    ".pytest.toml": _pytest_toml,
    "pytest.ini": _pytest_ini,
    ".pytest.ini": _pytest_ini,
    "pyproject.toml": _pyproject,
    "tox.ini": lambda path: _section(path, "pytest"),
    "setup.cfg": lambda path: _section(path, "tool:pytest"),
}
"""In pytest's order of precedence. None: the file has nothing for pytest, the search goes on."""


def _words(value: object, file: Path | None) -> list[str]:
    """Return a text split as a shell would, or a list as it is."""
    if not isinstance(value, str):
        return [str(each) for each in value] if isinstance(value, Sequence) else []
    try:
        return shlex.split(value)
    except ValueError as error:
        raise SettingsError(f"{file or 'PYTEST_ADDOPTS'}: {value!r}: {error}") from None


def _texts(values: Values, file: Path | None) -> dict[str, str]:
    """Return our keys without their prefix."""
    found = {}
    for key, value in values.items():
        if key.startswith(PREFIX):
            text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
            found[_known(key.removeprefix(PREFIX), f"{key} in {file}")] = text
    return found


def _known(name: str, where: str) -> str:
    names = [row.name for row in Settings.rows()]
    if name not in names:
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {PREFIX}{close[0]}?" if close else f"there are: {', '.join(names)}"
        raise SettingsError(f"{where}: no such setting; {hint}")
    return name


def _take_options(tokens: Sequence[str], ini: dict[str, str], options: dict[str, str]) -> None:
    """Take our options, and overrides of our ini keys, from options given to pytest; later ones win."""
    remaining: Iterator[str] = iter(tokens)
    for token in remaining:
        name, equals, value = token.partition("=")
        if name.startswith(_OPTION):
            known = _known(name.removeprefix(_OPTION).replace("-", "_"), f"{name} in addopts")
            options[known] = value if equals else next(remaining, "")
        elif token.startswith(("-o", "--override-ini")):
            rest = token.removeprefix("--override-ini").removeprefix("-o").removeprefix("=") or next(remaining, "")
            key, _, text = rest.partition("=")
            if key.startswith(PREFIX):
                ini[_known(key.removeprefix(PREFIX), f"-o {key} in addopts")] = text
