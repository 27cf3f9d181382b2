"""`exprun init`: from a training script to ini keys and a first experiment, without running the script."""

from __future__ import annotations

import argparse
import ast
import os
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pytest_exprun.commands.console import Console
from pytest_exprun.running.options.patches import Patch
from pytest_exprun.running.options.script_options import BUDGETS, Option, Script, parameters_of, read_script
from pytest_exprun.running.options.seams import SEED, flag_seam, function_seam, length_in, seed_seam
from pytest_exprun.running.options.seedings import Sources
from pytest_exprun.running.training.printed import printed_metrics, returned_metrics
from pytest_exprun.settings.ini_file import write_keys
from pytest_exprun.settings.options import PREFIX
from pytest_exprun.settings.project import find_project
from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.errors import SettingsError
from pytest_exprun.terms.model import lower_is_better, option_name
from pytest_exprun.trust.identity.imports import script_closure

_AMOUNTS = {"steps": 1000, "seconds": 300}
"""How long to train where the source does not tell."""
_CARRIED = {"tokens": "train_tokens", "steps": "steps", "seconds": "seconds"}
"""Unit of the budget -> the placeholder that tells it."""
PATCH = "exprun-init.patch"
_WRITES = frozenset(
    [
        "open",
        "save",
        "savez",
        "dump",
        "mkdir",
        "makedirs",
        "SummaryWriter",
        "to_csv",
        "save_pretrained",
        "savefig",
        "save_checkpoint",
    ]
)
_NOT_ORDINARY = re.compile(
    r"seed|token|step|iter|epoch|second|time|budget|dir|path|output|device|worker|log|batch|val|eval|port|rank"
)
_RATE = re.compile(r"(^|_)lr(_|$)")
_NO_SCRIPTS = re.compile(r"(test_.*|.*_test|conftest|setup|__init__|noxfile)\.py")


@dataclass
class _Proposal:
    """What init writes, and what it asks to be done."""

    path: Path | None = None
    script: Script = field(default_factory=Script)
    keys: dict[str, str | None] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    patch: Patch = field(default_factory=Patch)
    flag: str | None = None
    environment: list[str] = field(default_factory=list)


def run(_settings: Settings, arguments: argparse.Namespace, console: Console) -> int:
    """Write the ini keys, a first experiment and what the script lacks as a patch, and print the next commands; the exit status is 0.

    Raises:
        SettingsError: there is no script or more than one, the project is set up already, or a file cannot be written.
    """
    project = find_project(Path.cwd(), os.environ)
    known = next((name for name in ("command", "trainer") if project.values.get(name)), None)
    if known:
        raise SettingsError(f"{project.file} is set up already: {PREFIX}{known} = {project.values[known]}")
    made = _proposal(arguments)
    keys = {name: text for name, text in made.keys.items() if text}
    Settings.read(keys, project.root)
    flag = made.flag or _first_flag(made.script)
    test = project.root / "experiments" / f"test_{option_name(flag).lower()}.py"
    diff = made.patch.diff(Path.cwd())
    try:
        file = write_keys(project, keys)
        made.notes += _write_test(test, flag)
        if diff:
            Path(PATCH).write_bytes(diff.encode())
    except OSError as error:
        raise SettingsError(f"{error.filename} cannot be written: {(error.strerror or str(error)).lower()}") from None
    console.show(_lines(file, keys, test, made.notes))
    if diff:
        changed = ", ".join(os.path.relpath(each) for each in made.patch.files())
        console.say(
            f"to do: {changed} must be told what differs from run to run; {PATCH} changes that and nothing else:"
        )
        console.print_data(diff.rstrip("\n"))
    console.show(_next(test, bool(diff)))
    return 0


def _proposal(arguments: argparse.Namespace) -> _Proposal:
    if arguments.own_command:
        return _Proposal(keys={"command": arguments.own_command, "budget": arguments.own_budget})
    path = _script(Path.cwd(), arguments.script)
    made = _Proposal(path, read_script(path) or Script())
    _fill(made, path, arguments.own_budget)
    return made


def _lines(file: Path, keys: Mapping[str, str], test: Path, notes: Sequence[str]) -> Iterator[str]:
    """Say what was written and what is left to do."""
    yield f"wrote to {os.path.relpath(file)}:"
    yield from (f"  {PREFIX}{key} = {value}" for key, value in keys.items())
    yield f"first experiment: {os.path.relpath(test)}"
    yield from (f"to do: {note}" for note in notes)


def _next(test: Path, patched: bool) -> Iterator[str]:
    """Say what to type next."""
    yield "next:"
    if patched:
        yield f"  git apply {PATCH}    (or: patch -p1 < {PATCH})"
    yield f"  pytest {os.path.relpath(test.parent)}/ --exprun-mode=plan"
    yield f"  pytest {os.path.relpath(test.parent)}/ -k {test.stem.removeprefix('test_')}"


def _script(folder: Path, given: str | None) -> Path:
    if given is not None:
        if not (folder / given).is_file():
            raise SettingsError(f"there is no script {given} in {folder}")
        return Path(os.path.relpath(given))
    scripts = {
        path: script
        for path in sorted(folder.glob("*.py"))
        if not _NO_SCRIPTS.fullmatch(path.name) and (script := read_script(path))
    }
    named = [path for path in scripts if path.stem.startswith(("train", "pretrain", "finetune"))]
    likely = named or [
        path
        for path, script in scripts.items()
        if script.called("seed") or script.functions or "seed(" in script.text or "backward()" in script.text
    ]
    likely = likely or list(scripts)
    if len(likely) != 1:
        found = ", ".join(path.name for path in likely or scripts) or "none"
        raise SettingsError(
            f"which script trains? {folder} has: {found}. Name it, as in `exprun init train.py`, or give --command"
        )
    return Path(likely[0].name)


def _fill(made: _Proposal, path: Path, budget: str | None) -> None:
    """Find the settings, empty ones among them, and what the script lacks."""
    script = made.script
    is_module = len(path.parts) == 1 and path.stem.isidentifier()
    if script.has_main and is_module:
        made.keys = {"trainer": f"{path.stem}:main"}
    elif len(script.functions) == 1 and is_module:
        made.keys = _function_keys(path, script, budget)
    elif script.is_idle and script.text.strip():
        _fill_function(made, path, _sources(path, script)[0])
    else:
        _fill_command(made, path, budget)


def _sources(path: Path, script: Script) -> tuple[Sources, list[str]]:
    """Return the script and everything of this folder that it imports, and the variables that it may take a seed from."""
    here = Path.cwd()
    closure = script_closure([path], [], [str(path.absolute().parent), str(here), *sys.path])
    files = dict.fromkeys([path, *(each.relative_to(here) for each in closure.files if each.is_relative_to(here))])
    variables = [name for name in sorted(closure.environment) if "SEED" in name.upper() and name != "PYTHONHASHSEED"]
    return Sources.read(files, has_options=script.has_options, variables=script.variables), variables


def _fill_function(made: _Proposal, path: Path, sources: Sources) -> None:
    """Propose the parameters that a function lacks."""
    found = function_seam(path, sources, made.patch) if path.stem.isidentifier() else None
    if found is None:
        raise SettingsError(
            f"{path} only defines functions: run as a command it trains nothing. Give one the parameters seed and "
            f"{', '.join(BUDGETS[:-1])} or {BUDGETS[-1]}, every other one a default, and let it return its metrics"
        )
    name, steps = found
    function = next(
        each for each in sources.trees[path].body if isinstance(each, ast.FunctionDef) and each.name == name
    )
    made.script.options = {
        name: option
        for name, option in parameters_of(function).items()
        if name not in {"seed", "random_state", "train_steps"}
    }
    made.script.fields = set()
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


def _fill_command(made: _Proposal, path: Path, budget: str | None) -> None:
    """Find the settings of a script that is run as a command; what it has no option for goes through its environment."""
    script = made.script
    sources, variables = _sources(path, script)
    words = ["python", _word(path.as_posix())]
    seed = script.called("seed")
    if seed:
        words.append(f"--{seed.name}={{seed}}")
    kept = seed_seam(path, sources, made.patch, seed.name.replace("-", "_") if seed else None)
    if made.patch or not seed:
        names = dict.fromkeys([*variables, *([SEED] if made.patch or not variables else [])])
        made.environment += [f"{name}={{seed}}" for name in names]
    for each in kept:
        why = (
            "makes the data, which must be the same for every seed" if each.makes_data else "is a generator of its own"
        )
        made.notes.append(
            f"look at {each.path}, line {each.line}: {each.text} has a fixed seed; left as it is, for it {why}"
        )
    if output := script.called("output_dir"):
        words.append(f"--{output.name}={{output_dir}}")
    else:
        made.environment.append("OUTPUT_DIR={output_dir}")
        if script.words & _WRITES:
            made.notes.append(f'{path} has no option for its output folder: let it write to os.environ["OUTPUT_DIR"]')
    length, keys = _length(made, path, sources, budget)
    _learn_defaults(script, sources)
    if not script.has_options:
        made.flag = flag_seam(path, sources, made.patch)
        if made.flag is None:
            made.notes.append(f"{path} reads no command line: give it an option, and name that in the first experiment")
    made.keys = {
        "command": " ".join([*words, *length, "{flags}"]),
        "env": " ".join(made.environment),
        **keys,
        **_printed(made, path, sources),
    }


def _learn_defaults(script: Script, sources: Sources) -> None:
    """Take the default of an option that has none from a field of the same name in an imported file."""
    others = [found.options for path in sources.trees if (found := read_script(path)) is not None]
    for name, option in script.options.items():
        if option.default is None and not option.is_switch:
            value = next(
                (each[name].default for each in others if name in each and each[name].default is not None), None
            )
            script.options[name] = replace(option, default=value)


def _printed(made: _Proposal, path: Path, sources: Sources) -> dict[str, str | None]:
    """Return the settings for the metric that the sources print."""
    found = printed_metrics(sources.trees.values())
    if not found:
        made.notes.append(
            f"{path} seems to print no validation loss: print lines such as 'Step 100 | val_loss: 2.3456'"
        )
        return {}
    best = found[0]
    if best.metric == "loss":
        made.notes.append(
            f"{path} prints no other metric than its training loss: print one on data that it does not train on"
        )
    return {"metric": None if best.metric == "val_loss" else best.metric, "pattern": best.pattern}


def _function_keys(path: Path, script: Script, budget: str | None) -> dict[str, str | None]:
    """Return the settings of a function that is called by keywords, and leave its parameters as the options."""
    ((name, script.options),) = script.functions.items()
    parameter = next(each for each in BUDGETS if each in script.options)
    unit = parameter.removeprefix("train_")
    if budget and (asked := f"train_{budget.rpartition(' ')[2]}") not in script.options:
        raise SettingsError(f"{path}: {name} has no parameter {asked} for a budget of {budget}")
    own = None if unit == "tokens" else f"{_amount(script.options[parameter], unit)} {unit}"
    tree = ast.parse(script.text)
    function = next(each for each in tree.body if isinstance(each, ast.FunctionDef) and each.name == name)
    return {"trainer": f"{path.stem}:{name}", "budget": budget or own, **_metric_of(function)}


def _word(text: str) -> str:
    """Return a text as one word of a command: its blanks quoted, its braces no placeholders."""
    return shlex.quote(text.replace("{", "{{").replace("}", "}}"))


def _amount(option: Option, unit: str) -> int:
    """How long the source says, or a guess."""
    return option.default if isinstance(option.default, int) and option.default > 0 else _AMOUNTS[unit]


def _length(
    made: _Proposal, path: Path, sources: Sources, budget: str | None
) -> tuple[list[str], dict[str, str | None]]:
    """Return the words that tell the script how long to train, and the settings for it; without an option, its source is to be changed."""
    for unit, placeholder in _CARRIED.items():
        option = made.script.called(unit)
        if option is not None and (budget or unit).endswith(unit):
            words = [f"--{option.name}={{{placeholder}}}"]
            counts_batches = "epoch" not in option.name and "timestep" not in option.name
            if unit == "steps" and not budget and counts_batches and (per_step := _tokens_per_step(made.script)):
                return words, {"tokens_per_step": str(per_step)}
            if "epoch" in option.name:
                made.notes.append(f"a step of the budget is an epoch of {path}")
            own = None if unit == "tokens" else f"{_amount(option, unit)} {unit}"
            return words, {"budget": budget or own}
    if budget:
        return [], {"budget": budget}
    found = length_in(path, sources)
    if found is None and "fit" in made.script.words:
        made.notes.append(f"{path} does not say how long it trains: what it does by itself is called 1 step")
        return [], {"budget": "1 steps"}
    if found is None:
        raise SettingsError(
            f"{path} has no option for tokens, steps or seconds, and no loop with a number: say how long it trains by itself, as in "
            "`exprun init --budget '2000 steps'`"
        )
    made.patch.tell(found.literal, found.variable)
    made.environment.append(f"{found.variable}={{{_CARRIED[found.unit]}}}")
    if "EPOCH" in found.variable:
        made.notes.append(f"a step of the budget is an epoch of {path}")
    return [], {"budget": f"{found.amount} {found.unit}"}


def _tokens_per_step(script: Script) -> int | None:
    factors = [script.called("batch"), script.called("context"), script.called("accumulation") or Option("", 1)]
    sizes = [each.default for each in factors if each is not None and isinstance(each.default, int)]
    return sizes[0] * sizes[1] * sizes[2] if len(sizes) == len(factors) and min(sizes) > 0 else None


def _first_flag(script: Script) -> str:
    """Return a flag worth a first experiment."""
    rates = [script.called("rate"), *(each for name, each in script.settable.items() if _RATE.search(name))]
    if rate := next((each for each in rates if each and _is_positive(each.default)), None):
        return f"--{rate.name}={2 * rate.default:g}"
    if number := next((each for name, each in script.settable.items() if _is_ordinary(name, each)), None):
        return f"--{number.name}={2 * number.default or 0.1:g}"
    return next((f"--{each.name}" for each in script.settable.values() if each.is_switch), "--your_flag")


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _is_ordinary(name: str, option: Option) -> bool:
    """Whether an option is a fraction that may change what is learned, not how long, where or how it is shown."""
    return isinstance(option.default, float) and not _NOT_ORDINARY.search(name)


def _write_test(path: Path, flag: str) -> list[str]:
    """Write the first experiment; return a note if there is one already."""
    if path.exists():
        return [f"{path} was there already and is left as it is"]
    path.parent.mkdir(exist_ok=True)
    question = f"What do you expect of {flag}, and why? Write it here before the run: the report quotes it."
    path.write_text(
        f'"""{question}"""\n\nfrom pytest_exprun import experiment\n\n\n'
        f'@experiment("{flag}")\ndef {path.stem}(comparison):\n    assert comparison.not_loser\n',
        encoding="utf-8",
    )
    return []
