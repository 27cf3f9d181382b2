"""`exprun init`: from a training script to ini keys and a first experiment, without running the script."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pytest_exprun.commands.console import Console
from pytest_exprun.running.options.script_options import BUDGETS, Option, Script, read_script
from pytest_exprun.settings.options import PREFIX
from pytest_exprun.settings.project import Project, find_project
from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.errors import SettingsError
from pytest_exprun.terms.model import option_name

_SPELLINGS = {
    "seed": "seed random_seed manual_seed rng_seed global_seed",
    "output_dir": "output_dir out_dir save_dir checkpoint_dir ckpt_dir default_root_dir log_dir logdir workdir work_dir run_dir exp_dir "
    "output out save_path checkpoint_path",
    "tokens": "train_tokens max_tokens num_tokens total_tokens max_train_tokens",
    "steps": "max_iters max_steps num_iterations num_steps train_steps total_steps num_train_steps steps iterations iters n_iters "
    "num_iters max_iterations n_steps",
    "seconds": "time_budget max_seconds seconds max_time train_seconds",
    "batch": "batch_size device_batch_size train_batch_size",
    "context": "block_size context_length seq_len sequence_length max_seq_len context ctx_len",
    "accumulation": "gradient_accumulation_steps grad_accum_steps grad_accum accumulation_steps",
    "rate": "learning_rate lr max_lr peak_lr",
}
"""What scripts call the options that matter here, the likeliest first."""
_AMOUNTS = {"steps": 1000, "seconds": 300}
"""How long to train where the source does not tell."""
_HEADERS = {"pyproject.toml": ("[tool.pytest.ini_options]", "[tool.pytest]"), "setup.cfg": ("[tool:pytest]",)}
_NOT_ORDINARY = re.compile(
    r"seed|token|step|iter|epoch|second|time|budget|dir|path|output|device|worker|log|batch|val|eval|port|rank"
)
_NO_SCRIPTS = re.compile(r"(test_.*|.*_test|conftest|setup|__init__|noxfile)\.py")


def run(_settings: Settings, arguments: argparse.Namespace, console: Console) -> int:
    """Write the ini keys and a first experiment, and print the next two commands; the exit status is 0.

    Raises:
        SettingsError: there is no script or more than one, the project is set up already, or a file cannot be written.
    """
    project = find_project(Path.cwd(), os.environ)
    known = next((name for name in ("command", "trainer") if project.values.get(name)), None)
    if known:
        raise SettingsError(f"{project.file} is set up already: {PREFIX}{known} = {project.values[known]}")
    path = None if arguments.own_command else _script(Path.cwd(), arguments.script)
    script = (read_script(path) if path is not None else None) or Script()
    notes: list[str] = []
    if path is None:
        said = {"command": arguments.own_command, "budget": arguments.own_budget}
    else:
        said = _keys(path, script, arguments.own_budget, notes)
    keys = {name: text for name, text in said.items() if text}
    Settings.read(keys, project.root)
    flag = _first_flag(script)
    test = project.root / "experiments" / f"test_{option_name(flag).lower()}.py"
    try:
        file = _write_keys(project, keys)
        notes += _write_test(test, flag)
    except OSError as error:
        raise SettingsError(f"{error.filename} cannot be written: {(error.strerror or str(error)).lower()}") from None
    console.show(_lines(file, keys, test, notes))
    return 0


def _lines(file: Path, keys: Mapping[str, str], test: Path, notes: Sequence[str]) -> Iterator[str]:
    """Say what was written, what is left to do, and what to type next."""
    yield f"wrote to {os.path.relpath(file)}:"
    yield from (f"  {PREFIX}{key} = {value}" for key, value in keys.items())
    yield f"first experiment: {os.path.relpath(test)}"
    yield from (f"to do: {note}" for note in notes)
    yield "next:"
    yield f"  pytest {os.path.relpath(test.parent)}/ --exprun-mode=plan"
    yield f"  pytest {os.path.relpath(test.parent)}/ -k {test.stem.removeprefix('test_')}"


def _takes(script: Script, what: str) -> Option | None:
    return script.takes(*_SPELLINGS[what].split())


def _script(folder: Path, given: str | None) -> Path:
    if given is not None:
        if not (folder / given).is_file():
            raise SettingsError(f"there is no script {given} in {folder}")
        return Path(given)
    scripts = {
        path: script
        for path in sorted(folder.glob("*.py"))
        if not _NO_SCRIPTS.fullmatch(path.name) and (script := read_script(path))
    }
    named = [path for path in scripts if path.stem.startswith(("train", "pretrain", "finetune"))]
    likely = named or [
        path
        for path, script in scripts.items()
        if _takes(script, "seed") or script.seedings or script.functions or "backward()" in script.text
    ]
    if len(likely) != 1:
        found = ", ".join(path.name for path in likely or scripts) or "none"
        raise SettingsError(
            f"which script trains? {folder} has: {found}. Name it, as in `exprun init train.py`, or give --command"
        )
    return Path(likely[0].name)


def _keys(path: Path, script: Script, budget: str | None, notes: list[str]) -> dict[str, str | None]:
    """Return the settings, empty ones among them, and note what the user has to do besides."""
    is_module = len(path.parts) == 1 and path.stem.isidentifier()
    if script.has_main and is_module:
        return {"trainer": f"{path.stem}:main"}
    if len(script.functions) == 1 and is_module:
        return _function_keys(path, script, budget)
    if script.is_idle and script.text.strip():
        raise SettingsError(
            f"{path} only defines functions: run as a command it trains nothing. Give one the parameters seed and "
            f"{', '.join(BUDGETS[:-1])} or {BUDGETS[-1]}, every other one a default, and let it return its metrics"
        )
    return _command_keys(path, script, budget, notes)


def _command_keys(path: Path, script: Script, budget: str | None, notes: list[str]) -> dict[str, str | None]:
    """Return the settings of a script that is run as a command; what it has no option for goes through its environment."""
    words, environment = ["python", _word(path.as_posix())], []
    in_environment = {
        "seed": _seed_note(path, script),
        "output_dir": f'{path} has no option for its output folder: let it write to os.environ["OUTPUT_DIR"]',
    }
    for name, note in in_environment.items():
        if option := _takes(script, name):
            words.append(f"--{option.name}={{{name}}}")
        else:
            environment.append(f"{name.upper()}={{{name}}}")
            notes.append(note)
    length, keys = _length(path, script, budget)
    metric = _metric(script)
    if metric is None:
        notes.append(f"{path} seems to print no validation loss: print lines such as 'Step 100 | val_loss: 2.3456'")
    command = {"command": " ".join([*words, *length, "{flags}"]), "env": " ".join(environment)}
    return {**command, **keys, "metric": None if metric == "val_loss" else metric}


def _function_keys(path: Path, script: Script, budget: str | None) -> dict[str, str | None]:
    """Return the settings of a function that is called by keywords, and leave its parameters as the options."""
    ((name, script.options),) = script.functions.items()
    parameter = next(each for each in BUDGETS if each in script.options)
    unit = parameter.removeprefix("train_")
    if budget and (asked := f"train_{budget.rpartition(' ')[2]}") not in script.options:
        raise SettingsError(f"{path}: {name} has no parameter {asked} for a budget of {budget}")
    own = None if unit == "tokens" else f"{_amount(script.options[parameter], unit)} {unit}"
    return {"trainer": f"{path.stem}:{name}", "budget": budget or own}


def _word(text: str) -> str:
    """Return a text as one word of a command: its blanks quoted, its braces no placeholders."""
    return shlex.quote(text.replace("{", "{{").replace("}", "}}"))


def _seed_note(path: Path, script: Script) -> str:
    library = (
        "torch.manual_seed" if re.search(r"^\s*(import|from) torch\b", script.text, re.MULTILINE) else "random.seed"
    )
    line = f'{library}(int(os.environ["SEED"]))'
    if script.seedings:
        number, text = script.seedings[0]
        own = re.sub(r"\(.*", '(int(os.environ["SEED"]))', text, flags=re.DOTALL)
        own = re.sub(r"^(\w+ = )\w+$", r'\1int(os.environ["SEED"])', own)
        return f"{path}, line {number}: every run has the same seed. Write {own} in place of {text}"
    return f"{path} has no option for its seed. Add a line before anything random: {line}"


def _amount(option: Option, unit: str) -> int:
    """How long the source says, or a guess."""
    return option.default if isinstance(option.default, int) and option.default > 0 else _AMOUNTS[unit]


def _length(path: Path, script: Script, budget: str | None) -> tuple[list[str], dict[str, str | None]]:
    """Return the words that tell the script how long to train, and the settings for it."""
    for unit, placeholder in (("tokens", "train_tokens"), ("steps", "steps"), ("seconds", "seconds")):
        option = _takes(script, unit)
        if option is not None and (budget or unit).endswith(unit):
            words = [f"--{option.name}={{{placeholder}}}"]
            if unit == "steps" and not budget and (per_step := _tokens_per_step(script)):
                return words, {"tokens_per_step": str(per_step)}
            own = None if unit == "tokens" else f"{_amount(option, unit)} {unit}"
            return words, {"budget": budget or own}
    if not budget:
        raise SettingsError(
            f"{path} has no option for tokens, steps or seconds: say how long it trains by itself, as in "
            "`exprun init --budget '2000 steps'`"
        )
    return [], {"budget": budget}


def _tokens_per_step(script: Script) -> int | None:
    factors = [_takes(script, "batch"), _takes(script, "context"), _takes(script, "accumulation") or Option("", 1)]
    sizes = [each.default for each in factors if each is not None and isinstance(each.default, int)]
    return sizes[0] * sizes[1] * sizes[2] if len(sizes) == len(factors) and min(sizes) > 0 else None


def _metric(script: Script) -> str | None:
    if re.search(r"val[ _]loss|eval_loss|Val Loss", script.text):
        return "val_loss"
    found = re.search(r"\bval_(bpb|ppl|acc|accuracy|perplexity)\b", script.text)
    return found.group() if found else None


def _first_flag(script: Script) -> str:
    """Return a flag worth a first experiment."""
    rate = _takes(script, "rate")
    if rate and isinstance(rate.default, int | float) and rate.default > 0:
        return f"--{rate.name}={2 * rate.default:g}"
    if number := next((each for name, each in script.options.items() if _is_ordinary(name, each)), None):
        return f"--{number.name}={2 * number.default or 0.1:g}"
    return next((f"--{each.name}" for each in script.options.values() if each.is_switch), "--your_flag")


def _is_ordinary(name: str, option: Option) -> bool:
    """Whether an option is a fraction that may change what is learned, not how long, where or how it is shown."""
    return isinstance(option.default, float) and not _NOT_ORDINARY.search(name)


def _write_keys(project: Project, keys: Mapping[str, str]) -> Path:
    """Put the keys below the header of pytest's section, or in a pytest.ini; return the file."""
    file = project.file if project.file and _below_header(project.file) else project.root / "pytest.ini"
    quoted = file.suffix == ".toml"
    text = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    at = _below_header(file)
    if not at:
        text += ["", "[pytest]"] if text else ["[pytest]"]
        at = len(text)
    text[at:at] = [f"{PREFIX}{name} = {json.dumps(value) if quoted else value}" for name, value in keys.items()]
    file.write_text("\n".join([*text, ""]), encoding="utf-8")
    return file


def _below_header(file: Path) -> int:
    """Return after which line the keys of pytest's section start, 0 if there is no such section."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    headers = _HEADERS.get(file.name, ("[pytest]",))
    return next((at for header in headers for at, line in enumerate(lines, 1) if line.strip() == header), 0)


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
