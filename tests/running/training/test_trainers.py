"""Training functions: argv or keywords, decided by the signature; flags typed by annotation."""

# ruff: noqa: ARG005  # signatures are what is tested

from __future__ import annotations

import enum
import math
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from pytest_exprun.running.training.command import CommandTrainer
from pytest_exprun.running.training.keywords import keywords_of
from pytest_exprun.running.training.results import check_tokens, real_number, sort_returned
from pytest_exprun.running.training.trainers import CallableTrainer, from_settings
from pytest_exprun.terms.errors import TrainerError
from pytest_exprun.terms.model import Budget, RunSpec, Variant
from pytest_exprun.terms.settings import Settings


class Colour(enum.Enum):
    """An option with names."""

    RED = "red"
    BLUE = 2


def train(
    seed: int,
    train_tokens: int,
    output_dir: str,
    *,
    lr: float = 3e-4,
    layers: int | None = None,
    name: str = "x",
    rope: bool = False,
    betas: tuple[float, ...] = (0.9, 0.95),
    sizes: list[int] | None = None,
    schedule: Literal["cosine", "linear", 0] = "cosine",
    colour: Colour = Colour.RED,
    folder: Path | None = None,
    noted: Annotated[int, "positive"] = 1,
    plain=2,
    switch=False,
    anything: Any = None,
) -> float:
    """Take every kind of option."""


def arguments(*flags: str, function: Any = train, common: tuple[str, ...] = (), budget: Budget | None = None) -> dict:
    """Return what a function would be called with, without what the plugin gives."""
    keywords = keywords_of(function)
    assert keywords is not None
    given = keywords.arguments(RunSpec(Variant(flags), 42, budget or Budget(7), common), "out")
    return {name: value for name, value in given.items() if name not in {"seed", "train_tokens", "output_dir"}}


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--lr=3e-4"], {"lr": 3e-4}),
        (["--lr", "1"], {"lr": 1.0}),
        (["--lr=1", "--lr=2"], {"lr": 2.0}),
        (["--layers=3"], {"layers": 3}),
        (["--layers=none"], {"layers": None}),
        (["--name=3"], {"name": "3"}),
        (["--name="], {"name": ""}),
        (["--rope"], {"rope": True}),
        (["--no_rope"], {"rope": False}),
        (["--no-rope"], {"rope": False}),
        (["--rope", "--no_rope"], {"rope": False}),
        (["--rope=no"], {"rope": False}),
        (["--rope", "true"], {"rope": True}),
        (["--betas", "0.5", "1"], {"betas": (0.5, 1.0)}),
        (["--sizes=3"], {"sizes": [3]}),
        (["--schedule=linear"], {"schedule": "linear"}),
        (["--schedule=0"], {"schedule": 0}),
        (["--colour=red"], {"colour": Colour.RED}),
        (["--colour=BLUE"], {"colour": Colour.BLUE}),
        (["--folder=a/b"], {"folder": Path("a/b")}),
        (["--noted=3"], {"noted": 3}),
        (["--plain=3"], {"plain": 3}),
        (["--switch"], {"switch": True}),
        (["--no_switch"], {"switch": False}),
        (["--anything=1.5"], {"anything": 1.5}),
        (["--anything=false"], {"anything": False}),
        (["--anything"], {"anything": True}),
        (["--anything=word"], {"anything": "word"}),
    ],
)
def test_flags_become_typed_arguments(flags, expected):
    """The annotation, else the default's type, says how a text is read; types are exact."""
    found = arguments(*flags)
    assert found == expected
    assert [type(value) for value in found.values()] == [type(value) for value in expected.values()]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--lr=fast"], "cannot be given --lr fast: lr must be float"),
        (["--lr"], "cannot be given --lr: lr must be float"),
        (["--lr", "1", "2"], "lr must be float"),
        (["--layers=1.5"], "layers must be int | None"),
        (["--rope=maybe"], "rope must be bool"),
        (["--schedule=step"], "schedule must be Literal"),
        (["--rop"], "has no parameter rop; did you mean --rope?"),
        (["--no_lr"], "has no parameter no_lr"),
        (["--plain=x"], "plain must be int"),
    ],
)
def test_flags_that_do_not_fit_are_refused(flags, message):
    """The parameter and what it wants are named."""
    with pytest.raises(TrainerError) as error:
        arguments(*flags)
    assert message in str(error.value)


def test_collected_keywords_are_guessed():
    """`**flags` takes everything: numbers, true and false, none, else text; --no_x is x=False."""
    found = arguments("--a=1", "--b=1e-3", "--c=true", "--d=word", "--no_e", "--f", function=lambda seed, **flags: 0)
    assert found == {"a": 1, "b": 1e-3, "c": True, "d": "word", "e": False, "f": True}
    assert arguments("--a=1", function=lambda **config: 0) == {"a": 1}


def test_arguments_of_every_run_are_given_too():
    """exprun_args come first, an experiment's flags after them."""
    assert arguments("--lr=2", common=("--lr=1", "--plain=4")) == {"lr": 2.0, "plain": 4}


def test_seed_budget_and_folder_are_given_where_the_function_takes_them():
    """seed and the budget must be taken; the output folder need not."""
    keywords = keywords_of(lambda seed, train_tokens: 0)
    assert keywords.arguments(RunSpec(Variant(), 42, Budget(7)), "out") == {"seed": 42, "train_tokens": 7}
    seconds = keywords_of(lambda seed, train_seconds, output_dir: 0)
    assert seconds.arguments(RunSpec(Variant(), 1, Budget(9, "seconds")), "out") == {
        "seed": 1,
        "train_seconds": 9,
        "output_dir": "out",
    }


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda seed: 0, "has no parameter train_tokens: every run is told its own"),
        (lambda seed, train_tokens, data: 0, "needs the argument data: give it a default"),
    ],
)
def test_functions_that_cannot_be_told_what_they_need(function, message):
    """A missing budget, or an argument that nobody gives, is named."""
    with pytest.raises(TrainerError, match=message):
        arguments(function=function)


def test_the_signature_decides():
    """A parameter `seed` or only collected keywords means keywords; anything else means argv."""
    assert keywords_of(lambda argv: 0) is None
    assert keywords_of(lambda argv=None: 0) is None
    assert keywords_of(lambda argv, **more: 0) is None
    assert keywords_of(train) is not None
    assert keywords_of(lambda **config: 0) is not None
    with pytest.raises(TrainerError, match="takes no argument: it needs argv"):
        keywords_of(lambda: 0)
    with pytest.raises(TrainerError, match="cannot be given by name"):
        keywords_of(lambda seed, /: 0)


SOURCE = """
calls = []

def train(seed, train_tokens, output_dir, lr: float = 1.0, **more):
    calls.append((seed, train_tokens, lr, more))
    print(f"Step 1 | val_loss: {lr}")
    return lr if lr < 5 else {"val_loss": lr, "note": "big"}

def broken(seed, train_tokens):
    raise ValueError("bad shape")

def main(argv):
    return {"val_loss": float(len(argv))}
"""


@pytest.fixture
def trainer(tmp_path, monkeypatch):
    """Return a maker of trainers over one module; it is forgotten afterwards."""
    import sys

    name = f"lab_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    yield lambda function, metric="val_loss": CallableTrainer(f"{name}:{function}", tmp_path, metric)
    monkeypatch.delitem(sys.modules, name, raising=False)


def ignore(_point):
    """Hear nothing."""


def test_a_function_with_keywords_is_trained(trainer, tmp_path):
    """A lone number is the metric; progress lines are heard; the report's command calls the function again."""
    result = trainer("train").run(RunSpec(Variant(("--lr=2.5", "--x=1")), 42, Budget(7)), tmp_path, ignore)
    assert result.metrics == {"val_loss": 2.5}
    assert result.curve[0].values == {"val_loss": 2.5}
    command = result.provenance["command"]
    assert command.startswith("python -c 'from lab_")
    assert "seed=42, train_tokens=7" in command
    assert "lr=2.5, x=1)" in command
    other = trainer("train", metric="accuracy").run(RunSpec(Variant(("--lr=0.5",)), 42, Budget(7)), tmp_path, ignore)
    assert other.metrics == {"accuracy": 0.5}
    mapping = trainer("train").run(RunSpec(Variant(("--lr=9",)), 42, Budget(7)), tmp_path, ignore)
    assert (mapping.metrics, mapping.notes) == ({"val_loss": 9.0}, {"note": "big"})


def test_an_argv_function_is_called_as_before(trainer, tmp_path):
    """`main(argv)` gets the words."""
    result = trainer("main").run(RunSpec(Variant(("--rope",)), 42, Budget(7)), tmp_path, ignore)
    assert result.metrics == {"val_loss": 7.0}
    assert "command" not in result.provenance


def test_flags_are_refused_before_the_first_run(trainer):
    """The check asks the signature and calls nothing."""
    spec = RunSpec(Variant(("--lr=fast",)), 42, Budget(7))
    assert "lr must be float" in (trainer("train").rejects(spec) or "")
    assert trainer("train").rejects(RunSpec(Variant(("--lr=2",)), 42, Budget(7))) is None


def test_what_a_keyword_function_raises_is_told(trainer, tmp_path):
    """As with argv: seed, flags and the exception."""
    with pytest.raises(TrainerError, match=r"seed 42 of no flags: raised ValueError: bad shape"):
        trainer("broken").run(RunSpec(Variant(), 42, Budget(7)), tmp_path, ignore)


def test_the_settings_choose_the_trainer(tmp_path):
    """A command if there is one, else the function."""
    assert isinstance(from_settings(Settings(root=tmp_path)), CallableTrainer)
    command = {"command": "python t.py {seed} {output_dir} {flags}", "budget": "1 steps"}
    assert isinstance(from_settings(Settings.read(command, tmp_path)), CommandTrainer)


def test_numbers_are_metrics_and_the_rest_are_notes():
    """Non-finite numbers are None; bool, text and larger arrays are notes; a key must be text."""
    metrics, notes = sort_returned({"a": 1, "b": math.nan, "c": True, "d": "x", "e": [1.0], "f": 10**400})
    assert metrics == {"a": 1.0, "b": None}
    assert set(notes) == {"c", "d", "e", "f"}
    assert real_number(2 + 0j) is None
    with pytest.raises(TrainerError, match="returned the key 1"):
        sort_returned({1: 2.0})
    check_tokens({"train_tokens": 7.0}, 7)
    with pytest.raises(TrainerError, match="reports train_tokens = 8, asked for 7"):
        check_tokens({"train_tokens": 8.0}, 7)
