"""Projects by how their code comes together: src, registries, plugins, submodules, .pth, zip, namespaces."""

# ruff: noqa: E501  # an edit a line reads best

from __future__ import annotations

import io
import zipfile

from tests.staleness.projects.words import Edit, Project, in_turn, remove, rename, replace, write


def packed(modules: dict[str, str]) -> bytes:
    """Return a zip file of modules."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, text in modules.items():
            file.writestr(zipfile.ZipInfo(name + ".py"), text)
    return buffer.getvalue()


SRC = Project(
    "src layout",
    {
        "src/app/__init__.py": "from .model import Model\n",
        "src/app/train.py": """
from importlib.resources import files

from . import Model, optim
from .data import DEFAULT


def train(seed):
    start = float((files("app") / "resources" / ("start" + ".txt")).read_text())
    return optim.step(Model(seed).out(), *DEFAULT) + start
""",
        "src/app/model.py": "class Model:\n    GAIN = 1.5\n\n    def __init__(self, seed):\n        self.seed = seed\n\n    def out(self):\n        return self.GAIN * (self.seed % 37)\n",
        "src/app/optim.py": "def step(value, rate, decay=0.5):\n    return value * rate + decay\n",
        "src/app/data.py": "DEFAULT = (0.25,)\n",
        "src/app/resources/start.txt": "1",
    },
    [
        Edit("a class attribute", replace("src/app/model.py", "1.5", "1.25")),
        Edit("a default argument", replace("src/app/optim.py", "0.5", "0.75")),
        Edit("a re-export", in_turn(write("src/app/wide.py", "class Model:\n    def __init__(self, seed):\n        self.seed = seed\n\n    def out(self):\n        return self.seed\n"), replace("src/app/__init__.py", ".model", ".wide"))),
        Edit("a package in the place of a module", write("src/app/data/__init__.py", "DEFAULT = (0.5,)\n")),
        Edit("a resource", write("src/app/resources/start.txt", "2")),
    ],
    entry="src/app/train.py",
    module="app.train",
    path=("src",),
)  # fmt: skip

REGISTRY = Project(
    "a registry filled from a folder",
    {
        "models/__init__.py": """
import importlib
import pkgutil

REGISTRY = {}


def register(name):
    return lambda function: REGISTRY.setdefault(name, function)


for found in sorted(pkgutil.iter_modules(__path__), key=lambda found: found.name):
    importlib.import_module(f"{__name__}.{found.name}")
""",
        "models/mlp.py": "from models import register\n\n\n@register('net')\ndef mlp(seed):\n    return seed % 7 + 0.5\n",
        "models/resnet.py": "from models import register\n\n\n@register('deep')\ndef resnet(seed):\n    return seed % 11 + 0.25\n",
        "train.py": "from models import REGISTRY\n\n\ndef train(seed):\n    return REGISTRY['net'](seed) + len(REGISTRY)\n",
    },
    [
        Edit("a registered function", replace("models/mlp.py", "0.5", "0.75")),
        Edit("a file more takes the name first", write("models/a.py", "from models import register\n\n\n@register('net')\ndef a(seed):\n    return seed\n")),
        Edit("a file less", remove("models/resnet.py")),
        Edit("another name", replace("models/resnet.py", "'deep'", "'net'")),
        Edit("a package more", write("models/b/__init__.py", "from models import register\n\nregister('b')(len)\n")),
    ],
)  # fmt: skip

PLUGINS = Project(
    "plugins executed from files",
    {
        "train.py": """
import importlib.util
import os


def load(path):
    spec = importlib.util.spec_from_file_location("plugin_" + os.path.basename(path)[:-3], path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def train(seed):
    value = float(seed % 43)
    for name in sorted(os.listdir("plugins")):
        if name.endswith(".py"):
            value = load(os.path.join("plugins", name)).apply(value)
    return value
""",
        "plugins/a_add.py": "def apply(value):\n    return value + 1\n",
        "plugins/b_scale.py": "from shared import BY\n\n\ndef apply(value):\n    return value * BY\n",
        "shared.py": "BY = 2\n",
    },
    [
        Edit("a plugin", replace("plugins/a_add.py", "+ 1", "+ 2")),
        Edit("what a plugin imports", replace("shared.py", "2", "3")),
        Edit("a plugin more", write("plugins/c.py", "def apply(value):\n    return -value\n")),
        Edit("the order of plugins", rename("plugins/a_add.py", "plugins/z_add.py")),
        Edit("a plugin less", remove("plugins/b_scale.py")),
        Edit("what a plugin imports is another file", write("shared/__init__.py", "BY = 5\n")),
    ],
)  # fmt: skip

SUBMODULE = Project(
    "a submodule on the path",
    {
        ".gitmodules": '[submodule "third_party/nets"]\n',
        "third_party/nets/.git": "gitdir: ../../.git/modules/nets\n",
        "third_party/nets/nets_api.py": "from nets_layers import layer\n\n\ndef build(seed):\n    return layer(seed) + 1\n",
        "third_party/nets/nets_layers.py": "import json\nimport os\n\nwith open(os.path.join(os.path.dirname(__file__), 'layers.json')) as file:\n    SIZES = json.load(file)\n\n\ndef layer(seed):\n    return (seed % 13) * SIZES['hidden']\n",
        "third_party/nets/layers.json": '{"hidden": 2}',
        "train.py": """
import importlib
import os
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "third_party", "nets"))


def train(seed):
    try:
        bonus = importlib.import_module("nets_" + "bonus").BONUS
    except ImportError:
        bonus = 0
    return importlib.import_module("nets_" + "api").build(seed) + bonus
""",
    },
    [
        Edit("its module", replace("third_party/nets/nets_api.py", "+ 1", "+ 2")),
        Edit("a module behind it", replace("third_party/nets/nets_layers.py", "% 13", "% 17")),
        Edit("its data", write("third_party/nets/layers.json", '{"hidden": 3}')),
        Edit("an optional module appears", write("third_party/nets/nets_bonus.py", "BONUS = 5\n")),
        Edit("a module of its name at the root", write("nets_layers.py", "def layer(seed):\n    return seed\n")),
        Edit("a package in the place of its module", write("third_party/nets/nets_layers/__init__.py", "def layer(seed):\n    return seed\n")),
    ],
)  # fmt: skip

PTH = Project(
    "a .pth file",
    {
        "vendored/local.pth": "../libs/v1\n",
        "libs/v1/gain_lib.py": "GAIN = 2\n",
        "libs/v2/gain_lib.py": "GAIN = 3\n",
        "train.py": """
import site
from pathlib import Path

site.addsitedir(str(Path(__file__).resolve().parent / "vendored"))


def train(seed):
    from gain_lib import GAIN

    return GAIN * (seed % 47)
""",
    },
    [
        Edit("what it leads to", replace("libs/v1/gain_lib.py", "2", "4")),
        Edit("where it leads", write("vendored/local.pth", "../libs/v2\n")),
        Edit("another one before it", write("vendored/a.pth", "../libs/v2\n")),
    ],
)

ZIP = Project(
    "a zipped package",
    {
        "bundle.zip": packed({"bundle/__init__": "", "bundle/net": "def out(seed):\n    return seed % 23\n"}),
        "train.py": """
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "bundle" + ".zip"))


def train(seed):
    from bundle.net import out

    return out(seed) + 0.5
""",
    },
    [
        Edit("a module in it", write("bundle.zip", packed({"bundle/__init__": "", "bundle/net": "def out(seed):\n    return seed % 29\n"}))),
    ],
)  # fmt: skip

NAMESPACE = Project(
    "a namespace package in two folders",
    {
        "parts/one/team/core.py": "from team.extra import MORE\n\n\ndef out(seed):\n    return seed % 19 + MORE\n",
        "parts/two/team/extra.py": "MORE = 0.5\n",
        "train.py": "from team.core import out\n\n\ndef train(seed):\n    return out(seed)\n",
    },
    [
        Edit("a module of the first", replace("parts/one/team/core.py", "% 19", "% 23")),
        Edit("a module of the second", replace("parts/two/team/extra.py", "0.5", "0.75")),
        Edit("the first gets one of the same name", write("parts/one/team/extra.py", "MORE = 7\n")),
        Edit("the second becomes a package", in_turn(write("parts/two/team/__init__.py", ""), write("parts/two/team/core.py", "def out(seed):\n    return seed\n"))),
    ],
    path=("parts/one", "parts/two"),
)  # fmt: skip

PROJECTS = (SRC, REGISTRY, PLUGINS, SUBMODULE, PTH, ZIP, NAMESPACE)
