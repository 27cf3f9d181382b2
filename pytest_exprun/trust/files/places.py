"""Which places on disk a run can depend on: the project, and data that lie elsewhere; not the interpreter, the system, or caches."""

from __future__ import annotations

import os
import sys
import tempfile
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


class Own:
    """What this plugin writes itself, and runs in the folders that it gives them: no inputs of a run."""

    def __init__(self, settings: Settings) -> None:
        root = settings.root.resolve()
        self._checkpoints = root / settings.checkpoint_dir
        self._written = tuple(str(root / each) for each in (settings.store, settings.report_dir))
        self.folders = frozenset({*map(Path, self._written), self._checkpoints})
        """Those that a declared folder of inputs leaves out."""

    def __contains__(self, path: Path) -> bool:
        """Tell it of one path. What else lies in the checkpoint folder may be an input: a pretrained model."""
        name, checkpoints = str(path), str(self._checkpoints)
        if any(is_below(name, each) for each in self._written):
            return True
        if not is_below(name, checkpoints):
            return False
        below = path.relative_to(self._checkpoints).parts
        run = self._checkpoints.joinpath(*below[:1])
        return not below or is_run_directory(run) or (run / TOKEN_FILE).exists()
