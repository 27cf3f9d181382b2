"""A function that trains: how it is called, what it returns, and the parameters that it lacks."""

from __future__ import annotations

import ast

from pytest_exprun.commands.setup.length import ini_text
from pytest_exprun.commands.setup.proposal import Proposal, amount
from pytest_exprun.running.options.script_options import BUDGETS, parameters_of
from pytest_exprun.running.options.seams import function_seam
from pytest_exprun.running.training.printed import returned_metrics
from pytest_exprun.terms.errors import SettingsError
from pytest_exprun.terms.model import Budget, lower_is_better


def call_by_keywords(made: Proposal, asked: Budget | None) -> None:
    """Call the one function that takes a seed and a budget.

    Raises:
        SettingsError: it has no parameter for the budget that was asked for.
    """
    function = next(each for each in made.functions() if each.name in made.script.functions)
    parameters = parameters_of(function)
    parameter = next(each for each in BUDGETS if each in parameters)
    unit = parameter.removeprefix("train_")
    if asked is not None and (wanted := f"train_{asked.unit}") not in parameters:
        raise SettingsError(f"{made.path}: {function.name} has no parameter {wanted} for a budget of {ini_text(asked)}")
    own = None if unit == "tokens" else f"{amount(parameters[parameter], unit)} {unit}"
    made.let_call(function)
    made.keys = {
        "trainer": f"{made.path.stem}:{function.name}",
        "budget": ini_text(asked) or own,
        **_metric_of(function),
    }


def call_when_patched(made: Proposal) -> None:
    """Propose the parameters that a function lacks.

    Raises:
        SettingsError: there is no function that could be given them.
    """
    path = made.path
    found = function_seam(path, made.sources, made.patch) if path.stem.isidentifier() else None
    if found is None:
        raise SettingsError(
            f"{path} only defines functions: run as a command it trains nothing. Give one the parameters seed and "
            f"{', '.join(BUDGETS[:-1])} or {BUDGETS[-1]}, every other one a default, and let it return its metrics"
        )
    name, steps = found
    function = next(each for each in made.functions() if each.name == name)
    made.let_call(function)
    made.keys = {"trainer": f"{path.stem}:{name}", "budget": f"{steps} steps", **_metric_of(function)}


def _metric_of(function: ast.FunctionDef) -> dict[str, str | None]:
    """Return the settings for what a function returns."""
    names = returned_metrics(function)
    if "val_loss" in names or not names:
        return {}
    known = [name for name in names if lower_is_better(name, {}) is not None]
    metric = next(iter([*(name for name in known if "train" not in name), *known]), None)
    score = next((name for name in names if "score" in name), None)
    if metric is None and score is not None:
        return {"metric": score, "higher_is_better": score}
    return {"metric": metric}
