"""What git ignores and a tree needs all the same (data, tokenizers): links to what lies in the session's root.

A run on a tree is told of as if it had read them there: the same data by another way are no other data.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.errors import SettingsError, TrainerError
from pytest_exprun.trust.files.accesses import Heard, OpenedFiles, changed_since
from pytest_exprun.trust.files.places import in_tree, is_at_home, is_below
from pytest_exprun.trust.trees.git import is_ignored

Told = Mapping[str, Mapping[str, float]]
"""What a run asked for (`OpenedFiles.told`): kind -> name, from the root where it lies below -> moment."""
_LOOKED_FOR = "arl"
_MOST_SHOWN = 3


def shared(settings: Settings) -> Iterator[Path]:
    """Yield what `exprun_shared` names, from the session's root.

    Raises:
        SettingsError: nothing is there, or it is outside the root directory.
    """
    for word in settings.shared:
        found = [] if Path(word).is_absolute() else sorted(settings.root.glob(word))
        if not found or not all(path.is_relative_to(settings.root) for path in found):
            raise SettingsError(
                f"exprun_shared = {word!r}: nothing of that name in {settings.root}; allowed are existing files, folders and globs below it"
            )
        yield from (path.relative_to(settings.root) for path in found)


def link(settings: Settings, root: Path) -> None:
    """Link what is shared into a tree, but for what it has itself; through a link of its own we go nowhere."""
    for name in shared(settings):
        path = root / name
        if not os.path.lexists(path) and path.parent.resolve().is_relative_to(root.resolve()):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(settings.root / name)


def links(settings: Settings, root: Path) -> set[Path]:
    """Return those in a tree that are ours."""
    return {root / name for name in shared(settings) if _is_ours(root / name, settings.root / name)}


def told_by(heard: OpenedFiles, settings: Settings) -> Told:
    """Return what a run asked for; of one on a tree as it would have been in the session's root, without our links."""
    if settings.home is None:
        return heard.told(settings.root)
    told = heard.told(settings.root, partial(_by_our_links, settings=settings))
    root, home = settings.root, settings.home
    links = {name: moment for name, moment in told["k"].items() if not _is_ours(root / name, home / name)}
    return {**told, "k": links}


def _by_our_links(name: str, settings: Settings) -> str:
    """Name what lies in the session's root as the tree's own where a link of ours leads to it."""
    if is_at_home(name, settings):
        there = in_tree(name, settings)
        if os.path.exists(there) and os.path.samefile(there, name):  # noqa: PTH110, PTH121  # texts
            return there
    return name


def _is_ours(path: Path, target: Path) -> bool:
    return path.is_symlink() and path.readlink() == target


def refuse_trespass(heard: Heard, settings: Settings, output_dir: Path) -> None:
    """Refuse a run on a tree that took a file of the session's root for its own, or wrote what is not its own.

    Raises:
        TrainerError: it did. Nobody can say then what this run, or any later one, depends on.
    """
    if taken := [name for name in heard.read if _is_another_states(name, settings)]:
        raise TrainerError(
            f"the run read {taken[0]}{_more(taken)} in the working tree, where the state that is judged has a file of its own: name data "
            "by paths from the root, without the root itself; what git ignores goes into exprun_shared"
        )
    written = [name for name in map(os.path.realpath, heard.written) if _is_trespass(name, settings, output_dir)]
    # `numpy.memmap` opens for writing what it only reads.
    if touched := [name for name in written if not os.path.exists(name) or changed_since(name, heard.began)]:  # noqa: PTH110  # texts
        raise TrainerError(
            f"the run wrote {touched[0]}{_more(touched)}, which belongs to the session and not to the state that is judged: it may write "
            "below the output_dir that it is given, and in its own folder; data are prepared before"
        )


def _more(names: Sequence[str]) -> str:
    return f" and {len(names) - 1} more" if names[1:] else ""


def _is_another_states(name: str, settings: Settings) -> bool:
    there = in_tree(name, settings)
    # Through one of our links it is the same file.
    return there != name and is_at_home(name, settings) and os.path.isfile(there) and not os.path.samefile(there, name)  # noqa: PTH113, PTH121  # texts


def _is_trespass(name: str, settings: Settings, output_dir: Path) -> bool:
    """Whether a file that was written belongs to the session's root, its shared data too, the store, the reports or another tree."""
    assert settings.home is not None
    store, home = settings.path("store").resolve(), settings.home
    own = store / "trees" / settings.root.relative_to(store / "trees").parts[0]
    places = (
        own,
        store / "logs",
        output_dir.resolve(),
        settings.path("checkpoint_dir").resolve(),
        Path(tempfile.gettempdir()).resolve(),
    )
    free = [str(place) for place in places if place not in home.parents]
    kept = map(str, (home, store, settings.path("report_dir").resolve()))
    return any(is_below(name, place) for place in kept) and not any(is_below(name, place) for place in free)


def missing(told: Told, settings: Settings) -> str:
    """Say what a run on a tree looked for in vain that is there in the session's root, and what puts it there; nothing if nothing."""
    home, root = settings.home, settings.root
    assert home is not None
    asked = sorted({name for kind in _LOOKED_FOR for name in told.get(kind, ()) if not os.path.isabs(name)})  # noqa: PTH117  # texts
    gone = [
        name
        for name in asked
        if not os.path.lexists(root / name) and (home / name).exists() and _is_data(home / name, settings)
    ]
    if not gone:
        return ""
    ignored = [name for name in gone if is_ignored(home / name)]
    uncommitted = [name for name in gone if name not in ignored]
    said = []
    if uncommitted:
        said.append(
            f"it looked for {_names(uncommitted)}, which is in {home} but not in this state of the code: commit what both sides need, and "
            "compare with a commit that has it (--against HEAD)"
        )
    if ignored:
        lines = " ".join(dict.fromkeys(_line(Path(name), root) for name in ignored))
        said.append(
            f"it looked for {_names(ignored)}, which is in {home} but in no state of the code, as git ignores it: share it, "
            f"exprun_shared = {lines}"
        )
    return "\n".join(said)


def _names(names: Sequence[str]) -> str:
    return f"{', '.join(names[:_MOST_SHOWN])}{', ...' if names[_MOST_SHOWN:] else ''}"


def _is_data(path: Path, settings: Settings) -> bool:
    own: Iterable[Path] = map(settings.path, ("store", "report_dir", "checkpoint_dir"))
    return is_at_home(str(path), settings) and not any(path.is_relative_to(each) for each in own)


def _line(name: Path, root: Path) -> str:
    """Name the topmost folder that the tree lacks; of a folder that it has, all that is in it: what the tree has itself stays."""
    while not (root / name.parent).exists():
        name = name.parent
    return name.as_posix() if name.parent == Path() else f"{name.parent.as_posix()}/*"
