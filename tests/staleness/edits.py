"""A corpus of edits to the trainer in `project/`: what they do to a result is found out by running them, never assumed.

Generated edits change one place in the syntax tree of one file, as mutation testing does; written ones are (file, old text, new text).
"""

# ruff: noqa: E501  # an edit a line reads best

from __future__ import annotations

import ast
import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).with_name("project")
PACKAGE = "vendor/site-packages/gainlib"
SOURCES = ["train.py", *sorted(path.relative_to(PROJECT).as_posix() for path in (PROJECT / "helpers").glob("*.py"))]


@dataclass(frozen=True)
class Edit:
    """One edit: new contents by file name; `kind` groups the table."""

    kind: str
    what: str
    files: dict[str, str]

    def __str__(self) -> str:
        return f"{self.kind}: {self.what}"


def read(name: str) -> str:
    """Return a file of the project as it is."""
    return (PROJECT / name).read_text(encoding="utf-8")


def _numbers(value: object) -> list[object]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1, 2 * value + 3, value + 10]
    if isinstance(value, float):
        return [value * 1.01 + 1e-3, -value - 1.0, value + 1e-9, value + 0.3]
    if isinstance(value, str) and value:
        return [value + "x"]
    return []


_SWAPS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.Mod: ast.FloorDiv,
}


def _mutants_of(node: ast.AST) -> Iterator[tuple[str, str, object]]:
    """Yield (kind, field, new value) for each way to change one node."""
    if isinstance(node, ast.Constant):
        for value in _numbers(node.value):
            yield "constant", "value", value
    elif isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in _SWAPS:
        yield "operator", "op", _SWAPS[type(node.op)]()
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in _SWAPS:
        yield "comparison", "ops", [_SWAPS[type(node.ops[0])](), *node.ops[1:]]
    elif isinstance(node, ast.Call) and len(node.args) > 1:
        yield "arguments", "args", [*node.args[1:], node.args[0]]
    elif isinstance(node, ast.keyword):
        yield "keyword", "arg", f"{node.arg}_" if node.arg else None
    else:
        yield from _statement_mutants(node)


def _statement_mutants(node: ast.AST) -> Iterator[tuple[str, str, object]]:
    if isinstance(node, ast.If):
        yield "branch", "test", ast.UnaryOp(ast.Not(), node.test)
        yield "branch", "test", ast.Constant(value=False)
    elif isinstance(node, ast.FunctionDef) and len(node.body) > 1:
        for drop in range(len(node.body)):
            kept = [each for number, each in enumerate(node.body) if number != drop]
            yield "statement dropped", "body", kept
    elif isinstance(node, ast.Return) and node.value is not None:
        yield (
            "result",
            "value",
            ast.Subscript(ast.List([node.value, node.value], ast.Load()), ast.Constant(0), ast.Load()),
        )
        yield "result", "value", ast.Constant(value=0.5)
    elif isinstance(node, ast.For):
        yield "loop", "iter", ast.Call(ast.Name("list", ast.Load()), [node.iter], [])


def _is_docstring(parents: dict[ast.AST, ast.AST], node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(parents.get(node), ast.Expr)


def generated() -> Iterator[Edit]:
    """Every single change that `_mutants_of` knows, in every file."""
    for name in SOURCES:
        tree = ast.parse(read(name))
        parents = {child: parent for parent in ast.walk(tree) for child in ast.iter_child_nodes(parent)}
        for number, node in enumerate(ast.walk(tree)):
            if _is_docstring(parents, node):
                continue
            for kind, field, value in _mutants_of(node):
                changed = copy.deepcopy(tree)
                target = list(ast.walk(changed))[number]
                setattr(target, field, value)
                text = ast.unparse(ast.fix_missing_locations(changed)) + "\n"
                yield Edit(kind, f"{name}:{getattr(node, 'lineno', 0)} {field}", {name: text})


def _replace(kind: str, name: str, old: str, new: str) -> Edit:
    text = read(name)
    assert old in text, f"{old!r} is not in {name}"
    return Edit(kind, f"{name} {new.strip().splitlines()[0][:50]}", {name: text.replace(old, new, 1)})


def written() -> Iterator[Edit]:
    """Changes of result that a person might make, each of a kind of its own."""
    yield Edit("data bytes", "one training example", {"data/train.txt": read("data/train.txt").replace("1", "2", 1)})
    yield Edit(
        "data bytes",
        "order of the examples",
        {"data/train.txt": "\n".join(reversed(read("data/train.txt").split("\n")))},
    )
    yield Edit("data bytes", "one example more", {"data/train.txt": read("data/train.txt") + "0,0,0,0,1\n"})
    yield Edit("data bytes", "no final newline", {"data/train.txt": read("data/train.txt").rstrip("\n")})
    yield Edit("data bytes", "a validation example", {"data/val.txt": read("data/val.txt").replace("0", "1", 1)})
    yield Edit("data bytes", "one validation example less", {"data/val.txt": read("data/val.txt").split("\n", 1)[1]})
    config = json.loads(read("config.json"))
    for change in ({"clip": 0.1}, {"clip": 0.05}, {"width": 3}, {"width": 2}, {"clip": 0}):
        yield Edit("config file", f"{change}", {"config.json": json.dumps(config | change)})
    for version, gain in (("1.0.1", "1.5"), ("2.0", "0.25"), ("1.0+local", "-1.0")):
        metadata = read(f"{PACKAGE}-1.0.dist-info/METADATA").replace("Version: 1.0", f"Version: {version}")
        yield Edit(
            "package version",
            version,
            {f"{PACKAGE}-1.0.dist-info/METADATA": metadata, f"{PACKAGE}.py": f"GAIN = {gain}\n"},
        )
    yield _replace("evaluation", "helpers/evaluate.py", "** 2", "** 4")
    yield _replace("evaluation", "helpers/evaluate.py", "/ len(examples)", "/ max(1, len(examples) - 1)")
    yield _replace("evaluation", "helpers/evaluate.py", "examples = load(PATH)", "examples = load(PATH)[:7]")
    yield _replace(
        "evaluation", "train.py", "evaluate.val_loss(model, args.rope),", "evaluate.val_loss(model, args.rope) + 1e-12,"
    )
    yield _replace(
        "evaluation",
        "train.py",
        "evaluate.val_loss(model, args.rope),",
        "round(evaluate.val_loss(model, args.rope), 4),",
    )
    for factor in ("0.9", "1.1", "0.999999", "1.0000001"):
        yield _replace("late schedule", "helpers/schedule.py", "/ (1 - DECAY_FROM)", f"/ (1 - DECAY_FROM) * {factor}")
    yield _replace(
        "late schedule",
        "helpers/schedule.py",
        "    return PEAK\n",
        "    return PEAK * (1.001 if step == steps - 8 else 1)\n",
    )
    yield _replace(
        "late schedule",
        "train.py",
        "        gradient = clip",
        "        if step == STEPS - 1:\n            loss += 1e-9\n        gradient = clip",
    )
    yield _replace("late schedule", "train.py", "learning_rate(step, STEPS", "learning_rate(min(step, 28), STEPS")
    yield _replace("import-time effect", "helpers/__init__.py", "SCALE = 0.5", "SCALE = 0.5\nSCALE += 0.01")
    yield _replace(
        "import-time effect", "helpers/schedule.py", "FLOOR = 0.02", "FLOOR = 0.02\nif True:\n    FLOOR = 0.03"
    )
    yield _replace(
        "import-time effect",
        "helpers/model.py",
        "import random\n",
        "import random\n\nrandom.Random = type('R', (random.Random,), {'gauss': lambda self, a, b: 0.1})\n",
    )
    yield _replace(
        "import-time effect",
        "helpers/features.py",
        "ANGLE = 1",
        "ANGLE = 1\nfloat = lambda word: round(__builtins__['float'](word), 1)",
    )
    yield _replace(
        "import-time effect",
        "helpers/optimizer.py",
        "import math\n",
        "import math\n\nfrom . import schedule\n\nschedule.PEAK = 0.3\n",
    )
    late = {"helpers/__init__.py": read("helpers/__init__.py") + "import helpers.late\n"}
    yield Edit(
        "import-time effect",
        "a new module",
        late | {"helpers/late.py": "from helpers import schedule\n\nschedule.PEAK = 0.1\n"},
    )
    yield _replace("experiment's branch", "helpers/features.py", "ANGLE = 1", "ANGLE = 2")
    yield _replace("experiment's branch", "helpers/features.py", "inputs[ANGLE:] + inputs[:ANGLE]", "inputs[::-1]")
    yield _replace(
        "experiment's branch", "helpers/features.py", "inputs[ANGLE:] + inputs[:ANGLE]", "[-x for x in inputs]"
    )
    yield _replace("experiment's branch", "train.py", "if args.rope:\n", "if args.rope and step > 2:\n")
    yield _replace("experiment's branch", "train.py", "if args.rope:\n", "if args.rope and step < STEPS - 2:\n")
    yield _replace("experiment's branch", "helpers/evaluate.py", "    if rope:\n", "    if False:\n")
    yield _replace("callee", "helpers/optimizer.py", "sum(g * g for g in gradient)", "max(g * g for g in gradient)")
    yield _replace("callee", "helpers/model.py", "generator.gauss(0, spread)", "generator.uniform(-spread, spread)")
    yield _replace("callee", "helpers/features.py", "for word in line", "for word in reversed(line")
    yield _replace(
        "callee",
        "train.py",
        "from helpers.optimizer import SGD, clip",
        "from helpers.optimizer import SGD\n\n\ndef clip(gradient, limit):\n    return [max(-limit, min(limit, g)) / 2 for g in gradient]\n",
    )
    yield _replace(
        "callee",
        "train.py",
        "from helpers.schedule import learning_rate",
        "from helpers.schedule import PEAK\n\n\ndef learning_rate(step, steps, warmup):\n    return PEAK\n",
    )
    yield _replace(
        "callee",
        "helpers/model.py",
        "    def predict(self, x):",
        "    def __call__(self, x):\n        return 0\n\n    def predict(self, x):",
    )
    yield _replace("default", "helpers/model.py", "spread=0.1", "spread=0.2")
    yield _replace("default", "helpers/model.py", "bias=0.0", "bias=0.01")
    yield _replace("default", "helpers/optimizer.py", "decay=0.01", "decay=0.0")
    yield _replace("default", "train.py", '"--warmup", type=int, default=4', '"--warmup", type=int, default=6')
    yield _replace(
        "default", "train.py", '"--momentum", type=float, default=0.5', '"--momentum", type=float, default=0.9'
    )
    yield _replace("default", "train.py", "size=4", "size=8")
    yield _replace("default", "train.py", "size=4", "size=40 // 10 + 1")


def seed_specific() -> Iterator[Edit]:
    """Changes that act on one seed only: what the verification of one seed cannot show when it is another's turn."""
    for seed in (42, 137, 256, 512, 1024):
        yield _replace(
            "one seed only",
            "train.py",
            "    stream = batches",
            f"    if args.seed == {seed}:\n        optimizer.momentum += 0.01\n    stream = batches",
        )
    yield _replace(
        "one seed only",
        "helpers/model.py",
        "def initial_weights(seed, width, spread=0.1):\n",
        "def initial_weights(seed, width, spread=0.1):\n    spread += 1e-3 * (seed > 500)\n",
    )
    yield _replace(
        "one seed only", "helpers/optimizer.py", "    if norm <= limit:", "    if norm <= limit or norm > 1.3:"
    )


def harmless() -> Iterator[Edit]:
    """Edits of everyday work that change no result."""
    for name in SOURCES:
        text = read(name)
        lines = text.split("\n")
        yield Edit("comment", f"{name} a heading", {name: f"# A heading.\n{text}"})
        yield Edit("comment", f"{name} at the end", {name: f"{text}\n# The end.\n"})
        statements = [
            number for number, line in enumerate(lines) if line.endswith(")") and '"""' not in line and "'" not in line
        ]
        for number in statements[:2]:
            changed = [*lines[:number], f"{lines[number]}  # as it was", *lines[number + 1 :]]
            yield Edit("comment", f"{name}:{number + 1}", {name: "\n".join(changed)})
        yield Edit("docstring", f"{name} of the module", {name: text.replace('"""', '"""Better said: ', 1)})
        yield Edit("layout", f"{name} unparsed", {name: ast.unparse(ast.parse(text)) + "\n"})
        yield Edit("layout", f"{name} more space", {name: text.replace("\n\n\n", "\n\n\n\n\n")})
        yield Edit("unused function", f"{name}", {name: f"{text}\n\ndef not_yet_used(a, b=1):\n    return a + b\n"})
        yield Edit(
            "unused function",
            f"{name} with a default",
            {name: f"{text}\n\ndef another_one(*, verbose=False) -> None:\n    print(verbose)\n"},
        )
    yield from _renames()
    yield from _reorderings()
    yield from _new_flags()
    yield Edit("other files", "a test", {"tests/test_train.py": "def test_nothing(): ...\n"})
    yield Edit("other files", "a script", {"plot.py": "print('a plot')\n"})
    yield Edit("other files", "a README", {"README.md": "# Read me\n"})
    yield Edit("other files", "another data file", {"data/more.txt": "1,2,3,4,5\n"})
    yield Edit("config file", "its comment", {"config.json": read("config.json").replace("read by", "used by")})
    yield _replace(
        "report", "train.py", '        "train_tokens"', '        "steps": float(STEPS),\n        "train_tokens"'
    )
    yield _replace("report", "train.py", " | train_loss: {loss:.4f}", " | train_loss: {loss:.4f} | step_size: 1.0")
    yield _replace(
        "type hint",
        "helpers/schedule.py",
        "def learning_rate(step, steps, warmup):",
        "def learning_rate(step: int, steps: int, warmup: int) -> float:",
    )
    yield _replace("type hint", "helpers/features.py", "def parse_line(line):", "def parse_line(line: str) -> tuple:")


def _renames() -> Iterator[Edit]:
    for name, old, new in (
        ("train.py", "batch", "examples"),
        ("train.py", "order", "draws"),
        ("train.py", "stream", "source"),
        ("train.py", "step", "number"),
        ("train.py", "gradient", "slope"),
        ("helpers/model.py", "generator", "rng"),
        ("helpers/model.py", "total", "summed"),
        ("helpers/model.py", "error", "residual"),
        ("helpers/optimizer.py", "norm", "length"),
        ("helpers/schedule.py", "progress", "fraction"),
        ("helpers/features.py", "lines", "rows"),
        ("helpers/features.py", "inputs", "xs"),
        ("helpers/evaluate.py", "examples", "sample"),
    ):
        yield Edit("rename", f"local {old} -> {new} in {name}", {name: _rename_locals(read(name), old, new)})
    for files, old, new in (
        (["helpers/features.py"], "SEPARATOR", "COMMA"),
        (["helpers/schedule.py"], "DECAY_FROM", "COOLDOWN"),
        (["train.py", "helpers/optimizer.py"], "clip(", "shorten("),
    ):
        contents = {
            name: read(name).replace(old, new).replace("import SGD, clip", "import SGD, shorten") for name in files
        }
        yield Edit("rename", f"global {old} -> {new}", contents)


def _rename_locals(text: str, old: str, new: str) -> str:
    """Rename a plain local variable in every function that assigns it."""
    tree = ast.parse(text)
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            parameters = {each.arg for each in function.args.args}
            nodes = [node for node in ast.walk(function) if isinstance(node, ast.Name) and node.id == old]
            if old not in parameters and any(isinstance(node.ctx, ast.Store) for node in nodes):
                for node in nodes:
                    node.id = new
    return ast.unparse(tree) + "\n"


def _reorderings() -> Iterator[Edit]:
    """Move functions past their neighbours."""
    for name in SOURCES:
        tree = ast.parse(read(name))
        for body in (tree.body, *(node.body for node in tree.body if isinstance(node, ast.ClassDef))):
            for number in range(len(body) - 1):
                if isinstance(body[number], ast.FunctionDef) and isinstance(body[number + 1], ast.FunctionDef):
                    body[number], body[number + 1] = body[number + 1], body[number]
                    yield Edit("reordering", f"{name} {body[number].name}", {name: ast.unparse(tree) + "\n"})
                    body[number], body[number + 1] = body[number + 1], body[number]


def _new_flags() -> Iterator[Edit]:
    """A new flag with the code behind it, off by default."""
    anchor = "    return parser\n"
    for flag, place, code in (
        (
            "--double",
            "        gradient = clip",
            "        if args.double:\n            gradient = [2 * g for g in gradient]\n        gradient = clip",
        ),
        (
            "--negate",
            "        gradient = clip",
            "        if args.negate:\n            gradient = [-g for g in gradient]\n        gradient = clip",
        ),
        (
            "--skip_first",
            "        batch = next(stream)\n",
            "        batch = next(stream)\n        if args.skip_first and step == 0:\n            continue\n",
        ),
        (
            "--no_clip",
            '        gradient = clip(gradient, CONFIG["clip"])',
            '        if not args.no_clip:\n            gradient = clip(gradient, CONFIG["clip"])',
        ),
        (
            "--big",
            "    optimizer = SGD(",
            "    if args.big:\n        model.weights = [9 * w for w in model.weights]\n    optimizer = SGD(",
        ),
        (
            "--zero",
            "    loss = 0.0\n",
            "    loss = 0.0\n    if args.zero:\n        model.weights = [0.0 for _ in model.weights]\n",
        ),
    ):
        text = read("train.py").replace(place, code, 1)
        text = text.replace(anchor, f'    parser.add_argument("{flag}", action="store_true")\n{anchor}')
        yield Edit("new flag", flag, {"train.py": text})
