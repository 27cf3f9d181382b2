"""SIGKILL at random moments of `exprun try`: the repository is untouched, no half tree is used, the next one ends with the right words."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import time
from pathlib import Path

import pytest

from pytest_exprun.trust.ledger.ledger import Ledger
from tests.executor_contract import wait_until
from tests.planted.commits import IGNORED, toy
from tests.shell import shell, snapshot
from tests.states import Checkout

SECONDS = 4.0
"""Longer than most of these sessions take: some are killed too late, and have finished."""
TREE = re.compile("[0-9a-f]{40}(-[0-9]+)?")


class Lab:
    """A repository with all that must stay: a stash, a staged, an edited and a new file. The working tree is worse, the branch better."""

    def __init__(self, root: Path) -> None:
        root.mkdir()
        self.checkout = checkout = Checkout(root)
        files = toy()
        checkout.commit("first", **{**files, ".gitignore": IGNORED})
        checkout.branch("idea", **{"toy.py": files["toy.py"].replace("2.6", "2.5")})
        checkout.write(**{"toy.py": "to be stashed"})
        checkout.git("stash", "--quiet")
        checkout.write(**{"staged.txt": "x", "untracked.txt": "x", "toy.py": files["toy.py"].replace("2.6", "2.7")})
        checkout.git("add", "staged.txt")
        (root / "docs" / "research").mkdir(parents=True)
        (root / ".exprun").mkdir()
        repository = checkout.repository()
        trees = [repository.tree_of(repository.commit(name)) for name in ("main", "idea")]
        self.trees = {tree.id: self.files_of(name) for tree, name in zip(trees, ("main", "idea"), strict=True)}
        self.trees[repository.working_tree().id] = self.files_of(None)
        self.before = self.repository()

    def files_of(self, commit: str | None) -> dict[str, bytes]:
        """Return what a state's folder must have, but for what runs write."""
        git, root = self.checkout.git, self.checkout.root
        if commit:
            return {
                name: f"{git('show', f'{commit}:{name}')}\n".encode()
                for name in git("ls-tree", "-r", "--name-only", commit).split()
            }
        return {
            name: (root / name).read_bytes()
            for name in git("ls-files", "--cached", "--others", "--exclude-standard").split()
        }

    def repository(self) -> object:
        """Return all that is the user's: his files, and every byte of git's."""
        root = self.checkout.root
        mine = {path: path.read_bytes() for path in root.glob("*.*") if path.is_file()}
        told = {
            words: self.checkout.git(*words.split())
            for words in ("status --porcelain", "stash list", "reflog", "worktree list")
        }
        return mine, snapshot(root / ".git"), told

    def check(self) -> None:
        """Whether everything is as it was, every folder of a tree is whole, and the ledger valid to its last whole line."""
        assert self.repository() == self.before
        assert not Ledger(self.checkout.root / ".exprun").verified().faults
        for folder in (
            path for path in (self.checkout.root / ".exprun" / "trees").iterdir() if TREE.fullmatch(path.name)
        ):
            assert (
                self.trees[folder.name[:40]].items()
                <= {
                    path.relative_to(folder).as_posix(): path.read_bytes()
                    for path in folder.rglob("*")
                    if path.is_file()
                }.items()
            )

    def start(self, *words: str):
        """Start a session that tries both."""
        return shell("try", ".", "idea", "--json", *words, cwd=self.checkout.root)

    def finish(self) -> None:
        """Let one end, and compare its words."""
        out, err = (process := self.start()).communicate(timeout=300)
        assert process.returncode == 1, err
        assert {each["verdict"] for each in json.loads(out)["comparisons"]} == {"WINNER", "LOSER"}
        self.check()

    def is_alone(self) -> bool:
        """Whether no process works in the project any more."""
        places = []
        for link in Path("/proc").glob("[0-9]*/cwd"):
            try:
                places.append(str(link.readlink()))
            except OSError:  # it has ended
                continue
        return not any(place.startswith(str(self.checkout.root)) for place in places)


def killed(lab: Lab, kills: int, chance: random.Random) -> int:
    """Kill so many sessions; let one end now and then, after two or three were killed on one store. Return how many had ended before."""
    late = 0
    for number in range(kills):
        process = lab.start(*["--confirm"] * (number % 2))
        time.sleep(chance.uniform(0, SECONDS))
        late += process.poll() is not None
        process.kill()
        process.communicate()
        lab.check()
        if number % 3 == 2:
            lab.finish()
            shutil.rmtree(lab.checkout.root / ".exprun")
            lab.checkout.repository().working_tree()
    wait_until(lab.is_alone)
    lab.finish()
    return late


def swept(lab: Lab) -> None:
    """Two hours later nothing is left of those that were killed."""
    trees = lab.checkout.root / ".exprun" / "trees"
    for place in (trees / ".new-killed", trees / ".index-killed", *trees.glob(".new-*"), *trees.glob(".index-*")):
        place.mkdir(exist_ok=True)
        os.utime(place, (time.time() - 7200,) * 2)
    lab.finish()
    assert not [*trees.glob(".new-*"), *trees.glob(".index-*")]


@pytest.mark.parametrize("kills", [3, pytest.param(200, marks=pytest.mark.slow)])
def test_killed_at_random(tmp_path, kills, request):
    """What is the user's is byte for byte as it was; the words are those of sessions that nobody killed."""
    lab = Lab(tmp_path / "project")
    seed = random.randrange(10**6)
    late = killed(lab, kills, random.Random(seed))
    request.node.user_properties += [("seed", seed), ("kills", kills - late)]
    print(f"seed {seed}: {kills - late} killed, {late} had ended")
    swept(lab)
