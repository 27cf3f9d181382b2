"""What a script lacks is one line each, and the script then does what it is told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pytest_exprun.running.options.patches import Patch
from pytest_exprun.running.options.seams import flag_seam, function_seam, length_in, output_seam, seed_seam
from pytest_exprun.running.options.seedings import Sources

SCRIPT = Path("train.py")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Stand in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sources_of(text, **options):
    """Write the script, and read it."""
    SCRIPT.write_text(text)
    return Sources.read([SCRIPT], **options)


def run(folder, patch, **variables):
    """Apply a patch if there is one, run the script, and return what it prints."""
    if patch:
        subprocess.run(["git", "apply", "-"], input=patch.diff(folder).encode(), check=True, cwd=folder)
    done = subprocess.run([sys.executable, SCRIPT], env=variables, check=True, capture_output=True, text=True)
    return done.stdout


@pytest.mark.parametrize(
    "source",
    [
        "import random\nrandom.seed(0)\nprint(random.random())\n",
        "import random\nrandom.seed(3)\nSEED = 1337\nrandom.seed(SEED)\nprint(random.random())\n",
        "import random\nprint(random.random())\n",
        "#!/usr/bin/env python\nfrom random import random\nprint(random())\n",
        "from random import Random\nprint(Random(5).random())\n",
        "from random import Random\ndef draw(random_state=0):\n    return Random(random_state).random()\nprint(draw())\n",
        (
            "from random import Random\nclass Net:\n    def __init__(self, random_state=0):\n        self.random_state = random_state\n"
            "    def fit(self):\n        return Random(self.random_state).random()\nprint(Net().fit())\n"
        ),
    ],
)
def test_two_seeds_give_two_results(folder, source):
    """Fixed in one place or in two, or not at all: afterwards a seed says what is drawn."""
    patch = Patch()
    assert seed_seam(SCRIPT, sources_of(source, has_options=False), patch, None) == []
    first = run(folder, patch, SEED="1")
    assert run(folder, None, SEED="1") == first != run(folder, None, SEED="2")


def test_data_and_the_generators_beside_a_told_seed_stay(folder):  # noqa: ARG001
    """They are returned, to be looked at; a fixed seed that undoes the told one is changed."""
    source = "import random\nrandom.seed(args.seed)\nrng = random.Random(3)\nsplit(x, random_state=4)\nrandom.seed(5)\n"
    patch = Patch()
    kept = seed_seam(SCRIPT, sources_of(source), patch, "seed")
    assert [each.line for each in kept] == [3, 4]
    assert "-random.seed(5)" in patch.diff(Path())
    patch = Patch()
    assert not seed_seam(SCRIPT, sources_of("fit(seed=args.seed)"), patch, "seed")
    assert not patch


def test_scikit_learn_draws_from_numpy(folder):  # noqa: ARG001
    """Also where the script itself never imports it."""
    patch = Patch()
    seed_seam(SCRIPT, sources_of("from sklearn.svm import SVC\nSVC().fit()\n"), patch, None)
    assert '+import numpy\n+numpy.random.seed(int(os.environ.get("SEED", "0")))\n' in patch.diff(Path())


def test_libraries_are_seeded_by_the_names_they_have(folder):  # noqa: ARG001
    """numpy for scikit-learn, torch also where only parts of it are imported."""
    patch = Patch()
    seed_seam(SCRIPT, sources_of("import numpy as np\nfrom torch import nn\nimport sklearn.svm\nfit()\n"), patch, None)
    added = [line[1:] for line in patch.diff(Path()).splitlines() if line.startswith("+")][1:]
    told = 'int(os.environ.get("SEED", "0"))'
    assert added == ["import os", "import torch", f"torch.manual_seed({told})", f"np.random.seed({told})"]


@pytest.mark.parametrize(
    ("source", "length"),
    [
        ("TIME_BUDGET = 5 * 60\n", (300, "seconds", "TIME_BUDGET")),
        ("max_iters = 70\n", (70, "steps", "MAX_ITERS")),
        ("for step in range(40):\n    loss.backward()\n", (40, "steps", "STEPS")),
        ("for step in range(2):\n    show()\nfor step in range(8):\n    loss.backward()\n", (8, "steps", "STEPS")),
        ("n = 3\nfor epoch in tqdm(range(1, n)):\n    train(model)\n", (3, "steps", "EPOCHS")),
    ],
)
def test_how_long_a_script_trains_is_found(folder, source, length):  # noqa: ARG001
    """A constant with a known name, else the bound of the loop that trains."""
    found = length_in(SCRIPT, sources_of(source))
    assert (found.amount, found.unit, found.variable) == length


def test_a_length_that_is_told_already_is_known(folder):  # noqa: ARG001
    """After our patch a script still says how long it trains; a variable of another name says nothing."""
    text = (
        "LR = int(os.environ.get('LR', '3'))\nfor step in range(int(os.getenv('STEPS', '40'))):\n    loss.backward()\n"
    )
    found = length_in(SCRIPT, sources_of(text))
    assert (found.amount, found.unit, found.variable, found.is_told) == (40, "steps", "STEPS", True)
    assert not length_in(SCRIPT, sources_of("STEPS = 7\n")).is_told


def test_an_output_folder_is_told_and_stays_what_it_is_without(folder):
    """One text of a known name, as it is or as a path; a file is none, nor is a name that nothing uses."""
    source = "from pathlib import Path\nout_dir = 'here'\nRUN_DIR = Path('there')\nsave_path = 'm.pt'\nlogdir = 'x'\n"
    patch = Patch()
    assert output_seam(sources_of(source + "print(out_dir, RUN_DIR, save_path)\n"), patch)
    assert run(folder, patch) == "here there m.pt\n"
    assert run(folder, None, OUTPUT_DIR="o") == "o o m.pt\n"
    assert not output_seam(sources_of("logdir = 'x'\n"), Patch())


def test_a_loop_over_data_is_no_budget(folder):  # noqa: ARG001
    """Nor is one whose bound comes from outside."""
    assert (
        length_in(SCRIPT, sources_of("for i in range(9):\n    train(i)\nfor step in range(args.n):\n    train()\n"))
        is None
    )


def test_a_script_without_a_command_line_gets_its_first_option(folder):
    """The rate before other numbers; unknown flags are refused from then on."""
    patch = Patch()
    assert flag_seam(SCRIPT, sources_of("clip = 1.0\nLR = 0.25  # step size\nprint(LR)\n"), patch) == "--lr=0.5"
    assert run(folder, patch) == "0.25\n"
    done = subprocess.run([sys.executable, SCRIPT, "--lr=0.5"], check=True, capture_output=True, text=True)
    assert done.stdout == "0.5\n"
    assert flag_seam(SCRIPT, sources_of("n = 3\n"), Patch()) is None


def test_what_a_model_is_made_with_is_an_option_too(folder):  # noqa: ARG001
    """Where there is no number with a name of its own; how data are split is none."""
    patch = Patch()
    source = "a = split(x, test_size=0.2, random_state=1)\nm = Forest(random_state=0, max_depth=8)\n"
    assert flag_seam(SCRIPT, sources_of(source), patch) == "--max_depth=16"
    assert "+m = Forest(random_state=0, max_depth=flags.parse_args().max_depth)" in patch.diff(Path())


@pytest.mark.parametrize(
    "source",
    [
        "import random\n\ndef train(lr=0.1):\n    return lr * random.random()\n",
        "import random\n\ndef train(lr=0.1, random_state=0):\n    '''Train.'''\n    return random.Random(random_state).random()\n",
        "import random\n\ndef train():\n    random.seed(0)\n    for it in range(3): x = TRAIN()\n    return x\nTRAIN = random.random",
        "import random\nSEED = 4\n\ndef train():\n    random.seed(SEED)\n    return random.random()\n",
    ],
)
def test_a_function_gets_the_parameters_that_it_lacks(folder, source):
    """Called as before it does what it did; a seed says what is drawn, train_steps how long it goes on."""
    patch = Patch()
    sources = sources_of(
        source + "\n\nif __name__ == '__main__':\n    print([train(seed=s, train_steps=3) for s in (1, 1, 2)])\n"
    )
    assert function_seam(SCRIPT, sources, patch)[0] == "train"
    one, again, other = run(folder, patch)[1:-2].split(",")
    assert float(one) == float(again) != float(other)
