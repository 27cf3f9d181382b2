"""What the sources say against the seed of a run."""

from __future__ import annotations

import pytest

from pytest_exprun.running.options.seed_use import doubts
from pytest_exprun.settings.settings import Settings

OPTION = "python train.py --seed={seed} {output_dir} {flags}"
PARSER = (
    "import argparse\nparser = argparse.ArgumentParser()\nparser.add_argument('--seed')\nargs = parser.parse_args()\n"
)


@pytest.mark.parametrize(
    ("source", "said", "phrases"),
    [
        (PARSER + "fit(args.seed)", {"command": OPTION}, []),
        (PARSER + "fit()", {"command": OPTION}, ["no source reads --seed"]),
        ("fit(os.environ['SEED'])", {"command": "python train.py {output_dir} {flags}", "env": "SEED={seed}"}, []),
        (
            "import torch\ntorch.manual_seed(1337 + rank)",
            {"command": "python train.py {output_dir} {flags}", "env": "SEED={seed}"},
            [
                "train.py, line 2: torch.manual_seed(1337 + rank) has a fixed seed",
                "no source reads the variable SEED (exprun_env)",
            ],
        ),
        ("def main(seed): return seed", {"trainer": "train:main"}, []),
        ("def main(seed): return 1.0", {"trainer": "train:main"}, ["no source reads the seed"]),
        ("def main(**given): return fit(given['seed'])", {"trainer": "train:main"}, []),
        ('"""Ignores its seed."""\ndef main(argv): return {}', {"trainer": "train:main"}, ["no source reads the seed"]),
        ("cli(Args)", {"command": OPTION}, []),
        (PARSER + "import random\nrandom.seed(args.seed)\nsplit(x, random_state=0)", {"command": OPTION}, []),
    ],
)
def test_doubts(tmp_path, source, said, phrases):
    """A number in place of a seed, and a seed that is used nowhere; nothing where it may be used out of sight."""
    path = tmp_path / "train.py"
    path.write_text(source)
    assert doubts(Settings.read({"budget": "9 steps", **said}, tmp_path), [path], path) == phrases


def test_sources_that_are_no_python_tell_nothing(tmp_path):
    """No doubt is made up."""
    (tmp_path / "train.sh").write_text("python other.py")
    settings = Settings.read({"budget": "9 steps", "command": "./train.sh {seed} {output_dir} {flags}"}, tmp_path)
    assert doubts(settings, [tmp_path / "train.sh"], None) == []
