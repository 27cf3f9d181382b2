"""Command lines with placeholders: which there are, what must be among them, and filling them in. Standard library only."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from itertools import pairwise
from string import Formatter

from pytest_exprun.terms.errors import SettingsError
from pytest_exprun.terms.model import Budget, option_name

PLACEHOLDERS = ("seed", "output_dir", "flags", "train_tokens", "steps", "seconds")
FLAGS = "{flags}"

_BUDGETS = {"tokens": {"train_tokens", "steps"}, "steps": {"train_tokens", "steps"}, "seconds": {"seconds"}}
"""Unit of the budget -> placeholders that can carry it."""


def placeholders(text: str) -> set[str]:
    """Return the names in braces.

    Raises:
        ValueError: a brace without its partner, a name that is no placeholder, a conversion or format.
    """
    names = set()
    for _, name, spec, conversion in Formatter().parse(text):
        if name is None:
            continue
        if name not in PLACEHOLDERS or spec or conversion:
            known = ", ".join(f"{{{each}}}" for each in PLACEHOLDERS)
            raise ValueError(f"{{{name}}} is no placeholder: there are {known}; a literal brace is written twice")
        names.add(name)
    return names


def fill(text: str, values: Mapping[str, str]) -> str:
    """Replace the placeholders of one word; `{{` becomes `{`."""
    return text.format(**values)


def options_set(command: Sequence[str]) -> dict[str, str]:
    """Return the options that a command sets for each run by a placeholder, and how: `--lr={seed}` or `--seed {seed}`."""
    found = {}
    for word, following in pairwise((*command, "")):
        alone = "=" not in word and following != FLAGS and not following.startswith("-")
        if word.startswith("--") and placeholders(following if alone else word):
            found[option_name(word)] = f"{word} {following}" if alone else word
    return found


def options_last(command: Sequence[str]) -> dict[str, str]:
    """Return the options that a command sets behind the flags, and how: the last of two settings wins, so a flag would lose to them."""
    behind = command[command.index(FLAGS) + 1 :] if FLAGS in command else ()
    return {option_name(word): word for word in behind if word.startswith("--")}


def values_of(budget: Budget, tokens_per_step: int) -> dict[str, str]:
    """Return the placeholders that carry a budget. Tokens that are no whole number of steps are rounded up to one.

    Args:
        budget: of one run.
        tokens_per_step: 0 if unknown; then tokens and steps are not converted into each other.
    """
    values = {"train_tokens" if budget.unit == "tokens" else budget.unit: str(budget.amount)}
    if tokens_per_step and budget.unit == "tokens":
        values["steps"] = str(math.ceil(budget.amount / tokens_per_step))
    elif tokens_per_step and budget.unit == "steps":
        values["train_tokens"] = str(budget.amount * tokens_per_step)
    return values


def check_command(command: Sequence[str], env: Sequence[str], budget: Budget, tokens_per_step: int) -> None:
    """Refuse a command that cannot be told apart run by run.

    Raises:
        SettingsError: no {seed}, {output_dir} or {flags}, or no way to tell the script its budget; with the fix.
    """
    shown = f"exprun_command = {shlex.join(command)}"
    used = {name for word in (*command, *env) for name in placeholders(word)}
    inside = any("flags" in placeholders(word) and word != FLAGS for word in (*command, *env))
    if FLAGS not in command or inside:
        raise SettingsError(f"{shown}: {FLAGS} must be there as a word of its own: the flags of an experiment go there")
    if "seed" not in used:
        raise SettingsError(
            f"{shown}: no {{seed}}, and every run needs one of its own. Add the script's option, as in --seed={{seed}}; "
            "if it has none, set exprun_env = SEED={seed} and add a line to the script: "
            'torch.manual_seed(int(os.environ["SEED"]))'
        )
    if "output_dir" not in used:
        raise SettingsError(
            f"{shown}: no {{output_dir}}, and every run writes in a folder of its own, which is removed afterwards. "
            "Add the script's option, as in --out_dir={output_dir}, or set exprun_env = OUTPUT_DIR={output_dir}"
        )
    _check_budget(shown, used, budget, tokens_per_step)


def _check_budget(shown: str, used: set[str], budget: Budget, tokens_per_step: int) -> None:
    carried = used & {"train_tokens", "steps", "seconds"}
    if not carried and budget.unit == "tokens":
        raise SettingsError(
            f"{shown}: neither {{train_tokens}} nor {{steps}}, so the script is not told to train on {budget}. Add one, as in "
            "--max_iters={steps}, or say how long the script trains by itself, for instance exprun_budget = 2000 steps"
        )
    wrong = carried - _BUDGETS[budget.unit]
    if wrong:
        raise SettingsError(f"{shown}: {{{min(wrong)}}} is unknown where exprun_budget is an amount of {budget.unit}")
    missing = carried - set(values_of(budget, tokens_per_step))
    if missing:
        raise SettingsError(
            f"{shown}: {{{min(missing)}}} is unknown: the budget is {budget}, and exprun_tokens_per_step is not set; "
            "it is the batch size times the context length"
        )
