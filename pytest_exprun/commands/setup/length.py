"""How long a run trains: the words that tell a script, the budget, and the options that only make sense beside it."""

from __future__ import annotations

import re

from pytest_exprun.commands.setup.proposal import Proposal, amount
from pytest_exprun.running.options.script_options import Option, Script
from pytest_exprun.running.options.seams import length_in
from pytest_exprun.terms.errors import SettingsError
from pytest_exprun.terms.model import STANDARD_TOKENS, Budget

_CARRIED = {"tokens": "train_tokens", "steps": "steps", "seconds": "seconds"}
"""Unit of the budget -> the placeholder that tells it."""
FEWEST_STEPS = 100
"""A standard budget of fewer steps than this is not proposed: it would judge how a run begins."""
MOST_STEPS = 1000
"""What is proposed then, unless the script takes fewer by itself."""
_EVALUATES = re.compile(r"(eval|evaluate|val|valid|validation)_(loss_)?(interval|every|freq|frequency)")
_SCHEDULE = re.compile(r"(\w*_)?(decay|anneal|annealing|cosine|schedule)_(iters|steps|iterations)|t_max", re.IGNORECASE)
_WARMUP = re.compile(r"\w*warm_?up\w*(iters|steps|iterations)")


def how_long(made: Proposal, asked: Budget | None, *, is_again: bool) -> tuple[list[str], dict[str, str | None]]:
    """Return the words that tell the script how long to train, and the settings for it; without an option, its source is to be changed.

    Args:
        made: the proposal; gets notes, and the change of the source.
        asked: a budget that the user gave.
        is_again: the project is set up, so nothing needs to be found.

    Raises:
        SettingsError: nothing tells how long the script trains.
    """
    for unit, placeholder in _CARRIED.items():
        option = made.script.called(unit)
        if option is not None and _can_tell(made.script, unit, asked):
            words = [f"--{option.name}={{{placeholder}}}"]
            if unit != "steps":
                own = f"{amount(option, unit)} {unit}" if unit == "seconds" else None
                return words, _budget(made, ini_text(asked) or own)
            keys, steps = _in_steps(made, option, asked)
            return [*words, *_beside(made, option, steps)], keys
    if asked is not None:
        return [], {"budget": ini_text(asked)}
    return [], _in_source(made, is_again=is_again)


def ini_text(budget: Budget | None) -> str | None:
    """Return a budget as the ini file has it."""
    return None if budget is None else f"{budget.amount} {budget.unit}"


def _can_tell(script: Script, unit: str, asked: Budget | None) -> bool:
    """Whether an option of this unit tells the budget: a number of steps tells tokens where it is known how many one takes."""
    by_steps = unit == "steps" and asked is not None and asked.unit == "tokens" and tokens_per_step(script) is not None
    return asked is None or asked.unit == unit or by_steps


def _budget(made: Proposal, budget: str | None) -> dict[str, str | None]:
    if budget is None:
        made.said.append(f"budget: {Budget().suffix} tokens a run; exprun_tokens changes it")
    return {"budget": budget}


def _in_steps(made: Proposal, option: Option, asked: Budget | None) -> tuple[dict[str, str | None], int]:
    """Return the settings of a budget in steps, and how many they are: the user's, the standard tokens' or the script's own."""
    own, name = amount(option, "steps"), option.name.replace("-", "_")
    is_epoch, said = "epoch" in name, made.given is not None and name in made.given.said
    if is_epoch:
        made.notes.append(f"a step of the budget is an epoch of {made.path}")
    if asked is not None and asked.unit == "steps":
        return {"budget": ini_text(asked)}, asked.amount
    per_step = tokens_per_step(made.script)
    if asked is not None and per_step:
        return {"tokens": str(asked.amount), "tokens_per_step": str(per_step)}, -(-asked.amount // per_step)
    per_step = None if said or is_epoch or "timestep" in name else per_step
    if per_step:
        steps = -(-STANDARD_TOKENS // per_step)
        if steps >= FEWEST_STEPS:
            made.said.append(
                f"budget: {Budget().suffix} tokens a run, {steps} steps of {per_step}; exprun_tokens changes it"
            )
            return {"tokens_per_step": str(per_step)}, steps
    steps = min(own, MOST_STEPS) if per_step else own
    whose = "as the command says" if said else f"as {made.path} takes by itself"
    why = whose if steps == own else f"of the {own} that {made.path} takes by itself"
    made.said.append(f"budget: {steps} steps a run, {why}; exprun_budget changes it")
    return {"budget": f"{steps} steps"}, steps


def tokens_per_step(script: Script) -> int | None:
    """Return how many tokens a step takes, by the defaults of the script's options; None if they do not tell."""
    factors = [script.called("batch"), script.called("context"), script.called("accumulation") or Option("", 1)]
    sizes = [each.default for each in factors if each is not None and isinstance(each.default, int)]
    return sizes[0] * sizes[1] * sizes[2] if len(sizes) == len(factors) and min(sizes) > 0 else None


def _beside(made: Proposal, length: Option, steps: int) -> list[str]:
    """Let what is as long as the run stay so, and a script that would evaluate only afterwards evaluate at the end."""
    words, longer = [], []
    for name, option in made.script.settable.items():
        if type(option.default) is not int:
            continue
        follows = _SCHEDULE.fullmatch(name) and option.default == length.default
        if follows or (_EVALUATES.fullmatch(name) and option.default > steps):
            words.append(f"--{option.name}={{steps}}")
        elif _WARMUP.fullmatch(name) and option.default >= steps:
            longer.append(f"{option.name} = {option.default}")
    if longer:
        which = f"{', '.join(longer)} of {made.path}"
        made.notes.append(f"{which} is no shorter than a run of {steps} steps: set it in exprun_command")
    return words


def _in_source(made: Proposal, *, is_again: bool) -> dict[str, str | None]:
    """Return the budget that the source has as a number, which the patch lets the environment tell."""
    path, found = made.path, length_in(made.path, made.sources)
    if found is None and is_again:
        return {}
    if found is None and "fit" in made.script.words:
        made.notes.append(f"{path} does not say how long it trains: what it does by itself is called 1 step")
        return {"budget": "1 steps"}
    if found is None:
        raise SettingsError(
            f"{path} has no option for tokens, steps or seconds, and no loop with a number: say how long it trains by itself, as in "
            "`exprun init --budget '2000 steps'`"
        )
    if not found.is_told:
        made.patch.tell(found.literal, found.variable)
    made.environment.append(f"{found.variable}={{{_CARRIED[found.unit]}}}")
    if "EPOCH" in found.variable:
        made.notes.append(f"a step of the budget is an epoch of {path}")
    made.said.append(f"budget: {found.amount} {found.unit} a run, as {path} takes by itself; exprun_budget changes it")
    return {"budget": f"{found.amount} {found.unit}"}
