"""Files that runs leave outside their own folders, and those through which one run may reach the next.

What is written is heard from audit events (`accesses`). C++ and Rust make none (`torch.save` by name, safetensors), so new
weights are looked for where runs save them: the root, the checkpoint folder, and every folder that the run made or wrote in.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.errors import TrainerError
from pytest_exprun.terms.outcome import RunResult
from pytest_exprun.trust.files.accesses import OPENED, Heard, OpenedFiles, changed_at, changed_since, source_of
from pytest_exprun.trust.files.places import counts, is_below
from pytest_exprun.trust.files.unheard import listed, unheard

WROTE, REWROTE, OUTPUTS = "wrote_outside", "rewrote_outside", "only_wrote_outside"
"""Names in a run's provenance: files that it wrote outside its folder, those of them that it had read before, those that it never read."""
CHANGED = "changed_after_read"
"""In a run's provenance: files below the root that changed after it had read them, and that nobody heard it write."""
LEFT = "processes_left_behind"
"""In a run's provenance: how many processes of its were ended after it."""
MOST_NAMED = 50
WEIGHTS = frozenset({".bin", ".ckpt", ".h5", ".keras", ".npz", ".onnx", ".pt", ".pth", ".safetensors"})
READ_UNHEARD = (".bin", ".h5", ".keras", ".onnx", ".safetensors")
"""What is read by C++ or Rust too: nobody can say that a run never read them. `torch.load` opens its file in Python."""
_CACHE_VARIABLE = re.compile(r"CACHE|_HOME$|CONFIGDIR$|^TMPDIR$|^TEMP$|^TMP$")
_CACHES = frozenset({"__pycache__", "site-packages"})


def with_writes(result: RunResult, heard: Heard, settings: Settings, output_dir: Path) -> RunResult:
    """Return a run's result with what there is to say of it in its provenance.

    That is files that it wrote outside its folder or that changed under it, and what it asked that nobody hears.

    Raises:
        TrainerError: a process of its could not tell what it read.
    """
    if heard.lost:
        raise TrainerError(
            f"seed {result.spec.seed} of {result.spec.variant}: a process that it started could not note what it read in {heard.lost}. The "
            "run is not stored, because nobody can say what it depends on: notes need some space there (TMPDIR sets another place), "
            "a free descriptor, files that may grow, and a Python from 3.8 on; put that right and start the session again"
        )
    found = wrote_outside(heard, settings, output_dir)
    before = {os.path.relpath(os.path.realpath(name), os.path.realpath(settings.root)) for name in heard.read}
    after = {os.path.relpath(os.path.realpath(name), os.path.realpath(settings.root)) for name in heard.reread}
    again = [name for name in found if name in before]
    never = [name for name in found if name not in before | after and not name.endswith(READ_UNHEARD)]
    changed = _changed_after_read(heard, settings)
    beyond = unheard(heard, os.path.realpath(settings.root))
    told = {WROTE: found, REWROTE: again, OUTPUTS: never, CHANGED: changed, **beyond}
    named = {key: names[:MOST_NAMED] for key, names in told.items() if names}
    return replace(result, provenance={**result.provenance, **named})


def changed_while_read(result: RunResult, root: Path, heard: OpenedFiles = OPENED) -> list[str]:
    """Name the files that changed after a run had read them, from the root, but for those that runs are known to write."""
    names: list[str] = result.provenance.get(CHANGED, [])
    return [name for name in names if not heard.is_written(root.resolve() / name)]


def _changed_after_read(heard: Heard, settings: Settings) -> list[str]:
    root = settings.root.resolve()
    own = [settings.path(name).resolve() for name in ("store", "checkpoint_dir", "report_dir")]
    found = []
    for name, read_at in heard.read.items():
        path = source_of(Path(name))
        changed = changed_at(str(path)) if name not in heard.written and _is_of_project(str(path), str(root)) else None
        if changed is not None and changed > read_at and not any(path.is_relative_to(each) for each in own):
            found.append(path.relative_to(root).as_posix())
    return sorted(found)


def wrote_outside(heard: Heard, settings: Settings, output_dir: Path) -> list[str]:
    """Name, from the root, existing files that a run wrote elsewhere than in its folder and where everybody may write.

    Everybody may write in temporary folders, hidden ones, those of devices, and caches that an environment variable names.
    """
    root = os.path.realpath(settings.root)
    free = [os.path.realpath(output_dir), os.path.realpath(settings.path("store"))]
    named = {os.path.realpath(name) for name in (*heard.written, *_saved(heard, settings))}
    return sorted(
        os.path.relpath(name, root) if is_below(name, root) else name
        for name in named
        if changed_since(name, heard.began)
        and not any(is_below(name, folder) for folder in free)
        and not _is_everybodys(name, root)
    )


def _saved(heard: Heard, settings: Settings) -> Iterator[str]:
    """New weights that made no event. What was there before the run read it first, or changed only later, may be anybody's."""
    read = {os.path.realpath(name): moment for name, moment in heard.read.items()}
    folders = {str(settings.root.resolve()), str(settings.path("checkpoint_dir").resolve())}
    folders |= {os.path.dirname(name) for name in heard.written} | set(heard.written)  # noqa: PTH120  # texts
    for folder in folders:
        try:
            names = os.listdir(folder)  # noqa: PTH208  # texts
        except OSError:
            continue  # a file, or gone
        for path in (os.path.join(folder, name) for name in names if os.path.splitext(name)[1] in WEIGHTS):  # noqa: PTH118, PTH122
            read_at = read.get(os.path.realpath(path))
            if read_at is None or heard.began < (changed_at(path) or 0.0) <= read_at:
                yield path


def _is_of_project(name: str, root: str) -> bool:
    return is_below(name, root) and counts(name, root)


def _is_everybodys(name: str, root: str) -> bool:
    for place in _everybodys_places():
        if is_below(name, place) and not (is_below(root, place) and is_below(name, root)):
            return True
    folders = Path(os.path.relpath(name, root) if is_below(name, root) else name).parts[:-1]
    return any(part in _CACHES or part.startswith(".") for part in folders)


def _everybodys_places() -> list[str]:
    told = [value for name, value in os.environ.items() if _CACHE_VARIABLE.search(name) and os.path.isabs(value)]  # noqa: PTH117
    known = [tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev", "/proc", "/sys", sys.prefix, *told]  # noqa: S108  # not used, only named
    return [place for place in map(os.path.realpath, known) if place != os.sep]


@dataclass
class Outside:
    """What the runs of one session left behind outside their folders, told once for each place.

    Attributes:
        settings: of the session; on a tree with its root.
        heard: what its runs there asked for.
        since: when it began.
    """

    settings: Settings
    heard: OpenedFiles = OPENED
    since: float = field(default_factory=time.time)
    _told: set[tuple[str, str]] = field(default_factory=set)

    def notices(self, result: RunResult) -> Iterator[str]:
        """Take in a finished run, wherever it was performed, and say what the user must know of its files and was not told before."""
        root = self.settings.root.resolve()
        wrote = result.provenance.get(WROTE, [])
        self.heard.add(root, {"w": dict.fromkeys(wrote, 0.0)})
        run = f"seed {result.spec.seed} of {result.spec.variant}"
        if new := self._new(WROTE, wrote):
            yield (
                f"{run} wrote outside its own folder: {listed(new)}. Other runs can read that, and nobody removes it: write below the "
                "output_dir that each run is given (temporary folders, hidden folders and caches are free)"
            )
        if (left := result.provenance.get(LEFT, 0)) and self._new(LEFT, [LEFT]):
            yield (
                f"{run} left {left} process{'es' if left > 1 else ''} running, now ended: "
                "let the trainer wait for what it starts, or end it"
            )
        inherited = [path.relative_to(root).as_posix() for path in self.heard.inherited(root) if self._is_of_runs(path)]
        if new := self._new(REWROTE, [*result.provenance.get(REWROTE, []), *inherited]):
            yield (
                f"{run} or a run before it read {listed(new)}, written since this session began: a result may depend on the runs "
                "before it. Save and load below output_dir; make data before the session, and name them in exprun_inputs"
            )

    def _is_of_runs(self, path: Path) -> bool:
        own = (self.settings.path("store"), self.settings.path("report_dir"))
        return changed_since(str(path), self.since) and not any(path.is_relative_to(each.resolve()) for each in own)

    def _new(self, kind: str, names: Sequence[str]) -> Sequence[str]:
        """Return the names whose place has not been told yet, and remember it. Each run may make a new folder in the same place."""
        new = [name for name in dict.fromkeys(names) if (kind, _place(name)) not in self._told]
        self._told |= {(kind, _place(name)) for name in names}
        return new


def _place(name: str) -> str:
    """The first folder or file below the root; of other files their folder."""
    path = Path(name)
    return str(path.parent) if path.is_absolute() else path.parts[0]
