"""Realistic projects and what becomes of their stored runs when they are edited, told as a truth found by training.

`python -m tests.staleness.realistic` prints the tables of docs/trust.md.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
import types
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_exprun.running.sandbox import escapes  # noqa: F401  # before any fork: to what was imported in one, it would be the session
from pytest_exprun.running.training.trainers import at_root
from pytest_exprun.settings.declaration import declare_baseline
from pytest_exprun.settings.settings import Settings
from pytest_exprun.study.arms.asked import ArmPlan
from pytest_exprun.study.session import Session
from pytest_exprun.terms.errors import ExprunError
from tests.staleness.projects.words import OTHER_FILES, REWRITES, Edit, Project, Site, rewritten

SEEDS = (42, 137, 256)
WAYS = ("inprocess", "processes", "command")
_LAG = 0.03
"""Seconds between an edit and a session: a file that changed within the clock's grain of a run counts as changed by it."""

Truth = tuple[float | str, ...]
"""What each seed gives, or why it gives nothing."""


class Anew(BaseException):  # no `except Exception` may hold it
    """Seeds are about to be trained: that is all that was asked."""

    def __init__(self, seeds: Sequence[int]) -> None:
        self.seeds = tuple(seeds)


@dataclass
class Watched(Session):
    """A session that counts its runs, and may stop where it would train anew."""

    trains: bool = True
    runs: int = 0

    def arm_incomplete(self, plan: ArmPlan) -> None:
        """Stop, or let it train."""
        if not self.trains:
            raise Anew(plan.missing)

    def run_finished(self, *_: object) -> None:
        """Count."""
        self.runs += 1


@dataclass(frozen=True)
class Decision:
    """What a session did.

    Attributes:
        kind: `stood`, `verified` (by one run) or `anew`.
        runs: how many it finished.
        standing: the seeds that it need not train.
        values: what it judged, if it came to that.
    """

    kind: str
    runs: int
    standing: tuple[int, ...]
    said: tuple[str, ...] = ()
    values: Truth = ()


@dataclass(frozen=True)
class Outcome:
    """What became of a project after an edit, in one way."""

    project: Project
    edit: Edit
    way: str
    decision: Decision
    changed: tuple[int, ...]

    @property
    def stale(self) -> tuple[int, ...]:
        """Seeds whose stored value stood though they give another one now."""
        return tuple(seed for seed in self.changed if seed in self.decision.standing)

    def __str__(self) -> str:
        seeds = f"changed {self.changed}, stale {self.stale}" if self.changed else "nothing changed"
        return f"{self.project.name}, {self.edit.what}, {self.way}: {self.decision.kind} ({seeds}) {self.decision.said}"


def apart(function: Callable[[], Any], site: Site, path: Iterable[str], log: Path) -> Any:
    """Return what a function gives in a process of its own, which has loaded nothing of the project before."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        status = 1
        try:
            os.close(reading)
            _settle_in(site, path, log)
            with os.fdopen(writing, "wb") as answer:
                pickle.dump(function(), answer)
            status = 0
        except BaseException:  # noqa: BLE001  # the parent reads it in the log
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        data = answer.read()
    _, status = os.waitpid(process, 0)
    assert status == 0, log.read_text(encoding="utf-8", errors="replace")[-4000:]
    return pickle.loads(data)  # noqa: S301  # of our own child


def _settle_in(site: Site, path: Iterable[str], log: Path) -> None:
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.stdout = sys.__stdout__ = os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.__stderr__ = os.fdopen(2, "w", closefd=False)
    os.environ.clear()
    os.environ.update(site.environ)
    tempfile.tempdir = site.environ["TMPDIR"]
    os.chdir(site.root)
    sys.path[:0] = [str(site.root / each) for each in path]
    # A spawned process would load the main module again, which here is a test session's.
    sys.modules["__main__"] = types.ModuleType("__main__")


class Laboratory:
    """One project, with its runs stored in one way."""

    def __init__(self, project: Project, way: str, folder: Path) -> None:
        self.project, self.way, self._log = project, way, folder / "log"
        self._place, self._kept = folder / "place", folder / "kept"
        for each in ("project", "elsewhere", "home"):
            (self._place / each).mkdir(parents=True)
        (folder / "temporary").mkdir()
        self._environ = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self._place / "home"),
            "TMPDIR": str(folder / "temporary"),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "ELSEWHERE": str(self._place / "elsewhere"),
        }
        project.build(self._site())
        self.before = self.truth(self._site())
        time.sleep(_LAG)
        first = self.decide(self._site(), trains=True)
        assert first.values == self.before, f"{project.name}, {way}: {first}"
        shutil.copytree(self._place, self._kept, symlinks=True)

    def _site(self) -> Site:
        told = {name: value.format(elsewhere=self._place / "elsewhere") for name, value in self.project.environ.items()}
        return Site(self._place / "project", self._environ | told)

    @contextlib.contextmanager
    def edited(self, edit: Edit) -> Iterator[Site]:
        """Apply an edit, and undo it together with all that happened after it."""
        site = self._site()
        try:
            edit.act(site)
            time.sleep(_LAG)
            yield site
        finally:
            shutil.rmtree(self._place)
            shutil.copytree(self._kept, self._place, symlinks=True)

    def judge(self, edit: Edit) -> Outcome:
        """Apply an edit, decide, find out the truth, and undo it."""
        with self.edited(edit) as site:
            decision = self.decide(site)
            if decision.kind == "verified":
                again = self.decide(site)
                assert again.kind == "stood", f"{self.project.name}, {edit.what}, {self.way}: proved runs do not stand"
            now = self.truth(site)
        changed = tuple(seed for seed, old, new in zip(SEEDS, self.before, now, strict=True) if old != new)
        return Outcome(self.project, edit, self.way, decision, changed)

    def again(self) -> Decision:
        """Decide without any edit."""
        time.sleep(_LAG)
        return self.decide(self._site())

    # What the plugin does.

    def decide(self, site: Site, *, trains: bool = False) -> Decision:
        """Ask a session for the arm."""
        decision = apart(lambda: self._session(site, trains=trains), site, self.project.path, self._log)
        assert isinstance(decision, Decision)
        return decision

    def _session(self, site: Site, *, trains: bool) -> Decision:
        said: list[str] = []
        if self.way == "processes":  # a worker runs the code that is tested, which need not be what is installed
            os.environ["PYTHONPATH"] = str(Path(__file__).parents[2])
        with at_root(site.root):
            for name in self.project.imported:
                importlib.import_module(name)
        session = Watched(self.settings(site.root), say=said.append, writes_reports=False, trains=trains)
        control = session.settings.default_control
        try:
            arm = session.study.arm(control, SEEDS, declare_baseline(session.settings, SEEDS, SEEDS))
        except Anew as anew:
            standing = tuple(seed for seed in SEEDS if seed not in anew.seeds)
            return Decision("anew", session.runs, standing, tuple(said))
        except ExprunError as error:
            return Decision("anew", session.runs, (), (*said, str(error)))
        kind = {0: "stood", 1: "verified"}.get(session.runs, "anew")
        return Decision(kind, session.runs, SEEDS, tuple(said), tuple(arm.values("val_loss").values()))

    def settings(self, root: Path) -> Settings:
        """Return the settings of the way."""
        said: dict[str, object] = {"plots": "off", "args": shlex.join(self.project.args)}
        if self.way == "command":
            said["command"] = shlex.join(["python", *self.project.words]) + " --seed {seed} {flags}"
            said["budget"] = "2 steps"
            said.pop("args")
            path = [f"PYTHONPATH={os.pathsep.join(self.project.path)}"] if self.project.path else []
            said["env"] = shlex.join(["OUTPUT_DIR={output_dir}", *path])
        else:
            said |= {"trainer": self.project.trainer, "executor": self.way}
        return Settings.read(said, root)

    # What is true.

    def truth(self, site: Site) -> Truth:
        """Train every seed, without the plugin."""
        train = self._by_command if self.way == "command" else self._by_call
        return tuple(train(site, seed) for seed in SEEDS)

    def _by_call(self, site: Site, seed: int) -> float | str:
        def call() -> float | str:
            sys.path.insert(0, str(site.root))
            sys.dont_write_bytecode, sys.pycache_prefix = True, str(site.root / "nowhere")
            try:
                module = importlib.import_module(self.project.trainer.partition(":")[0])
                found: float = module.main(["--seed", str(seed), *self.project.args])["val_loss"]
            except Exception as error:  # noqa: BLE001  # an edit may break the project
                return f"{type(error).__name__}: {error}"
            return found

        result: float | str = apart(call, site, self.project.path, self._log)
        return result

    def _by_command(self, site: Site, seed: int) -> float | str:
        environ = site.environ | {"PYTHONPYCACHEPREFIX": str(site.root / "nowhere"), "PYTHONDONTWRITEBYTECODE": "1"}
        if self.project.path:
            environ["PYTHONPATH"] = os.pathsep.join(self.project.path)
        ended = subprocess.run(
            [sys.executable, *self.project.words, "--seed", str(seed)],
            cwd=site.root, env=environ, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if ended.returncode:
            return ended.stderr.strip().splitlines()[-1]
        return float(ended.stdout.strip().splitlines()[-1].rpartition(" ")[2])


# All of it.

ROOMS = ("configured", "surrounded", "stored", "composed", "reflected", "working", "overlooked")


def projects() -> list[Project]:
    """All projects."""
    rooms = (importlib.import_module(f"tests.staleness.projects.{name}") for name in ROOMS)
    return [project for room in rooms for project in room.PROJECTS]


def harmless(project: Project, number: int) -> list[Edit]:
    """Return two edits that change nothing: the list goes round the projects."""
    rewrites, others = list(REWRITES), list(OTHER_FILES)
    first = rewrites[number % len(rewrites)]
    second = (
        rewrites[(number + len(rewrites) // 2) % len(rewrites)] if number % 3 else others[number // 3 % len(others)]
    )
    return [Edit(name, OTHER_FILES.get(name) or rewritten(project.entry, REWRITES[name])) for name in (first, second)]


def examine(chosen: Iterable[tuple[Project, Sequence[Edit]]], way: str) -> list[Outcome]:
    """Judge edits in one way. Without any edit all runs stand, before the first one and after the last."""
    outcomes = []
    for project, edits in chosen:
        with tempfile.TemporaryDirectory(prefix="laboratory-") as folder:
            laboratory = Laboratory(project, way, Path(folder))
            assert laboratory.again().kind == "stood", f"{project.name}, {way}: {laboratory.again()}"
            outcomes += [laboratory.judge(edit) for edit in edits]
            assert laboratory.again().kind == "stood", f"{project.name}, {way}: {laboratory.again()}"
    return outcomes


def every_change(*, by_nature: bool = False) -> list[tuple[Project, list[Edit]]]:
    """Return all projects with their changes: those that are heard, or those that by nature are not."""
    chosen = [(project, [edit for edit in project.changes if edit.by_nature == by_nature]) for project in projects()]
    return [(project, edits) for project, edits in chosen if edits]


def every_harmless_edit() -> list[tuple[Project, list[Edit]]]:
    """Return all projects with harmless edits."""
    return [(project, harmless(project, number)) for number, project in enumerate(projects())]


def table(outcomes: Sequence[Outcome], of: Callable[[Outcome], str], title: str) -> str:
    """Count outcomes, one row for each name that `of` gives: stood / verified / trained anew / stale in each way."""
    heads = {"inprocess": "in process", "processes": "in processes", "command": "as a command"}
    names = list(dict.fromkeys(map(of, outcomes)))
    lines = [f"| {title} | edits | {' | '.join(heads.values())} |", "|---|---|---|---|---|"]
    for name, rows in [*((name, [each for each in outcomes if of(each) == name]) for name in names), ("all", outcomes)]:
        edits = len({(each.project.name, each.edit.what) for each in rows})
        cells = [_counted([each for each in rows if each.way == way]) for way in heads]
        lines.append(f"| {name} | {edits} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _counted(outcomes: Sequence[Outcome]) -> str:
    counts = Counter(outcome.decision.kind for outcome in outcomes)
    numbers = [counts[kind] for kind in ("stood", "verified", "anew")]
    return " / ".join(map(str, numbers)) + f" / **{sum(bool(each.stale) for each in outcomes)}**"


def main(ways: Sequence[str]) -> None:
    """Print the tables, and what is stale or changed nothing by name."""
    for title, chosen, of in (
        ("project", every_change(), lambda each: each.project.name),
        ("not heard by nature", every_change(by_nature=True), lambda each: each.edit.what),
        ("harmless edit", every_harmless_edit(), lambda each: each.edit.what),
    ):
        outcomes = [outcome for way in ways for outcome in examine(chosen, way)]
        print(f"\n{table(outcomes, of, title)}\n", flush=True)
        for outcome in outcomes:
            if outcome.stale or bool(outcome.changed) == (title == "harmless edit"):
                print(f"see: {outcome}", flush=True)


if __name__ == "__main__":
    # What processes hand over is named by the module, and each of them has another main module.
    importlib.import_module("tests.staleness.realistic").main(sys.argv[1:] or WAYS)
