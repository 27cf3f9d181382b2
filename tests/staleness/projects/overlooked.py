"""Projects in which changes were overlooked once: what tests have imported before, what is started while a trainer is imported."""

# ruff: noqa: E501  # an edit a line reads best

from __future__ import annotations

from tests.staleness.projects.words import Edit, Project, replace, write

UNIT_TESTED = Project(
    "models that unit tests import too",
    {
        "train.py": """
import importlib
import pkgutil

import zoo


def train(seed):
    from lookup import TABLE

    steps = [importlib.import_module("zoo." + each.name).step for each in pkgutil.iter_modules(zoo.__path__)]
    scope = {}
    exec("from snippets import offset", scope)
    return sum(step(seed) for step in steps) + TABLE[seed % 2] + scope["offset"](seed)
""",
        "zoo/__init__.py": "",
        "zoo/lion.py": """
import json
from pathlib import Path

from zoo_math import scale

SETTINGS = json.loads(Path(__file__).with_suffix(".json").read_text())


def step(seed):
    return scale(seed % 11) * SETTINGS["lr"]
""",
        "zoo/lion.json": '{"lr": 2}',
        "zoo_math.py": "def scale(x):\n    return x * 3\n",
        "lookup.py": "import csv\nfrom pathlib import Path\n\nTABLE = [float(row[0]) for row in csv.reader(Path(__file__).with_suffix('.csv').open())]\n",
        "lookup.csv": "1\n2\n",
        "snippets/offset.py": "",
        "snippets/__init__.py": "def offset(seed):\n    return seed % 13\n",
    },
    [
        Edit("a model", replace("zoo/lion.py", "% 11", "% 10")),
        Edit("what it imports", replace("zoo_math.py", "* 3", "* 4")),
        Edit("data that it reads while it is imported", write("zoo/lion.json", '{"lr": 3}')),
        Edit("data of a module that is imported late", write("lookup.csv", "3\n4\n")),
        Edit("a module that only a text names", replace("snippets/__init__.py", "% 13", "% 12")),
    ],
    imported=("zoo.lion", "lookup", "snippets", "train"),
)

STARTED_AT_IMPORT = Project(
    "a Python that is started while the trainer is imported",
    {
        "train.py": """
import subprocess
import sys
from pathlib import Path

WORDS = float(subprocess.check_output([sys.executable, str(Path(__file__).parent / "tools" / "words.py")]))


def train(seed):
    return seed % 7 + WORDS
""",
        "tools/words.py": "import counting\n\nprint(counting.count(open('data/wo' + 'rds.txt').read()))\n",
        "tools/counting.py": "def count(text):\n    return len(text)\n",
        "data/words.txt": "abc",
    },
    [
        Edit("data that it reads", write("data/words.txt", "abcd")),
        Edit("its module", replace("tools/counting.py", "len(text)", "2 * len(text)")),
    ],
)

PROJECTS = (UNIT_TESTED, STARTED_AT_IMPORT)
