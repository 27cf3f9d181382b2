"""Projects that are told what to do: hydra, omegaconf, dataclasses, arguments, TOML and INI, dotenv, a home folder, a template."""

# ruff: noqa: E501  # an edit a line reads best

from __future__ import annotations

from tests.staleness.projects.words import Edit, Project, in_turn, replace, variable, write

YAML = '''
import os
import re
from pathlib import Path


def value(text):
    text = re.sub(r"\\$\\{oc\\.env:(\\w+),([^}]*)\\}", lambda found: os.environ.get(found[1], found[2]), text.strip())
    try:
        return float(text)
    except ValueError:
        return text


def load(path):
    """Read nested `key: value` lines."""
    top = {}
    levels = [(-1, top)]
    for line in Path(path).read_text().splitlines():
        if not line.strip() or line.strip().startswith("#"):
            continue
        depth = len(line) - len(line.lstrip())
        key, _, text = line.strip().partition(":")
        while levels[-1][0] >= depth:
            levels.pop()
        if text.strip():
            levels[-1][1][key] = value(text)
        else:
            levels[-1][1][key] = {}
            levels.append((depth, levels[-1][1][key]))
    return top


def merge(one, two):
    for key, each in two.items():
        one[key] = merge(one.get(key, {}), each) if isinstance(each, dict) else each
    return one
'''

HYDRA = Project(
    "hydra",
    {
        "yaml_reader.py": YAML,
        "train.py": """
from importlib import import_module
from pathlib import Path

from yaml_reader import load, merge


def compose(folder="conf"):
    config = load(Path(folder) / "config.yaml")
    for group, choice in config.pop("defaults").items():
        merge(config, {group: load(Path(folder) / group / f"{choice}.yaml")})
    local = Path(folder) / "local" / "default.yaml"
    return merge(config, load(local)) if local.exists() else config


def instantiate(config):
    module, _, name = config.pop("_target_").rpartition(".")
    return getattr(import_module(module), name)(**config)


def train(seed):
    config = compose()
    return instantiate(config["model"]).loss(seed) * config["lr"]
""",
        "conf/config.yaml": "lr: 0.1\ndefaults:\n  model: small\n",
        "conf/model/small.yaml": "_target_: zoo.nets.Small\nwidth: 3\n",
        "conf/model/big.yaml": "_target_: zoo.nets.Big\nwidth: 9\n",
        "zoo/__init__.py": "",
        "zoo/nets.py": """
from zoo.init import start


class Small:
    def __init__(self, width, depth=2):
        self.width, self.depth = width, depth

    def loss(self, seed):
        return start(seed) / self.width + self.depth


class Big(Small):
    def loss(self, seed):
        return super().loss(seed) / 2
""",
        "zoo/init.py": "def start(seed):\n    return (seed * 7919 % 101) / 101 + 1\n",
    },
    [
        Edit("another choice of a group", replace("conf/config.yaml", "small", "big")),
        Edit("a value in the group's file", replace("conf/model/small.yaml", "width: 3", "width: 4")),
        Edit("a value more, for a default argument", replace("conf/model/small.yaml", "width: 3", "width: 3\ndepth: 4")),
        Edit("another _target_", replace("conf/model/small.yaml", "Small", "Big")),
        Edit("the class that only YAML names", replace("zoo/nets.py", "+ self.depth", "- self.depth")),
        Edit("what that class imports", replace("zoo/init.py", "101) / 101", "103) / 103")),
        Edit("a local override appears", write("conf/local/default.yaml", "lr: 0.2\n")),
        Edit("a module becomes a package", in_turn(write("zoo/init/__init__.py", "def start(seed):\n    return seed / 9\n"))),
    ],
)  # fmt: skip

OMEGACONF = Project(
    "omegaconf",
    {
        "yaml_reader.py": YAML,
        "settings/base.yaml": "optim:\n  lr: ${oc.env:LR,0.5}\n  momentum: 0.9\nmodel:\n  width: 8\n",
        "settings/experiment.yaml": "model:\n  width: 16\n",
        "train.py": """
from types import SimpleNamespace

from yaml_reader import load, merge


def structured(node):
    return SimpleNamespace(**{key: structured(each) if isinstance(each, dict) else each for key, each in node.items()})


def train(seed):
    config = structured(merge(load("settings/base.yaml"), load("settings/experiment.yaml")))
    return seed % 17 + config.optim.lr * config.optim.momentum / config.model.width
""",
    },
    [
        Edit("the base file", replace("settings/base.yaml", "0.9", "0.8")),
        Edit("a key of the override goes", write("settings/experiment.yaml", "other: 1\n")),
        Edit("the variable of an interpolation", variable("LR", "0.25")),
        Edit("the default of an interpolation", replace("settings/base.yaml", "LR,0.5", "LR,0.75")),
        Edit("the reader casts otherwise", replace("yaml_reader.py", "return float(text)", "return float(int(float(text) * 4) / 4)")),
    ],
)  # fmt: skip

DATACLASS = Project(
    "dataclass config with variables",
    {
        "app/__init__.py": "",
        "app/config.py": """
import os
from dataclasses import dataclass, field, fields


@dataclass
class Config:
    lr: float = 0.1
    width: int = 4
    betas: tuple = field(default_factory=lambda: (0.9, 0.95))

    def __post_init__(self):
        self.scale = 1 / self.width

    @classmethod
    def load(cls):
        prefix = "APP_"
        found = {f.name: type(f.default)(os.environ[prefix + f.name.upper()])
                 for f in fields(cls) if prefix + f.name.upper() in os.environ}
        return cls(**found)
""",
        "train.py": """
from app.config import Config


def train(seed):
    config = Config.load()
    total = float(seed % 13)
    for number, value in enumerate(vars(config).values()):
        total += (number + 1) * (sum(value) if isinstance(value, tuple) else value)
    return total * config.scale
""",
    },
    [
        Edit("a variable that the fields name", variable("APP_LR", "0.3")),
        Edit("another one", variable("APP_WIDTH", "8")),
        Edit("a default", replace("app/config.py", "int = 4", "int = 5")),
        Edit("a default factory", replace("app/config.py", "0.95", "0.99")),
        Edit("the order of fields", replace("app/config.py", "    lr: float = 0.1\n    width: int = 4\n", "    width: int = 4\n    lr: float = 0.1\n")),
        Edit("__post_init__", replace("app/config.py", "1 / self", "2 / self")),
    ],
)  # fmt: skip

ARGUMENTS = Project(
    "arguments from files",
    {
        "train.py": """
import argparse
import json
from pathlib import Path


def parser():
    known = argparse.ArgumentParser(fromfile_prefix_chars="@")
    known.add_argument("--seed", type=int)
    known.add_argument("--config")
    known.add_argument("--lr", type=float, default=0.1)
    known.add_argument("--extra", default=0.0, type=float)
    return known


def load(path):
    config = json.loads(Path(path).read_text())
    parent = config.pop("extends", None)
    return {**(load(Path(path).parent / parent) if parent else {}), **config}


def main(argv):
    args, _ = parser().parse_known_args(["@default" + ".args", *argv])
    config = load(args.config)
    loss = args.seed % 7 + args.lr * config["width"] + config["bias"] + args.extra
    print(f"Step 1 | val_loss: {loss!r}")
    return {"val_loss": loss}


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
""",
        "default.args": "--extra=0.5\n",
        "configs/run.json": '{"extends": "../shared/base.json", "width": 3}',
        "shared/base.json": '{"width": 1, "bias": 0.25}',
    },
    [
        Edit("a file of arguments", write("default.args", "--extra=0.75\n")),
        Edit("the file that a flag names", replace("configs/run.json", "3", "4")),
        Edit("the file that this extends", replace("shared/base.json", "0.25", "0.5")),
        Edit("it extends another", in_turn(write("shared/other.json", '{"bias": 9}'), replace("configs/run.json", "base", "other"))),
        Edit("the default of a flag", replace("train.py", "default=0.1", "default=0.2")),
    ],
    args=("--config", "configs/run.json"),
)  # fmt: skip

PROJECTS = (HYDRA, OMEGACONF, DATACLASS, ARGUMENTS)
