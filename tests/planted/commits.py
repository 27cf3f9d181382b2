"""Twenty commits that people and agents make, on two projects, and the word that each of them deserves.

`toy` is the trainer of all tests, a function, with an evaluation beside it; `nano` is a script that learns and prints what nanoGPT prints.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.states import Checkout

HERE = Path(__file__).parent
Files = Mapping[str, str]
IGNORED = ".exprun/\n.traces/\n__pycache__/\ndocs/\nextra/\n"
EXPERIMENT = 'from pytest_exprun import experiment\n\n@experiment("--rope")\ndef test_rope(): ...\n'
INI = "[pytest]\naddopts = --import-mode=importlib\nexprun_plots = off\nexprun_executor = processes\nexprun_jobs = 2\n"
EVALUATION = """import math, random

VALIDATION_SEED = 1


def evaluate(loss, tokens):
    \"\"\"Which rows are held out moves all losses alike; more tokens are better.\"\"\"
    return loss - 0.1 * math.log10(tokens) + random.Random(VALIDATION_SEED).gauss(0, 0.05)
"""
LEARNED = "START + SIGMA * (shift + own + (0 if args.constant else random.Random(args.seed).gauss(0, 1)))"


def toy() -> dict[str, str]:
    """Return the files of the first project."""
    text = (HERE.parent / "toy.py").read_text(encoding="utf-8")
    for old, new in (
        ("2.0 + SIGMA" + LEARNED.partition("SIGMA")[2], f"evaluate({LEARNED}, args.train_tokens)"),
        ("\nSIGMA = 0.01\n", "\nfrom evaluation import evaluate\n\nSIGMA = 0.01\nSTART = 2.6\n"),
    ):
        assert old in text
        text = text.replace(old, new)
    ini = f"{INI}exprun_trainer = toy:main\nexprun_tokens = 20000\n"
    return {"toy.py": text, "evaluation.py": EVALUATION, "pytest.ini": ini}


def nano() -> dict[str, str]:
    """Return the files of the second project."""
    names = [path.relative_to(HERE / "nano").as_posix() for path in (HERE / "nano").rglob("*.*")]
    found = {name: (HERE / "nano" / name).read_text(encoding="utf-8") for name in names if "__pycache__" not in name}
    command = "python train.py --seed={seed} --max_iters={steps} --out_dir={output_dir} {flags}"
    return {**found, "pytest.ini": f"{INI}exprun_command = {command}\nexprun_budget = 40 steps\n"}


PROJECTS: Mapping[str, Callable[[], dict[str, str]]] = {"toy": toy, "nano": nano}


@dataclass(frozen=True)
class Plant:
    """A commit.

    Attributes:
        word: what `exprun try` must say of it.
        toy, nano: (file, old text, new text) of each project; a new text of None removes the file, no old text makes it.
        said: what must stand in the error or in a note besides.
        undeserved: why nobody can tell today that the word is too good.
    """

    word: str
    toy: tuple[tuple[str, str, str | None], ...]
    nano: tuple[tuple[str, str, str | None], ...]
    said: str = ""
    undeserved: str = ""

    def files(self, project: str) -> dict[str, str | None]:
        """Return what the commit writes."""
        base, found = PROJECTS[project](), {}
        for name, old, new in getattr(self, project):
            text = found.get(name, base.get(name, ""))
            assert old in (text or ""), (name, old)
            found[name] = None if new is None else text.replace(old, new) if old else new + text
        return found


SAME, NONE = "no effect", "nothing to compare"
LOOP = "    for iteration in range(args.max_iters):\n"
LAST = '    print(f"step {args.max_iters}:'
READ = "from pathlib import Path\n\nMORE = Path('extra/more.txt').read_text()\n"

PLANTS = {
    "comment": Plant(NONE, (("toy.py", "", "# a note\n"),), (("train.py", "", "# a note\n"),)),
    "rename": Plant(SAME, (("toy.py", "own", "noise"),), (("train.py", "batch", "sample"),)),
    "module moved": Plant(
        SAME,
        (
            ("evaluation.py", "", None),
            ("lab/evaluation.py", "", EVALUATION),
            ("toy.py", "evaluation", "lab.evaluation"),
        ),
        (
            ("model.py", "", None),
            ("lab/model.py", "", nano()["model.py"]),
            ("train.py", "from model", "from lab.model"),
        ),
    ),
    "unused flag": Plant(
        SAME,
        (
            (
                "toy.py",
                '    parser.add_argument("--rope"',
                '    parser.add_argument("--new")\n    parser.add_argument("--rope"',
            ),
        ),
        (("train.py", "    return parser", '    parser.add_argument("--new")\n    return parser'),),
    ),
    "refactoring": Plant(
        SAME,
        (("evaluation.py", "return loss - 0.1", "gain = 0.1\n    return loss - gain"),),
        (
            (
                "model.py",
                "total = sum(weights)",
                "total = 0.0\n        for weight in weights:\n            total += weight",
            ),
        ),
    ),
    "better rate": Plant("WINNER", (("toy.py", "2.6", "2.5"),), (("train.py", "0.5", "1.0"),)),
    "worse rate": Plant("LOSER", (("toy.py", "2.6", "2.7"),), (("train.py", "0.5", "0.25"),)),
    "crash": Plant(
        "error",
        (("toy.py", "\n    loss = ", "\n    raise ValueError('planted')\n    loss = "),),
        (("train.py", LOOP, "    raise ValueError('planted')\n" + LOOP),),
        said="planted",
    ),
    "syntax error": Plant("error", (("toy.py", "", "def (\n"),), (("train.py", "", "def (\n"),), said="invalid syntax"),
    "nan": Plant(
        "LOSER", (("toy.py", "2.6", "math.nan"),), (("train.py", LAST, "    val_loss = float('nan')\n" + LAST),)
    ),
    "seed fixed": Plant(
        "error",
        # With these the one draw looks better by two sigmas and more.
        (("toy.py", "random.Random(args.seed)", "random.Random(261)"),),
        (("train.py", "random.Random(args.seed)", "random.Random(15)"),),
        said="seems to ignore its seed",
    ),
    "seed + 1": Plant(
        "NEUTRAL",
        (("toy.py", "random.Random(args.seed)", "random.Random(args.seed + 1)"),),
        (("train.py", "random.Random(args.seed)", "random.Random(args.seed + 1)"),),
    ),
    "evaluation x .9": Plant(
        "WINNER",
        (("evaluation.py", "return loss", "return 0.9 * loss"),),
        (("model.py", "return -sum", "return -0.9 * sum"),),
        undeserved="an evaluation that the state on trial may change; sealing will tell",
    ),
    "twice the tokens": Plant(
        "WINNER",
        (("toy.py", "args.train_tokens)\n", "2 * args.train_tokens)\n"),),
        (
            (
                "train.py",
                LOOP,
                LOOP.replace(")", ") for _ in range(2)")
                .replace("iteration in", "iteration in [iteration for iteration in")
                .replace(":\n", "]:\n"),
            ),
        ),
        undeserved="the trainer says itself how much it trained; the times in the report tell",
    ),
    "raised budget": Plant(
        NONE,
        (("pytest.ini", "exprun_tokens = 20000", "exprun_tokens = 200000"),),
        (("pytest.ini", "40 steps", "400 steps"),),
    ),
    "reseeded validation": Plant(
        "WINNER",
        (("evaluation.py", "SEED = 1", "SEED = 5"),),
        (("train.py", "SEED = 1", "SEED = 6"),),
        undeserved="which data are held out is the state's own code; sealing will tell",
    ),
    "ignored data": Plant("error", (("toy.py", "", READ),), (("train.py", "", READ),), said="exprun_shared = extra"),
    "new dependency": Plant(
        "error",
        (("toy.py", "", "import nosuchlibrary\n"),),
        (("train.py", "", "import nosuchlibrary\n"),),
        said="nosuchlibrary",
    ),
    "deleted experiment file": Plant(
        NONE, (("experiments/test_rope.py", "", None),), (("experiments/test_rope.py", "", None),)
    ),
    "submodule": Plant(
        SAME,
        (("toy.py", "from evaluation", "import part.layer\nfrom evaluation"),),
        (("train.py", "from model", "import part.layer\nfrom model"),),
    ),
}


def branch_of(name: str) -> str:
    """Return the branch that a commit is planted on."""
    return name.replace(" ", "-").replace("+", "plus")


def plant(root: Path, project: str) -> Checkout:
    """Make a repository of a project with a branch for each commit."""
    root.mkdir()
    checkout = Checkout(root)
    checkout.commit("first", **{**PROJECTS[project](), ".gitignore": IGNORED, "experiments/test_rope.py": EXPERIMENT})
    part = root.parent / f"part of {project}"
    part.mkdir()
    Checkout(part).commit("part", **{"layer.py": "DEPTH = 1\n"})
    for name, each in PLANTS.items():
        checkout.git("checkout", "--quiet", "-b", branch_of(name), "main")
        if name == "submodule":
            checkout.git("submodule", "--quiet", "add", str(part), "part")
        for path, text in each.files(project).items():
            if text is None:
                (root / path).unlink()
            else:
                checkout.write(**{path: text})
        checkout.commit(name)
        checkout.git("checkout", "--quiet", "main")
        shutil.rmtree(root / "part", ignore_errors=True)  # git leaves a submodule's files where no state has them
    checkout.write(**{"extra/more.txt": "data that git ignores\n"})
    return checkout
