"""Where a session of ideas takes place: a project with a branch for each edit, answers of `exprun`, and runs that it does not know of."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pytest_exprun.terms.whole_file import replace_file
from tests.field.ideas import IDEAS, Edit, Idea, sources
from tests.states import Checkout

CONTROL = ("--recipe=modern",)
ARGUMENTS = ("--size=nano", "--layers=1", "--ngram_embed=0", "--device=cpu")
TOKENS = 100_000
FIRST_SEED = 42
TRUTH_SEEDS = tuple(range(100_001, 100_021))
INI = f"""[pytest]
addopts = --import-mode=importlib
pythonpath = .
exprun_trainer = train_llm:main
exprun_tokens = {TOKENS}
exprun_args = {" ".join(ARGUMENTS)}
exprun_baseline = {" ".join(CONTROL)}
exprun_plots = off
"""
EXPRUN = "import sys; from pytest_exprun.cli import main; sys.exit(main())"
Answer = dict[str, Any]


def kept(path: Path, make: Callable[[], Any]) -> Any:
    """Return what a JSON file has; make it first where it is not there."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, json.dumps(make(), indent=1).encode())
    return json.loads(path.read_text(encoding="utf-8"))


def verdict(found: Answer) -> str:
    """Return the word in an answer of `try` or `run`; of a refused idea what it is refused for."""
    rows, errors = found["answer"].get("comparisons"), found["answer"].get("errors")
    return str(rows[0]["verdict"] if rows else errors[0] if errors else "nothing to compare")


def edits_of(ideas: Iterable[Idea]) -> tuple[Edit, ...]:
    """Return the edits of several ideas, in their order."""
    return tuple(edit for idea in ideas for edit in idea.edits)


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Write files by their paths below a folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


@dataclass(frozen=True)
class Lab:
    """The folder of a session."""

    folder: Path

    @cached_property
    def project(self) -> Path:
        """The git project, made at its first use."""
        path = self.folder / "project"
        if not path.exists():
            path.mkdir(parents=True)
            checkout = Checkout(path)
            write(path, {**sources(), "pytest.ini": INI, ".gitignore": ".exprun/\n__pycache__/\ndocs/\n"})
            checkout.commit("how to train")
            for idea in (each for each in IDEAS if each.edits):
                checkout.git("checkout", "--quiet", "-b", idea.name)
                write(path, sources(idea.edits))
                checkout.commit(idea.name)
                checkout.git("checkout", "--quiet", "main")
        return path

    def exprun(self, *words: str) -> Answer:
        """Return the answer of an `exprun` command, and the seconds that it took."""
        command = [sys.executable, "-c", EXPRUN, *words]
        began = time.perf_counter()
        ended = subprocess.run(command, cwd=self.project, stdout=subprocess.PIPE, text=True, check=False)
        return {"seconds": time.perf_counter() - began, "answer": json.loads(ended.stdout)}

    def tried(self, idea: Idea) -> Answer:
        """Try an idea."""
        words = ("run", "--json", "--", *idea.flags) if idea.flags else ("try", idea.name, "--json")
        return kept(self.folder / "tried" / f"{idea.name}.json", lambda: self.exprun(*words))

    def confirmed(self, idea: Idea) -> Answer:
        """Confirm an idea that won."""
        name = self.tried(idea)["answer"]["comparisons"][0]["name"]
        return kept(self.folder / "confirmed" / f"{idea.name}.json", lambda: self.exprun("confirm", name, "--json"))

    def losses(self, name: str, ideas: Iterable[Idea], seeds: Iterable[int]) -> dict[int, float]:
        """Train ideas together, seed by seed, without `exprun`, and return the losses by seed.

        Raises:
            DoesNotApplyError: their edits touch the same text.
        """
        path, code, ideas = self.folder / "runs" / f"{name}.json", self.folder / "code" / name, tuple(ideas)
        flags = [flag for idea in ideas for flag in idea.flags]
        found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        found = {int(seed): run["val_loss"] for seed, run in found.items()}
        missing = [str(seed) for seed in seeds if seed not in found]
        if missing:
            path.parent.mkdir(parents=True, exist_ok=True)
            write(code, sources(edits_of(ideas)))
            words = [f"--train_tokens={TOKENS}", *ARGUMENTS, *CONTROL, *flags]
            train = [
                sys.executable,
                str(Path(__file__).with_name("seeds.py")),
                str(path.absolute()),
                ",".join(missing),
                *words,
            ]
            subprocess.run(train, cwd=code, check=True)
            return self.losses(name, ideas, seeds)
        return {seed: found[seed] for seed in seeds}

    def is_tried(self, idea: Idea) -> bool:
        """Whether there is an answer on an idea."""
        return (self.folder / "tried" / f"{idea.name}.json").exists()

    def has_won(self, idea: Idea) -> bool:
        """Whether an idea is known to be a WINNER by now."""
        return self.is_tried(idea) and verdict(self.tried(idea)) == "WINNER"

    def winners(self) -> list[Idea]:
        """Return what is kept by default."""
        return [idea for idea in IDEAS if self.has_won(idea)]

    def confirmed_winners(self) -> list[Idea]:
        """Return what is kept by confirmation."""
        return [idea for idea in self.winners() if self.confirmed(idea)["answer"]["exit_status"] == 0]
