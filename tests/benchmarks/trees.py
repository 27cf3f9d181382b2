"""Seconds to take a state of many files, to write it, and to find it again.

python tests/benchmarks/trees.py [FILES]
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from pytest_exprun.trust.trees.materialise import Trees
from pytest_exprun.trust.trees.snapshot import Repository
from tests.states import Checkout

FILES = 20_000


def cpu() -> float:
    """Return the CPU seconds of this process and of those that it has waited for."""
    both = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in both)


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Print how long something took."""
    began, before = time.perf_counter(), cpu()
    yield
    print(f"| {what} | {time.perf_counter() - began:.2f} s | {cpu() - before:.2f} s |", flush=True)


def main(count: int) -> None:
    """Make a repository and go through what a session does."""
    with tempfile.TemporaryDirectory() as folder:
        lab = Checkout(Path(folder))
        lab.commit(
            "first",
            **{f"part{n % 200}/file{n}.py": f"x = {n}\n" * 40 for n in range(count)},
            **{".gitignore": ".exprun/\n"},
        )
        repository: Callable[[], Repository] = lab.repository
        trees = Trees(lab.settings(), repository())
        with timed("the state of a commit"):
            main_state = trees.repository.tree_of(trees.repository.commit("main"))
        with timed("the state of a clean working tree"):
            trees.repository.working_tree()
        lab.write(**{"part0/file0.py": "x = 1\n", "new.py": "x = 1\n"})
        with timed("the same with an edited and a new file"):
            state = trees.repository.working_tree()
        with timed("what differs, and the diff"):
            trees.repository.changed_files(main_state, state)
            trees.repository.changes(main_state, state)
        with timed("a tree written"):
            root = trees.place(state)
        with timed("a tree found again"):
            trees.place(state)
        (root / "left.txt").write_text("by a run", encoding="utf-8")
        with timed("a tree written anew, after a run left a file in it"):
            trees.place(state)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else FILES)
