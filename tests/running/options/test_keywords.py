"""Flags become the keyword arguments of a training function, typed by its annotations."""

# ruff: noqa: ARG005  # signatures are what is tested

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from pytest_exprun.running.options.keywords import keywords_of
from pytest_exprun.terms.errors import TrainerError
from pytest_exprun.terms.model import Budget, RunSpec, Variant


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
