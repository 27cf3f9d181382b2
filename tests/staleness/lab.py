"""Applies edits to a copy of the project and finds out both what they change and what becomes of the stored runs.

`python -m tests.staleness.lab` prints the table of docs/trust.md.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from pytest_exprun.running.sandbox.fresh_process import preserved_process_state
from pytest_exprun.running.training.trainers import CallableTrainer
from pytest_exprun.settings.settings import Settings
from pytest_exprun.study.arms.stale import Differs, Verification
from pytest_exprun.terms.errors import TrainerError
from pytest_exprun.terms.model import Budget, RunSpec, Variant
from pytest_exprun.terms.outcome import RunResult
from pytest_exprun.terms.sameness import difference
from pytest_exprun.trust.identity.fingerprint import Fingerprinter
from pytest_exprun.trust.identity.key import Key
from pytest_exprun.trust.store.store import Store
from tests.staleness import edits
from tests.staleness.edits import PROJECT, Edit

SEEDS = (42, 137, 256, 512, 1024)
ARMS = (Variant(), Variant(("--rope",)))
BUDGET = Budget(1000)


@dataclass(frozen=True)
class Outcome:
    """What became of one arm after an edit.

    Attributes:
        decision: `stands` (the key is the same), `verified` (one seed trained again, equal) or `retrained`.
        changed: seeds whose result really is another one now, found out by training them.
        seed: the seed that was trained again, if one was.
    """

    edit: Edit
    arm: Variant
    decision: str
    changed: tuple[int, ...]
    seed: int | None = None

    @property
    def stale(self) -> bool:
        """Whether runs were accepted of which at least one is not what the code now gives."""
        return self.decision != "retrained" and bool(self.changed)


class Lab:
    """A copy of the project with both arms stored."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "project"
        shutil.copytree(PROJECT, self.root, ignore=shutil.ignore_patterns("__pycache__"))
        self.settings = Settings(trainer="train:main", root=self.root)
        self.store_folder = folder / "store"
        with self._session():
            self.keys = {arm: self._key(arm) for arm in ARMS}
            self.runs = {(arm, seed): self._run(arm, seed) for arm in ARMS for seed in SEEDS}
        store = Store(self.store_folder)
        for (arm, _), result in self.runs.items():
            assert isinstance(result, RunResult)
            store.save(result, arm.slug, self.keys[arm])

    def judge(self, edit: Edit) -> list[Outcome]:
        """Apply an edit, decide on each arm, find out the truth, and undo it."""
        before = {name: (self.root / name).read_bytes() if (self.root / name).exists() else None for name in edit.files}
        try:
            for name, text in edit.files.items():
                (self.root / name).parent.mkdir(exist_ok=True)
                (self.root / name).write_text(text, encoding="utf-8")
            with self._session():
                return [self._judge(edit, arm) for arm in ARMS]
        finally:
            for name, data in before.items():
                if data is None:
                    (self.root / name).unlink()
                else:
                    (self.root / name).write_bytes(data)

    def _judge(self, edit: Edit, arm: Variant) -> Outcome:
        now = {seed: self._run(arm, seed) for seed in SEEDS}
        changed = tuple(seed for seed in SEEDS if not _same(self.runs[arm, seed], now[seed]))
        key = self._key(arm)
        if key is not None and key == self.keys[arm]:
            return Outcome(edit, arm, "stands", changed)
        store = Store(self.store_folder, read_only=True)
        stale = next((old for old in store.neighbours(arm.slug, key) if old.may_equal(key)), None) if key else None
        stored = store.to_verify(arm.slug, stale) if stale else None
        if stored is None:
            return Outcome(edit, arm, "retrained", changed)
        verification, seed = Verification(stored, "val_loss"), stored.spec.seed
        try:
            result = self._run(arm, seed, verification)
            equal = isinstance(result, RunResult) and verification.outcome(result) is None
        except Differs:
            equal = False
        return Outcome(edit, arm, "verified" if equal else "retrained", changed, seed)

    def _key(self, arm: Variant) -> Key | None:
        try:
            return Fingerprinter(self.settings).key(arm, BUDGET)
        except TrainerError:
            return None

    def _run(self, arm: Variant, seed: int, verification: Verification | None = None) -> RunResult | str:
        """Train one seed; the error's text if it fails."""
        trainer = CallableTrainer("train:main", self.root)
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                return trainer.run(
                    RunSpec(arm, seed, BUDGET), self.root / "out", verification.hear if verification else _ignore
                )
        except TrainerError as error:
            return str(error)

    @contextlib.contextmanager
    def _session(self) -> Iterator[None]:
        """Import the project's modules anew, from source."""
        with preserved_process_state():
            os.chdir(self.root)
            sys.path.insert(1, str(self.root / "vendor" / "site-packages"))
            # A compiled file is told from a new one by its time in seconds and its size: edits here come faster than that.
            sys.dont_write_bytecode = True
            _forget_modules()
            try:
                yield
            finally:
                _forget_modules()


def _ignore(_point: object) -> None:
    pass


def _forget_modules() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] in {"train", "helpers", "gainlib"}]:
        del sys.modules[name]


def _same(one: RunResult | str, two: RunResult | str) -> bool:
    if isinstance(one, str) or isinstance(two, str):
        return False
    return difference(one, two, "val_loss") is None


def judge_all(lab: Lab, corpus: Iterable[Edit]) -> list[Outcome]:
    """Judge many edits."""
    return [outcome for edit in corpus for outcome in lab.judge(edit)]


def table(outcomes: list[Outcome]) -> str:
    """Count outcomes by kind of edit, one row a kind, arms counted apart."""
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    for outcome in outcomes:
        row = kinds[outcome.edit.kind]
        row["edits"] += outcome.arm == ARMS[0]
        row["changed"] += bool(outcome.changed)
        row[outcome.decision] += 1
        row["stale"] += outcome.stale
    lines = [
        "| kind of edit | edits | arms changed | stand | verified by one run | retrained | stale accepted |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind, row in kinds.items():
        cells = (row[name] for name in ("edits", "changed", "stands", "verified", "retrained", "stale"))
        lines.append(f"| {kind} | " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def main() -> None:
    """Print the table over the whole corpus, and every stale acceptance by name."""
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(Path(folder))
        for title, corpus in (
            ("changes", chain(edits.generated(), edits.written())),
            ("one seed only", edits.seed_specific()),
            ("harmless", edits.harmless()),
        ):
            outcomes = judge_all(lab, corpus)
            print(f"\n{title}\n\n{table(outcomes)}")
            for outcome in outcomes:
                if outcome.stale:
                    print(
                        f"stale: {outcome.edit} ({outcome.arm}), {outcome.decision} by {outcome.seed}, changed {outcome.changed}"
                    )


if __name__ == "__main__":
    main()
