"""Projects that read what lies around them: TOML and INI, dotenv and optional modules, a home folder, templates."""

# ruff: noqa: E501  # an edit a line reads best

from __future__ import annotations

from tests.staleness.projects.words import Edit, Project, in_turn, remove, rename, replace, variable, write

TOML_INI = Project(
    "TOML and INI",
    {
        "train.py": """
import configparser
import tomllib


def train(seed):
    with open("pyproject.toml", "rb") as file:
        tool = tomllib.load(file)["tool"]["trainer"]
    ini = configparser.ConfigParser()
    ini.read(["defaults.ini", "site.ini", "user.ini"])
    return seed % 19 + tool["lr"] + ini.getfloat("optim", "decay") * ini.getint("optim", "steps")
""",
        "pyproject.toml": "[tool.trainer]\nlr = 0.1\n",
        "defaults.ini": "[DEFAULT]\nbase = 2\n[optim]\ndecay = 0.%(base)s\nsteps = 10\n",
        "site.ini": "[optim]\nsteps = 20\n",
    },
    [
        Edit("pyproject.toml", replace("pyproject.toml", "0.1", "0.2")),
        Edit("an interpolated default", replace("defaults.ini", "base = 2", "base = 3")),
        Edit("a file that overrides", replace("site.ini", "20", "30")),
        Edit("a file that overrides goes", remove("site.ini")),
        Edit("a file that overrides appears", write("user.ini", "[optim]\nsteps = 5\n")),
    ],
)  # fmt: skip

DOTENV = Project(
    "dotenv and optional modules",
    {
        "train.py": """
import os
from os import environ as E

from env_file import read

read(".env")
try:
    from local_settings import SCALE
except ImportError:
    SCALE = 1.0


def train(seed):
    bonus = {**E}.get("PATH") and 0.5
    return seed % 11 * SCALE + float(E.get("_".join(["base", "lr"]), 1)) + float(os.getenv("WARM" + "UP") or 0) + bonus
""",
        "env_file.py": """
import os
from pathlib import Path


def read(name):
    path = Path(__file__).parent / name
    if path.is_file():
        for line in path.read_text().splitlines():
            key, _, value = line.partition("=")
            os.environ.setdefault(key, value)
""",
        ".env": "WARMUP=3\n",
    },
    [
        Edit("the file", write(".env", "WARMUP=4\n")),
        Edit("a variable that takes its place", variable("WARMUP", "9")),
        Edit("the file goes", remove(".env")),
        Edit("a lower-case variable", variable("base_lr", "2")),
        Edit("an optional module appears", write("local_settings.py", "SCALE = 2.0\n")),
    ],
)

HOME = Project(
    "data below the home folder",
    {
        "train.py": """
import json
import os
from pathlib import Path


def user_config():
    for path in (Path("~/.trainer/config.json").expanduser(), Path.home() / "trainer.json"):
        if path.exists():
            return json.loads(path.read_text())
    return {"lr": 0.5}


def train(seed):
    hub = Path(os.path.expanduser("~")) / ".cache" / "huggingface" / "datasets"
    text = "".join(sorted(path.read_text() for path in hub.glob("*.txt")))
    return seed % 23 + len(text) + sum(map(ord, text)) / 1000 + user_config()["lr"]
""",
        "../home/.cache/huggingface/datasets/a.txt": "some text",
        "../home/trainer.json": '{"lr": 0.25}',
    },
    [
        Edit("a data set of a hub", write("../home/.cache/huggingface/datasets/a.txt", "more text")),
        Edit("a data set more", write("../home/.cache/huggingface/datasets/b.txt", "b")),
        Edit("the user's configuration", write("../home/trainer.json", '{"lr": 0.75}')),
        Edit("the one before it appears", write("../home/.trainer/config.json", '{"lr": 1}'), by_nature=True),
        Edit("another home", in_turn(write("../elsewhere/.cache/huggingface/datasets/a.txt", "x"), lambda site: site.environ.update(HOME=site.environ["ELSEWHERE"]))),
    ],
)  # fmt: skip

TEMPLATE = Project(
    "templates of prompts",
    {
        "train.py": """
import re
from pathlib import Path

FOLDER = Path(__file__).parent / "prompts"


def render(name, **values):
    text = (FOLDER / (name + ".j2")).read_text(encoding="utf-8")
    text = re.sub(r"{% include '(\\w+)' %}", lambda found: render(found[1], **values), text)
    return re.sub(r"{{ *(\\w+) *}}", lambda found: str(values.get(found[1], "")), text)


def train(seed):
    text = render("question", seed=seed, subject=Path("subjects.txt").read_text().splitlines()[seed % 2])
    return sum(map(ord, text)) / 100
""",
        "prompts/question.j2": "{% include 'system' %}What of {{ subject }} and {{ seed }}?",
        "prompts/system.j2": "Be brief. ",
        "subjects.txt": "stars\nseas\n",
    },
    [
        Edit("a template", replace("prompts/question.j2", "What", "Which")),
        Edit("a template that is included", replace("prompts/system.j2", "brief", "short")),
        Edit("a blank at the end", replace("prompts/system.j2", "brief. ", "brief.  ")),
        Edit("another one is included", in_turn(rename("prompts/system.j2", "prompts/start.j2"), replace("prompts/question.j2", "'system'", "'start'"), write("prompts/start.j2", "Go. "))),
        Edit("a list", replace("subjects.txt", "stars", "moons")),
    ],
)  # fmt: skip

PROJECTS = (TOML_INI, DOTENV, HOME, TEMPLATE)
