"""The options of a script are read from its source, and it is never run."""

from __future__ import annotations

import pytest

from pytest_exprun.running.options.script_options import Option, read_script


def test_options_of_dataclasses_and_click_are_seen(tmp_path):
    """Other ways to declare options, read from the source; only argparse in one piece counts as complete."""
    path = tmp_path / "train.py"
    path.write_text("@dataclass\nclass Args:\n    seed: int = 1\n    lr: float = 2 * 3\n    fast: bool = False\n")
    script = read_script(path)
    assert {name: option.default for name, option in script.options.items()} == {"seed": 1, "lr": 6, "fast": False}
    path.write_text(
        "@click.option('--seed', default=1)\n@click.option('--fast', is_flag=True)\ndef main(seed, fast): ...\n"
    )
    script = read_script(path)
    assert script.options["fast"].is_switch
    assert not script.complete


PARSER = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--rope", action="store_true")
parser.add_argument("--lr", "--learning-rate", type=float, default=5 * 8)
"""


def test_a_parser_in_one_piece_has_no_other_option(tmp_path):
    """Names, defaults and switches are as written; whatever may add an option elsewhere leaves the list open."""
    path = tmp_path / "train.py"
    path.write_text(PARSER + "args = parser.parse_args()")
    script = read_script(path)
    assert script.complete
    assert script.options == {
        "rope": Option("rope", None, is_switch=True),
        "lr": Option("lr", 40),
        "learning_rate": Option("learning-rate", 40),
    }
    assert script.takes("nothing", "lr", "rope").name == "lr"
    for unsure in ("args, rest = parser.parse_known_args()", "add_more(parser)", "parser.add_argument(name)"):
        path.write_text(PARSER + unsure)
        assert not read_script(path).complete


@pytest.mark.parametrize(
    ("source", "seedings"),
    [
        ("import torch\ntorch.manual_seed(1337)", [(2, "torch.manual_seed(1337)")]),
        ("SEED = 42\nseed_everything(SEED)", [(1, "SEED = 42")]),
        ("torch.manual_seed(args.seed)", []),
    ],
)
def test_a_seed_that_is_written_down_is_found(tmp_path, source, seedings):
    """Runs of such a script would all be one run."""
    (tmp_path / "train.py").write_text(source)
    assert read_script(tmp_path / "train.py").seedings == seedings


def test_functions_that_train_are_found(tmp_path):
    """A seed and a budget by name, nothing else needed, something returned; a script that only defines them is idle."""
    path = tmp_path / "train.py"
    path.write_text("def train(seed, train_tokens, lr=0.5):\n    return lr\ndef helper(seed):\n    return seed\n")
    script = read_script(path)
    assert {name: list(options) for name, options in script.functions.items()} == {
        "train": ["seed", "train_tokens", "lr"]
    }
    assert (script.is_idle, script.has_main) == (True, False)
    path.write_text("def main(argv):\n    return {}\nmain([])\n")
    assert (read_script(path).is_idle, read_script(path).has_main) == (False, True)


def test_what_is_no_python_says_nothing(tmp_path):
    """Nor does what is not there."""
    (tmp_path / "train.py").write_text("this is no python")
    assert read_script(tmp_path / "train.py") is None
    assert read_script(tmp_path / "nowhere.py") is None
