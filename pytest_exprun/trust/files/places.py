"""Which places on disk a run can depend on: the project, and data that lie elsewhere; not the interpreter, the system, or caches."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from pytest_exprun.settings.settings import Settings
from pytest_exprun.trust.files.run_directory import TOKEN_FILE, is_run_directory

_TOOLS = frozenset(
    {
        ".git",
        ".hg",
        ".svn",
        "__pycache__",
        "site-packages",
        "dist-packages",
        ".pytest_cache",
        ".mypy_cache",
        ".ruff_cache",
    }
    | {".hypothesis", ".ipynb_checkpoints"}
)
"""Folders of tools, whose content no result depends on, and of installed packages, whose versions count."""
_CACHES = frozenset(
    {"matplotlib", "fontconfig", "pip", "uv", "torch_extensions", "kernels", "inductor", "triton", "ComputeCache"}
)
"""What libraries compile or collect for themselves below the home folder; data sets lie there too (`~/.cache/huggingface`)."""
_PERSONAL = frozenset(
    {".aws", ".config", ".docker", ".gitconfig", ".ipython", ".jupyter", ".kaggle", ".netrc", ".nv", ".ssh", ".triton"}
)
"""Entries of the home folder that say who somebody is, or how his tools are set."""
_SYSTEM = (
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/proc",
    "/run",
    "/sbin",
    "/sys",
    "/usr",
    "/var",
    "/nix",
)
_MAC_SYSTEM = ("/System", "/Library", "/private/etc", "/private/var")
_OWN_PACKAGE = str(Path(__file__).parents[2])


def counts(name: str, root: str) -> bool:
    """Whether a run can depend on what lies at an absolute path."""
    if is_below(name, _OWN_PACKAGE):
        return False
    if is_below(name, root):
        return not _is_of_tools(name, root)
    return (
        not any(is_below(name, place) for place in _nobodys())
        and not _is_of_tools(name, os.sep)
        and not _is_personal(name)
    )


def is_below(name: str, folder: str) -> bool:
    """Whether a path is a folder or lies in it, by its text."""
    return name == folder or name.startswith(folder.rstrip(os.sep) + os.sep)


def _is_of_tools(name: str, root: str) -> bool:
    parts = name[len(root.rstrip(os.sep)) :].split(os.sep)  # noqa: PTH206  # texts
    return not _TOOLS.isdisjoint(parts) or _in_virtual_environment(os.path.dirname(name), root)  # noqa: PTH120  # texts


@cache
def _in_virtual_environment(folder: str, root: str) -> bool:
    if len(folder) <= len(root) or folder == os.sep:
        return False
    return os.path.exists(folder + "/pyvenv.cfg") or _in_virtual_environment(os.path.dirname(folder), root)  # noqa: PTH110, PTH120


def _is_personal(name: str) -> bool:
    home = os.path.expanduser("~")  # noqa: PTH111  # texts
    if not is_below(name, home):
        return False
    parts = name[len(home) + 1 :].split(os.sep)  # noqa: PTH206  # texts
    return parts[0] in _PERSONAL or (parts[0].startswith(".") and not _CACHES.isdisjoint(parts)) or parts[-1] == "token"


def _nobodys() -> tuple[str, ...]:
    # Asked each time: a test or a trainer may have moved the folder for temporary files.
    return (sys.prefix, sys.base_prefix, os.path.dirname(os.__file__), tempfile.gettempdir(), *_SYSTEM, *_MAC_SYSTEM)  # noqa: PTH120


def import_path(settings: Settings, entries: Iterable[str]) -> list[str]:
    """Return where modules are looked for: the root, then these entries. On a tree, what lies in the session's root is taken from there.

    A checkout that is installed editable puts its folders on the path; those of `src` may be found by a hook that no path shows.
    """
    root = str(settings.root.resolve())
    if settings.home is None:
        return [root, *(entry for entry in entries if entry != root)]
    return list(dict.fromkeys([root, *(in_tree(each, settings) for each in entries if each), f"{root}{os.sep}src"]))


def in_tree(name: str, settings: Settings) -> str:
    """Return the place in a tree of what lies in the session's root; any other path, as of an installed package, as it is."""
    if settings.home is None or not os.path.isabs(name):  # noqa: PTH117  # a text
        return name
    home, real = str(settings.home), os.path.realpath(name)
    return str(settings.root) + real[len(home) :] if is_at_home(real, settings) else name


def is_at_home(name: str, settings: Settings) -> bool:
    """Whether a path is a part of the session's root of which the runs have another state: no installed package, and not of ours."""
    home, store = str(settings.home), str(settings.path("store"))
    return is_below(name, home) and not is_below(name, store) and not _is_of_tools(f"{name}{os.sep}.", home)


def not_of_the_tree(paths: Sequence[Path], settings: Settings) -> str:
    """Say that code of the session's root would run, or ran, in place of a tree's own."""
    return (
        f"{settings.trained_by} takes {paths[0]}{f' and {len(paths) - 1} more' if paths[1:] else ''} from the working tree and not from "
        "the state that is judged: its numbers would be another code's. Name code by paths from the root, without the root itself, and "
        "in the ini file the folders that it is imported from: pythonpath = src"
    )


class Own:
    """What this plugin writes itself, and runs in the folders that it gives them: no inputs of a run."""

    def __init__(self, settings: Settings) -> None:
        root = settings.root.resolve()
        self._tree = str(root) if settings.home else ""
        self._checkpoints = root / settings.checkpoint_dir
        named = [settings.path(name) for name in ("store", "report_dir")]
        written = [*named, *(Path(in_tree(str(each), settings)) for each in named if settings.home)]
        self._written = tuple(map(str, written))
        self.folders = frozenset({*written, self._checkpoints})
        """Those that a declared folder of inputs leaves out."""
        shared = (path for word in settings.shared if settings.home for path in root.glob(word))
        self.links = frozenset(path for path in shared if path.is_symlink())
        """Links of ours into the session's root, which a declared folder of inputs has as if they were folders."""

    def __contains__(self, path: Path) -> bool:
        """Tell it of one path. What else lies in the checkpoint folder may be an input: a pretrained model."""
        name, checkpoints = str(path), str(self._checkpoints)
        if any(is_below(name, each) and not is_below(self._tree, each) for each in self._written):
            return True
        if not is_below(name, checkpoints):
            return False
        below = path.relative_to(self._checkpoints).parts
        run = self._checkpoints.joinpath(*below[:1])
        return not below or is_run_directory(run) or (run / TOKEN_FILE).exists()
