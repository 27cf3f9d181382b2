"""Whether what a trainer imports is this project's code and no other copy of it, as an editable install of another checkout would give.

Numbers of code that is not here must never be judged as those of the code that is. Git is not started: which repository a folder belongs
to stands in its files.
"""

from __future__ import annotations

import configparser
import os
import re
import shlex
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pytest_exprun.settings.settings import Settings

_SCRIPT = "__main__"
_REMOTE = re.compile(r"(?:\w+://)?(?:[^@/]+@)?([^:/]+)(?::\d+(?=/))?[:/]+(.+?)(?:\.git)?/*")
"""`git@host:me/lab.git`, `https://host/me/lab`: the host and the path are the same."""
Copy = tuple[Path | None, Path | None]
"""The file of a module, and the folder on the import path that it is found through."""


@dataclass(frozen=True)
class Checkout:
    """A folder that git works in: its top, and the git directory that belongs to it alone."""

    top: Path
    git: Path

    @classmethod
    def around(cls, folder: Path) -> Checkout | None:
        """Return the innermost checkout that holds a folder."""
        for top in (folder, *folder.parents):
            git = top / ".git"
            if os.path.isdir(git):  # noqa: PTH112  # False, no error, for a folder that may not be looked into
                return cls(top, git.resolve())
            if os.path.isfile(git):  # noqa: PTH113  # same
                return cls(top, (top / _read(git).removeprefix("gitdir:").strip()).resolve())
        return None

    @property
    def repository(self) -> Path:
        """The git directory that all worktrees of a repository share."""
        return (self.git / (_read(self.git / "commondir").strip() or ".")).resolve()

    @property
    def whole(self) -> list[Checkout]:
        """Itself, and after a submodule the checkouts that it is a part of."""
        is_part = not (self.top / ".git").is_dir() and self.repository == self.git
        around = Checkout.around(self.top.parent) if is_part else None
        return [self, *(around.whole if around else [])]

    def is_same_repository(self, other: Checkout) -> bool:
        """Whether both are worktrees of one repository, or one was cloned from the other or both from a third."""
        return bool(_origins(self.repository) & _origins(other.repository))


def _read(path: Path) -> str:
    """Return the text of one of git's files; one that is not there or cannot be read says nothing."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _origins(repository: Path) -> set[str]:
    """Return the repository, what it was cloned from, what that was cloned from, and so on."""
    found: set[str] = set()
    place = str(repository)
    while place and place not in found:
        found.add(place)
        config = configparser.ConfigParser(strict=False, allow_no_value=True, interpolation=None)
        try:
            config.read_string(_read(Path(place, "config")))
        except configparser.Error:
            break
        place = _normal(config.get('remote "origin"', "url", fallback="") or "")
    return found


def _normal(url: str) -> str:
    """Return one spelling of an address; of a folder its git directory."""
    path = Path(url.removeprefix("file://"))
    if path.is_absolute():
        checkout = Checkout.around(path) if (path / ".git").exists() else None
        return str(checkout.repository if checkout else path.resolve())
    parts = _REMOTE.fullmatch(url)
    return f"{parts[1].lower()}/{parts[2]}" if parts else url


@dataclass(frozen=True)
class Foreign:
    """Code that would run in place of this project's own.

    Attributes:
        name: the module or package, `__main__` for a script.
        there: its file.
        here: this project's own file, None if it has none.
        folder: what must come first on the import path for that to be found, None if no folder does it.
        chosen: the command itself leads there, by its script or its working directory.
    """

    name: str
    there: Path
    here: Path | None
    folder: Path | None
    chosen: bool = False


def foreign_code(names: Mapping[Path, str], root: Path, chosen: Collection[Path]) -> Iterator[Foreign]:
    """Find what lies in another checkout of the root's repository, or outside the root although the root has its own.

    Args:
        names: files of an import closure and their names as modules.
        root: the root directory, links resolved.
        chosen: folders that come first on the import path because the program that is run lies there.
    """
    own = _import_folders(root, names.values())
    first = {os.path.normpath(folder) for folder in chosen}
    home = Checkout.around(root)
    place_of = cache(lambda folder: _place(folder, root))
    other_than_home = cache(lambda there: _other_checkout(there, home) if there and home else None)
    for path, name in names.items():
        place, checkout = place_of(path.parent)
        other = other_than_home(checkout)
        if place.is_relative_to(root) and (other is None or _is_spelled_out(name, place / path.name, other[0])):
            continue
        there = place / path.name
        is_chosen = name == _SCRIPT or str(_import_folder(name, there)) in first
        if other is not None:
            yield Foreign(name, there, *_counterpart(name, there, *other, own), chosen=is_chosen)
        elif not is_chosen:
            here, folder = _own_copy(name, own)
            if here is not None:
                yield Foreign(name, there, here, folder)


def _place(folder: Path, root: Path) -> tuple[Path, Checkout | None]:
    """Return where a folder is and its checkout. A link below the root is where it stands: whoever made it knows where it leads."""
    place = Path(os.path.normpath(folder))
    place = place if place.is_relative_to(root) else place.resolve()
    return place, Checkout.around(place)


def _other_checkout(checkout: Checkout, home: Checkout) -> tuple[Checkout, Checkout] | None:
    """Return which of one's checkouts is another one of a repository that home is of, with the one of home."""
    pairs = [(there, here) for there in checkout.whole for here in home.whole]
    if any(there.top == here.top for there, here in pairs):
        return None
    return next(((there, here) for there, here in pairs if there.is_same_repository(here)), None)


def _is_spelled_out(name: str, path: Path, checkout: Checkout) -> bool:
    """Whether a module's name leads into a checkout, as `reference.model` does into a clone `reference` below the root."""
    folder = _import_folder(name, path)
    return folder is not None and folder in checkout.top.parents


def _counterpart(name: str, place: Path, there: Checkout, here: Checkout, own: list[Path]) -> Copy:
    """Return this checkout's own copy of a file of another checkout."""
    folder = _import_folder(name, place)
    if folder is not None and folder.is_relative_to(there.top):
        own = [*own, here.top / folder.relative_to(there.top)]
    twin = here.top / place.relative_to(there.top)
    copy = _own_copy(name, own)
    return copy if copy[0] is not None else (twin if twin.is_file() else None, None)


def _import_folder(name: str, path: Path) -> Path | None:
    """Return the folder on the import path through which a module is found, None where its file has another name."""
    parts = tuple(name.split("."))
    bare = path.parent if path.stem == "__init__" else path.parent / path.name.partition(".")[0]
    return bare.parents[len(parts) - 1] if bare.parts[-len(parts) :] == parts else None


def _import_folders(root: Path, names: Iterable[str]) -> list[Path]:
    """Return the folders below the root that modules may be meant to be imported from; one that is imported as a package is none."""
    listed = (Path(entry).resolve() for entry in sys.path if entry)
    folders = dict.fromkeys([root, root / "src", *(entry for entry in listed if entry.is_relative_to(root))])
    packages = {root / name.partition(".")[0] for name in names}
    return [folder for folder in folders if folder not in packages]


def _own_copy(name: str, folders: Iterable[Path]) -> Copy:
    """Return the file of a module and the folder that it is imported from: the first of these that has it."""
    for folder in folders:
        bare = folder.joinpath(*name.split("."))
        for path in (bare / "__init__.py", bare.with_suffix(".py")):
            if path.is_file():
                return path, folder
    return None, None


def refusal(found: Sequence[Foreign], settings: Settings) -> str:
    """Say what would run instead of what, and the line that changes it."""
    first = found[0]
    what = f"runs {first.there}" if first.name == _SCRIPT else f"imports {first.name} from {_shown(first.there)}"
    instead = f"not {_shown(first.here)}" if first.here else f"in another checkout of the repository of {settings.root}"
    return f"{settings.trained_by} {what}, {instead}: the code judged would not be the code here. {_remedy(found, settings)}"


def _shown(path: Path) -> Path:
    return path.parent if path.stem == "__init__" else path


def _remedy(found: Sequence[Foreign], settings: Settings) -> str:
    if found[0].chosen:
        return "Correct exprun_command or exprun_cwd"
    if found[0].folder is None:
        return "Install this checkout (pip install -e), or take the import out"
    folders = list(dict.fromkeys(each.folder for each in found if each.folder and not each.chosen))
    if settings.command:
        return f"Add to the ini file: {_variable(folders, settings)}"
    return (
        f"Add to the ini file: pythonpath = {shlex.join(os.path.relpath(folder, settings.root) for folder in folders)}"
    )


def _variable(folders: Iterable[Path], settings: Settings) -> str:
    """Return the line of the ini file that has a command's Pythons look into these folders first."""
    before = dict(word.split("=", 1) for word in settings.env)
    entries = [os.path.relpath(folder, settings.path("cwd").resolve()) for folder in folders]
    value = os.pathsep.join([*entries, *filter(None, [before.pop("PYTHONPATH", None)])])
    line = f"exprun_env = {shlex.quote(f'PYTHONPATH={value}')}"
    return f"{line}, beside {' and '.join(before)} there" if before else line
