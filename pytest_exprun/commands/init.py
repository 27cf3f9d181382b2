"""`exprun init`: from a training script to ini keys and a first experiment, without running the script."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from pytest_exprun.commands.console import Console
from pytest_exprun.running.training.script_options import BUDGETS, Option, Script, read_script
from pytest_exprun.terms.errors import SettingsError
from pytest_exprun.terms.project import find_project
from pytest_exprun.terms.settings import Settings

SEED = ("seed", "random_seed", "manual_seed", "rng_seed", "global_seed")
OUTPUT = (
    *("output_dir", "out_dir", "save_dir", "checkpoint_dir", "ckpt_dir", "default_root_dir", "log_dir", "logdir"),
    *("workdir", "work_dir", "run_dir", "exp_dir", "output", "out", "save_path", "checkpoint_path"),
)
TOKENS = ("train_tokens", "max_tokens", "num_tokens", "total_tokens", "max_train_tokens")
STEPS = (
    *(
        "max_iters",
        "max_steps",
        "num_iterations",
        "num_steps",
        "train_steps",
        "total_steps",
        "num_train_steps",
        "steps",
    ),
    *("iterations", "iters", "n_iters", "num_iters", "max_iterations", "n_steps"),
)
SECONDS = ("time_budget", "max_seconds", "seconds", "max_time", "train_seconds")
BATCH = ("batch_size", "device_batch_size", "train_batch_size")
CONTEXT = ("block_size", "context_length", "seq_len", "sequence_length", "max_seq_len", "context", "ctx_len")
ACCUMULATION = ("gradient_accumulation_steps", "grad_accum_steps", "grad_accum", "accumulation_steps")
RATE = ("learning_rate", "lr", "max_lr", "peak_lr")
_HEADERS = {
    "pyproject.toml": ("[tool.pytest.ini_options]", "[tool.pytest]"),
    "setup.cfg": ("[tool:pytest]",),
}
_NOT_ORDINARY = re.compile(
    r"seed|token|step|iter|epoch|second|time|budget|dir|path|output|device|worker|log|batch|val|eval|port|rank"
)
_NO_SCRIPTS = re.compile(r"(test_.*|.*_test|conftest|setup|__init__|noxfile)\.py")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `exprun init` takes."""
    parser.add_argument("script", nargs="?", help="the training script (default: the one in this folder)")
    parser.add_argument("--command", dest="own_command", help="the command to train with, for what is no single script")
    parser.add_argument(
        "--budget", dest="own_budget", help="how long the script trains by itself: '2000 steps', '300 seconds'"
    )


def run(_settings: Settings, arguments: argparse.Namespace, console: Console) -> int:
    """Write the ini keys and a first experiment, and print the next two commands; the exit status is 0.

    Raises:
        SettingsError: there is no script or more than one, the project is set up already, or a file cannot be written.
    """
    project = find_project(Path.cwd(), os.environ)
    known = next((name for name in ("command", "trainer") if project.values.get(name)), None)
    if known:
        raise SettingsError(f"{project.file} is set up already: exprun_{known} = {project.values[known]}")
    path = None if arguments.own_command else _script(Path.cwd(), arguments.script)
    script = (read_script(path) if path is not None else None) or Script()
    keys, notes = _keys(path, script, arguments.own_command, arguments.own_budget)
    Settings.read({name.removeprefix("exprun_"): text for name, text in keys.items()}, project.root)
    file = project.file if project.file and _section(project.file) else project.root / "pytest.ini"
    flag, name = _first_flag(script)
    test = project.root / "experiments" / f"test_{name}.py"
    try:
        _write_keys(file, keys)
        written = _write_test(test, flag, name)
    except OSError as error:
        raise SettingsError(f"{error.filename} cannot be written: {(error.strerror or str(error)).lower()}") from None
    _tell(console, file, keys, [*notes, *([] if written else [f"{test} was there already and is left as it is"])], test)
    return 0


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
        if script.takes(*SEED) or script.seedings or script.functions or "backward()" in script.text
    ]
    if len(likely) != 1:
        found = ", ".join(path.name for path in likely or scripts) or "none"
        raise SettingsError(
            f"which script trains? {folder} has: {found}. Name it, as in `exprun init train.py`, or give --command"
        )
    return Path(likely[0].name)


def _keys(
    path: Path | None, script: Script, command: str | None, budget: str | None
) -> tuple[dict[str, str], list[str]]:
    """Return the ini keys, and what the user has to do besides."""
    if path is None:
        assert command is not None
        return {"exprun_command": command, **({"exprun_budget": budget} if budget else {})}, []
    if script.has_main and len(path.parts) == 1 and path.stem.isidentifier():
        return {"exprun_trainer": f"{path.stem}:main"}, []
    if len(script.functions) == 1 and len(path.parts) == 1 and path.stem.isidentifier():
        return _function_keys(path, script, budget), []
    if script.is_idle and script.text.strip():
        raise SettingsError(
            f"{path} only defines functions: run as a command it trains nothing. Give one the parameters seed and "
            f"{', '.join(BUDGETS[:-1])} or {BUDGETS[-1]}, every other one a default, and let it return its metrics"
        )
    notes: list[str] = []
    environment: list[str] = []
    words = ["python", _word(path.as_posix())]
    seed, output = script.takes(*SEED), script.takes(*OUTPUT)
    words += [f"--{seed.name}={{seed}}"] if seed else []
    if seed is None:
        environment.append("SEED={seed}")
        notes.append(_seed_note(path, script))
    words += [f"--{output.name}={{output_dir}}"] if output else []
    if output is None:
        environment.append("OUTPUT_DIR={output_dir}")
        notes.append(f'{path} has no option for its output folder: let it write to os.environ["OUTPUT_DIR"]')
    length, keys = _budget(path, script, budget)
    command = " ".join([*words, *length, "{flags}"])
    keys = {"exprun_command": command, **({"exprun_env": " ".join(environment)} if environment else {}), **keys}
    metric = _metric(script)
    if metric is None:
        notes.append(f"{path} seems to print no validation loss: print lines such as 'Step 100 | val_loss: 2.3456'")
    elif metric != "val_loss":
        keys["exprun_metric"] = metric
    return keys, notes


def _function_keys(path: Path, script: Script, budget: str | None) -> dict[str, str]:
    """Return the ini keys of a function that is called by keywords, and leave its parameters as the options."""
    ((name, script.options),) = script.functions.items()
    told = next(each for each in BUDGETS if each in script.options)
    unit, default = told.removeprefix("train_"), script.options[told].default
    amount = default if isinstance(default, int) and default > 0 else {"steps": 1000, "seconds": 300}.get(unit)
    keys = {"exprun_trainer": f"{path.stem}:{name}"}
    if budget and f"train_{budget.rpartition(' ')[2]}" not in script.options:
        raise SettingsError(
            f"{path}: {name} has no parameter train_{budget.rpartition(' ')[2]} for a budget of {budget}"
        )
    return {**keys, **({"exprun_budget": budget or f"{amount} {unit}"} if budget or unit != "tokens" else {})}


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


def _budget(path: Path, script: Script, budget: str | None) -> tuple[list[str], dict[str, str]]:
    """Return the words that tell the script how long to train, and the ini keys for it."""
    told = {"exprun_budget": budget} if budget else {}
    tokens, steps, seconds = script.takes(*TOKENS), script.takes(*STEPS), script.takes(*SECONDS)
    if tokens and not budget:
        return [f"--{tokens.name}={{train_tokens}}"], {}
    if steps and (not budget or budget.endswith("steps")):
        per_step = _tokens_per_step(script)
        if per_step and not budget:
            return [f"--{steps.name}={{steps}}"], {"exprun_tokens_per_step": str(per_step)}
        default = steps.default if isinstance(steps.default, int) and steps.default > 0 else 1000
        return [f"--{steps.name}={{steps}}"], told or {"exprun_budget": f"{default} steps"}
    if seconds and (not budget or budget.endswith("seconds")):
        default = seconds.default if isinstance(seconds.default, int) and seconds.default > 0 else 300
        return [f"--{seconds.name}={{seconds}}"], told or {"exprun_budget": f"{default} seconds"}
    if not budget:
        raise SettingsError(
            f"{path} has no option for tokens, steps or seconds: say how long it trains by itself, as in "
            "`exprun init --budget '2000 steps'`"
        )
    return [], told


def _tokens_per_step(script: Script) -> int | None:
    batch, context, accumulation = script.takes(*BATCH), script.takes(*CONTEXT), script.takes(*ACCUMULATION)
    factors = [batch, context, accumulation or Option("", 1)]
    sizes = [each.default for each in factors if each is not None and isinstance(each.default, int)]
    return sizes[0] * sizes[1] * sizes[2] if len(sizes) == len(factors) and min(sizes) > 0 else None


def _metric(script: Script) -> str | None:
    if re.search(r"val[ _]loss|eval_loss|Val Loss", script.text):
        return "val_loss"
    found = re.search(r"\bval_(bpb|ppl|acc|accuracy|perplexity)\b", script.text)
    return found.group() if found else None


def _first_flag(script: Script) -> tuple[str, str]:
    """Return a flag worth a first experiment, and its name."""
    rate = script.takes(*RATE)
    if rate and isinstance(rate.default, int | float) and rate.default > 0:
        return f"--{rate.name}={2 * rate.default:g}", rate.name.replace("-", "_").lower()
    number = next((each for name, each in script.options.items() if _is_ordinary(name, each)), None)
    if number:
        value = 2 * number.default if number.default else 0.1
        return f"--{number.name}={value:g}", number.name.replace("-", "_").lower()
    switch = next((each for each in script.options.values() if each.is_switch), None)
    return (f"--{switch.name}", switch.name.replace("-", "_").lower()) if switch else ("--your_flag", "your_flag")


def _is_ordinary(name: str, option: Option) -> bool:
    """Whether an option is a fraction that may change what is learned, not how long, where or how it is shown."""
    return isinstance(option.default, float) and not _NOT_ORDINARY.search(name)


def _section(file: Path) -> str | None:
    """Return the header in a configuration file under which pytest's keys stand."""
    headers = _HEADERS.get(file.name, ("[pytest]",))
    lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    return next((header for header in headers if header in lines), None)


def _write_keys(file: Path, keys: Mapping[str, str]) -> None:
    """Put the keys below the section's header, in a new file if there is none."""
    quoted = file.suffix == ".toml"
    lines = [f"{name} = {json.dumps(value) if quoted else value}" for name, value in keys.items()]
    if not file.exists():
        file.write_text("\n".join(["[pytest]", *lines, ""]), encoding="utf-8")
        return
    header = _section(file)
    text = file.read_text(encoding="utf-8").splitlines()
    at = next((n for n, line in enumerate(text) if line.strip() == header), None)
    place = len(text) if at is None else at + 1
    text[place:place] = lines if at is not None else ["", "[pytest]", *lines]
    file.write_text("\n".join([*text, ""]), encoding="utf-8")


def _write_test(path: Path, flag: str, name: str) -> bool:
    if path.exists():
        return False
    path.parent.mkdir(exist_ok=True)
    question = f"What do you expect of {flag}, and why? Write it here before the run: the report quotes it."
    path.write_text(
        f'"""{question}"""\n\nfrom pytest_exprun import experiment\n\n\n'
        f'@experiment("{flag}")\ndef test_{name}(comparison):\n    assert comparison.not_loser\n',
        encoding="utf-8",
    )
    return True


def _tell(console: Console, file: Path, keys: Mapping[str, str], notes: list[str], test: Path) -> None:
    folder = Path.cwd()
    console.say(f"wrote to {os.path.relpath(file, folder)}:")
    for name, value in keys.items():
        console.say(f"  {name} = {value}")
    console.say(f"first experiment: {os.path.relpath(test, folder)}")
    for note in notes:
        console.say(f"to do: {note}")
    console.say("next:")
    experiments = os.path.relpath(test.parent, folder)
    console.say(f"  pytest {experiments}/ --exprun-mode=plan")
    console.say(f"  pytest {experiments}/ -k {test.stem.removeprefix('test_')}")
