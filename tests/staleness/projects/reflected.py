"""Projects whose code is data too: notebooks, wrappers that execute files, pickles, classes that are looked at, entry points."""

# ruff: noqa: E501  # an edit a line reads best

from __future__ import annotations

import json

from tests.staleness.projects.words import Edit, Project, replace, write


def notebook(*cells: str) -> str:
    """Return a notebook with these cells of code."""
    return json.dumps({"cells": [{"cell_type": "code", "source": cell.splitlines(keepends=True)} for cell in cells]})


NOTEBOOK = Project(
    "a notebook exported as a script",
    {
        "train.py": """
# %% [markdown]
# # Training

# %%
import json
from pathlib import Path

import numpy as np

# %%
# get_ipython().run_line_magic("load_ext", "autoreload")
RATE = 0.5


# %%
def cells(name):
    for cell in json.loads(Path(name).read_text())["cells"]:
        yield "".join(cell["source"])


# %%
def train(seed):
    names = {}
    for cell in cells("explore" + ".ipynb"):
        exec(cell, names)
    return np.random.default_rng(seed).normal() * RATE + names["offset"]
""",
        "explore.ipynb": notebook("x = 2", "offset = x * 3"),
    },
    [
        Edit("a cell of the script", replace("train.py", "RATE = 0.5", "RATE = 0.25")),
        Edit("a cell of a notebook that it runs", write("explore.ipynb", notebook("x = 2", "offset = x * 4"))),
        Edit("the order of cells", write("explore.ipynb", notebook("x = 2", "x = 5", "offset = x * 3"))),
    ],
)

WRAPPER = Project(
    "a wrapper with a configurator",
    {
        "train.py": """
import os
import runpy

learning_rate = 0.1
bias = 0.0
exec(open("configurator.py").read())


def train(seed):
    legacy = runpy.run_path(os.path.join("legacy", "old" + "_train.py"), init_globals={"RATE": learning_rate})
    return legacy["fit"](seed) + bias
""",
        "configurator.py": "import glob\n\nfor name in sorted(glob.glob('config/*.py')):\n    exec(open(name).read())\n",
        "config/train_small.py": "# smaller\nlearning_rate = 0.2\n",
        "legacy/old_train.py": "import sys\n\nsys.path.insert(0, 'legacy')\nfrom old_loss import loss\n\n\ndef fit(seed):\n    return loss(seed, RATE)\n",
        "legacy/old_loss.py": "def loss(seed, rate):\n    return seed % 19 * rate\n",
    },
    [
        Edit("a configuration that is executed", replace("config/train_small.py", "0.2", "0.3")),
        Edit("one more", write("config/z.py", "bias = 2\n")),
        Edit("the configurator", write("configurator.py", "learning_rate = 0.7\n")),
        Edit("the script that is run", replace("legacy/old_train.py", "(seed, RATE)", "(seed, 2 * RATE)")),
        Edit("what that script imports", replace("legacy/old_loss.py", "% 19", "% 23")),
    ],
)  # fmt: skip

PICKLED = Project(
    "pickled objects",
    {
        "train.py": """
import pickle
from pathlib import Path


def train(seed):
    model = pickle.loads(Path("artifacts", "model" + ".pkl").read_bytes())
    return model["scaler"](seed) + model["offset"]
""",
        "artifacts/model.pkl": b"(dS'scaler'\ncprep.scalers\nScaler\n(tRsS'offset'\nI3\ns.",
        "prep/__init__.py": "",
        "prep/scalers.py": "from prep.constants import SIZE\n\n\nclass Scaler:\n    def __call__(self, seed):\n        return seed % 29 / SIZE\n",
        "prep/constants.py": "SIZE = 4\n",
    },
    [
        Edit("the pickle", write("artifacts/model.pkl", b"(dS'scaler'\ncprep.scalers\nScaler\n(tRsS'offset'\nI5\ns.")),
        Edit("the class that it names", replace("prep/scalers.py", "% 29", "% 31")),
        Edit("what that class imports", replace("prep/constants.py", "4", "5")),
    ],
)

REFLECTION = Project(
    "classes, sources and docstrings that are looked at",
    {
        "stages.py": '''
from functools import singledispatch


class Stage:
    known = []

    def __init_subclass__(cls, weight=1, **more):
        super().__init_subclass__(**more)
        Stage.known.append((cls, weight))


class Load(Stage):
    """rate: 0.5"""

    def run(self, value):
        return value + 1


class Scale(Stage, weight=2):
    """rate: 0.25"""

    def run(self, value):
        return value * 2 - 1


@singledispatch
def size(value):
    return 1


@size.register
def _(value: int):
    return 2


def hashed():
    # This text is hashed.
    return 1
''',
        "train.py": """
import contextvars
import hashlib
import inspect

import stages

RATE = contextvars.ContextVar("rate", default=1.0)


def train(seed):
    value = float(seed % 89)
    for cls, weight in stages.Stage.known:
        RATE.set(float(inspect.getdoc(cls).partition(":")[2]))
        value = cls().run(value) * weight * RATE.get() + len(str(value))
    return value + stages.size(seed) + hashlib.sha256(inspect.getsource(stages.hashed).encode()).digest()[0]
""",
    },
    [
        Edit("the order in which classes are defined", lambda site: site.write("stages.py", _swap(site.path("stages.py").read_text(encoding="utf-8")))),
        Edit("a docstring", replace("stages.py", "rate: 0.5", "rate: 0.75")),
        Edit("an argument of a class", replace("stages.py", "weight=2", "weight=3")),
        Edit("the type of an annotation", replace("stages.py", "value: int", "value: str")),
        Edit("a comment in a source that is hashed", replace("stages.py", "This text", "That text")),
    ],
)  # fmt: skip


def _swap(text: str) -> str:
    start, middle, end = text.index("class Load"), text.index("class Scale"), text.index("@singledispatch")
    return text[:start] + text[middle:end] + text[start:middle] + text[end:]


LAZY = Project(
    "lazy modules and entry points",
    {
        "kit/__init__.py": """
import importlib


def __getattr__(name):
    try:
        return importlib.import_module(f"kit.{name}")
    except ModuleNotFoundError:
        raise AttributeError(name) from None
""",
        "kit/losses.py": "from functools import lru_cache\n\n\n@lru_cache\ndef loss(seed):\n    return seed % 97 + 0.5\n",
        "kit.egg-info/PKG-INFO": "Metadata-Version: 2.1\nName: kit\nVersion: 1.0\n",
        "kit.egg-info/entry_points.txt": "[kit.optim]\nsgd = kit.optims:sgd\n",
        "kit/optims.py": "def sgd(value):\n    return value * 2\n\n\ndef adam(value):\n    return value * 3\n",
        "train.py": """
from importlib.metadata import distribution

import kit


def train(seed):
    (entry,) = distribution("kit").entry_points
    patch = getattr(kit, "patch", None)
    return entry.load()(kit.losses.loss(seed)) + (patch.BY if patch else 0)
""",
    },
    [
        Edit("a lazy module", replace("kit/losses.py", "0.5", "0.75")),
        Edit("a lazy module appears", write("kit/patch.py", "BY = 3\n")),
        Edit("an entry point", replace("kit.egg-info/entry_points.txt", "optims:sgd", "optims:adam")),
        Edit("what the entry point leads to", replace("kit/optims.py", "* 2", "* 4")),
    ],
)

PROJECTS = (NOTEBOOK, WRAPPER, PICKLED, REFLECTION, LAZY)
