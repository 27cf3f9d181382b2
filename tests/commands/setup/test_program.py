"""A script that is run as a command: its words, its environment and its patch."""

from __future__ import annotations

import shlex

import pytest

from pytest_exprun.commands.setup.given import Given
from pytest_exprun.commands.setup.program import run_as_command
from pytest_exprun.commands.setup.proposal import Proposal
from pytest_exprun.running.options.script_options import read_script

PARSER = """
import argparse, random
parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--max-steps", type=int, default=70)
parser.add_argument("--out_dir", default="out")
parser.add_argument("--lr", type=float, default=0.5)
args = parser.parse_args()
random.seed(args.seed)
print(f"Step 1 | val_loss: {1.0}")
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Stand in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def proposal(folder, text, command="train.py"):
    """Return what is proposed for a script and its command."""
    (folder / "train.py").write_text(text)
    given = Given.read(folder, shlex.split(command))
    script = read_script(given.script)
    given.settle(script)
    made = Proposal.of(given, script)
    run_as_command(made, None, is_again=False)
    return made


def test_the_users_command_is_kept_but_for_what_differs_from_run_to_run(folder):
    """Seed, folder and steps become placeholders, once each; blanks and braces in the other words stay what they are."""
    command = "python3 -u train.py --seed 3 --max-steps=9 --name='a {b}' --out_dir=here --lr=0.25"
    made = proposal(folder, PARSER, command)
    assert made.keys["command"] == (
        "python3 -u train.py '--name=a {{b}}' --lr=0.25 --seed={seed} --out_dir={output_dir} --max-steps={steps} {flags}"
    )
    assert made.keys["budget"] == "9 steps"
    assert not made.patch


@pytest.mark.parametrize(
    ("constant", "changed"),
    [
        ("out_dir = 'out'", "+out_dir = os.environ.get(\"OUTPUT_DIR\", 'out')"),
        ('SAVE_DIR = Path("runs")', "+SAVE_DIR = Path(os.environ.get(\"OUTPUT_DIR\", 'runs'))"),
        ("OUT_DIR = 'model.pt'", ""),
        ("out_dir = 'out'\nout_dir = 'b'", ""),
    ],
)
def test_an_output_folder_that_is_a_constant_is_told_by_the_patch(folder, constant, changed):
    """Where it is one text that is used later; a file, or a name that is given twice, is left to do."""
    name = constant.partition(" ")[0]
    text = f"import random\nfrom pathlib import Path\n{constant}\nrandom.seed(1)\nfor step in range(9):\n    train()\n"
    made = proposal(folder, f"{text}save(m, os.path.join({name}, 'm'))\nprint(f'val_loss: {{1.0}}')\n")
    assert made.environment == ["SEED={seed}", "OUTPUT_DIR={output_dir}", "STEPS={steps}"]
    assert changed in made.patch.diff(folder)
    assert any("output folder" in note for note in made.notes) is not bool(changed)


def test_a_script_that_reads_the_variable_is_left_alone(folder):
    """Applied once, the seam is not asked for again."""
    made = proposal(folder, "import os, random\nrandom.seed(int(os.environ['SEED']))\nopen(os.environ['OUTPUT_DIR'])\n"
                            "for step in range(9):\n    train()\n")  # fmt: skip
    assert not any("output folder" in note for note in made.notes)
