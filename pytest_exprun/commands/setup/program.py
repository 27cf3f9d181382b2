"""A script that is run as a command: how it is told its seed, its output folder and its budget, by options or through its environment."""

from __future__ import annotations

import shlex
from dataclasses import replace

from pytest_exprun.commands.setup.length import how_long
from pytest_exprun.commands.setup.proposal import Proposal
from pytest_exprun.running.options.script_options import read_script
from pytest_exprun.running.options.seams import OUTPUT_DIR, SEED, flag_seam, output_seam, seed_seam
from pytest_exprun.running.training.printed import printed_metrics
from pytest_exprun.terms.model import Budget

_WRITES = frozenset(
    {"open", "save", "savez", "dump", "mkdir", "makedirs", "SummaryWriter", "to_csv"}
    | {"save_pretrained", "savefig", "save_checkpoint"}
)


def run_as_command(made: Proposal, asked: Budget | None, *, is_again: bool) -> None:
    """Find the settings; what the script has no option for goes through its environment.

    Args:
        made: the proposal, which gets them.
        asked: a budget that the user gave.
        is_again: the project is set up already.

    Raises:
        SettingsError: nothing tells how long the script trains.
    """
    assert made.given is not None
    own = [*_seed(made), *_output_dir(made)]
    length, keys = how_long(made, asked, is_again=is_again)
    own += length
    _learn_defaults(made)
    if not made.script.has_options:
        made.flag = flag_seam(made.path, made.sources, made.patch)
        if made.flag is None:
            made.notes.append(
                f"{made.path} reads no command line: give it an option, and name that in the first experiment"
            )
    told = {word.removeprefix("--").partition("=")[0].replace("-", "_") for word in own}
    words = [*made.given.before, made.path.as_posix(), *made.given.without(told, made.script)]
    made.keys = {
        "command": " ".join([*map(_word, words), *own, "{flags}"]),
        "env": " ".join(made.environment),
        **keys,
        **_printed(made),
    }


def _seed(made: Proposal) -> list[str]:
    """Return the words that tell the seed; where a source seeds by itself, a variable tells it."""
    seed = made.script.called("seed")
    kept = seed_seam(made.path, made.sources, made.patch, seed.name.replace("-", "_") if seed else None)
    if made.patch or not seed:
        names = dict.fromkeys([*made.variables, *([SEED] if made.patch or not made.variables else [])])
        made.environment += [f"{name}={{seed}}" for name in names]
    for each in kept:
        why = (
            "makes the data, which must be the same for every seed" if each.makes_data else "is a generator of its own"
        )
        made.notes.append(
            f"look at {each.path}, line {each.line}: {each.text} has a fixed seed; left as it is, for it {why}"
        )
    return [f"--{seed.name}={{seed}}"] if seed else []


def _output_dir(made: Proposal) -> list[str]:
    """Return the words that tell the output folder, else let a variable tell it."""
    if output := made.script.called("output_dir"):
        return [f"--{output.name}={{output_dir}}"]
    made.environment.append(f"{OUTPUT_DIR}={{output_dir}}")
    writes = bool(made.script.words & _WRITES)
    if writes and not output_seam(made.sources, made.patch) and OUTPUT_DIR not in made.script.text:
        made.notes.append(
            f'{made.path} has no option for its output folder: let it write to os.environ["{OUTPUT_DIR}"]'
        )
    return []


def _learn_defaults(made: Proposal) -> None:
    """Take the default of an option that has none from a field of the same name in an imported file."""
    others = [found.options for path in made.sources.trees if (found := read_script(path)) is not None]
    for name, option in made.script.options.items():
        if option.default is None and not option.is_switch:
            value = next(
                (each[name].default for each in others if name in each and each[name].default is not None), None
            )
            made.script.options[name] = replace(option, default=value)


def _printed(made: Proposal) -> dict[str, str | None]:
    """Return the settings for the metric that the sources print."""
    found = printed_metrics(made.sources.trees.values())
    if not found:
        made.notes.append(
            f"{made.path} seems to print no validation loss: print lines such as 'Step 100 | val_loss: 2.3456'"
        )
        return {}
    best = found[0]
    if best.metric == "loss":
        made.notes.append(
            f"{made.path} prints no other metric than its training loss: print one on data that it does not train on"
        )
    return {"metric": None if best.metric == "val_loss" else best.metric, "pattern": best.pattern}


def _word(text: str) -> str:
    """Return a text as one word of a command: its blanks quoted, its braces no placeholders."""
    return shlex.quote(text.replace("{", "{{").replace("}", "}}"))
