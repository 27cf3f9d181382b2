"""The wild trainer on several states of a project, for the tests of executors that perform runs on trees."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from pytest_exprun.running.executors.contract import Surroundings, Task, from_settings
from pytest_exprun.terms.model import Budget, RunSpec, Variant
from pytest_exprun.trust.files.accesses import OpenedFiles
from pytest_exprun.trust.trees.ground import Ground, Grounds
from pytest_exprun.trust.trees.materialise import Trees
from pytest_exprun.trust.trees.snapshot import Repository
from tests.executor_contract import WILD
from tests.states import Checkout

LOSS = '"val_loss": 2 + args.seed / 1000,'
TOLD = '"val_loss": rate.RATE + args.seed / 1000, "module": rate.__file__, "cwd": os.getcwd(), "first": sys.path[0],'
END = "    return 0\n"
WAYS = """    if how == "read_data":
        return len(Path("data/numbers.txt").read_text())
    if how == "new":
        import new
    if how == "outsider":
        sys.path.append(str(HERE.parents[2]))
        import new
    if how == "trespass":
        (HERE.parents[2] / "left.txt").write_text("of this run")
"""
"""What a run may do besides: from a tree in `<root>/.exprun/trees`."""


def trainer() -> str:
    """Return a wild trainer whose loss comes from a module beside it, and which says where it is."""
    text = WILD.read_text(encoding="utf-8")
    assert LOSS in text
    assert END in text
    text = text.replace("import time\n", "import time\nimport rate\n", 1).replace(LOSS, TOLD)
    return text.replace(END, WAYS + END)


class TreeLab(Checkout):
    """A repository whose branch `better` has another rate, and an executor that works on its states.

    Its ignored data, linked into each tree, is `data/numbers.txt`; traces of the trainer are outside of it.
    """

    def __init__(self, folder: Path, executor: str, **options: str) -> None:
        root = folder / "home"
        root.mkdir()
        super().__init__(root)
        files = {"rate.py": "RATE = 2.0\n", ".gitignore": ".exprun/\n__pycache__/\ndata/\n"}
        self.commit("first", **{"wild.py": trainer(), **files})
        self.branch("better", **{"rate.py": "RATE = 1.0\n"})
        self.write(**{"data__numbers.txt": "12345"})
        self.traces = folder / "traces"
        self.traces.mkdir()
        self.notices: list[str] = []
        given = {"trainer": "wild:main", "executor": executor, "shared": "data", **options}
        self.here = self.settings(**given)
        self.executor = from_settings(self.here, Surroundings(self.notices.append))
        self.fresh()

    def fresh(self) -> None:
        """Forget what earlier runs asked for."""
        self.notices.clear()
        self.states = Repository.around(self.here)
        self.grounds = Grounds(Ground(self.here, OpenedFiles()), Trees(self.here, self.states).place)

    def variant(self, name: str, *flags: str) -> Variant:
        """Return flags on a branch; on the session's own files without a name."""
        return Variant(flags, self.states.tree_of(self.states.commit(name)) if name else None)

    def ground(self, name: str) -> Ground:
        """Return what the runs of a branch stand on."""
        return self.grounds.of(self.variant(name))

    def task(self, name: str, seed: int, *flags: str) -> Task:
        """Return a run on a branch."""
        variant = self.variant(name, *flags)
        return Task(RunSpec(variant, seed, Budget(20_000)), "exp", self.grounds.of(variant))

    def run(self, *tasks: Task, hear=lambda *_: None):
        """Perform runs; return (branch, seed) -> result."""
        return self.run_all(iter(tasks), hear)

    def run_all(self, tasks: Iterator[Task], hear=lambda *_: None):
        """Perform runs that are made when they are asked for."""
        with contextlib.closing(self.executor.run(tasks, hear)) as results:
            return {(str(result.spec.variant.tree or ""), result.spec.seed): result for result in results}

    def one(self, name: str, *flags: str):
        """Perform one run."""
        (result,) = self.run(self.task(name, 42, *flags)).values()
        return result

    @property
    def started(self) -> list[tuple[int, int]]:
        """Seed and process of every run that has started."""
        log = self.traces / "started"
        return [tuple(map(int, line.split()[:2])) for line in log.read_text().splitlines()] if log.exists() else []
