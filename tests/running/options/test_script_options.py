"""The options of a script are read from its source, and it is never run."""

from __future__ import annotations

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


def test_a_parser_that_a_function_returns_may_be_in_one_piece(tmp_path):
    """Where whoever calls that function only parses with it."""
    path = tmp_path / "train.py"
    made = "def build():\n" + "".join(f"    {line}\n" for line in PARSER.strip().splitlines()) + "    return parser\n"
    for use, complete in (
        ("args = build().parse_args()", True),
        ("p = build()\np.parse_args()", True),
        ("", True),
        ("extend(build())", False),
        ("p = build()\nextend(p)", False),
        ("p = build()\nq = p", False),
    ):
        path.write_text(made + use)
        assert read_script(path).complete is complete, use


def test_what_a_command_line_sets(tmp_path):
    """Fields of a class are no options where nothing reads them, nor is what the script computes again."""
    path = tmp_path / "train.py"
    fields = "@dataclass\nclass Args:\n    lr: float = 0.1\n    steps: int = 0\n    width: int = 8\n"
    path.write_text(fields)  # CLI only in a comment
    assert not read_script(path).settable
    assert not read_script(path).has_options
    computed = "args.steps = args.total // 2\nif args.width is None:\n    args.width = 4\nargs.lr = args.lr or 1\n"
    path.write_text(
        f"import tyro\n{fields}if __name__ == '__main__':\n    args = tyro.cli(Args)\n    "
        + computed.replace("\n", "\n    ")
    )
    script = read_script(path)
    assert set(script.settable) == {"lr", "width"}
    assert script.has_options
    assert script.called("steps") is None


def test_arguments_of_transformers_are_known(tmp_path):
    """They are declared in the library, where nobody looks."""
    path = tmp_path / "train.py"
    path.write_text(
        "from transformers import HfArgumentParser, TrainingArguments\nHfArgumentParser(TrainingArguments)\n"
    )
    script = read_script(path)
    assert [script.called(what).name for what in ("seed", "output_dir", "steps", "rate")] == [
        *("seed", "output_dir", "max_steps", "learning_rate"),
    ]


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
