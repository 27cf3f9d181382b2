"""`exprun init`: from a training script to ini keys and a first experiment, without running the script."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_exprun.commands.console import Console
from pytest_exprun.commands.setup.first_experiment import first_flag, write_test
from pytest_exprun.commands.setup.functions import call_by_keywords, call_when_patched
from pytest_exprun.commands.setup.given import Given
from pytest_exprun.commands.setup.length import ini_text
from pytest_exprun.commands.setup.local_data import ignored_data
from pytest_exprun.commands.setup.next_steps import PATCH, Place, next_steps
from pytest_exprun.commands.setup.program import run_as_command
from pytest_exprun.commands.setup.proposal import Proposal
from pytest_exprun.commands.setup.skill import place_of, write_skill
from pytest_exprun.running.options.script_options import read_script
from pytest_exprun.settings.ini_file import write_keys
from pytest_exprun.settings.options import PREFIX
from pytest_exprun.settings.project import Project, find_project
from pytest_exprun.settings.settings import Settings
from pytest_exprun.settings.templates import placeholders
from pytest_exprun.terms.errors import SettingsError
from pytest_exprun.terms.model import Budget, option_name


@dataclass
class _Written:
    """What was written, what else belongs into the commit, and what is said of it."""

    file: Path | None = None
    keys: Mapping[str, str] = field(default_factory=dict)
    test: Path | None = None
    diff: str = ""
    skill: Path | None = None
    beside: list[Path] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def run(_settings: Settings, arguments: argparse.Namespace, console: Console) -> int:
    """Write the ini keys, a first experiment and what the script lacks as a patch, and print the next commands; the exit status is 0.

    Raises:
        SettingsError: there is no script or more than one, a project that is set up lacks nothing, or a file cannot be written.
    """
    place = Place.of(Path.cwd())
    project = find_project(Path.cwd(), os.environ)
    written = _Written(skill=place_of(project.root, arguments.agent) if arguments.agent is not None else None)
    known = next((name for name in ("command", "trainer") if project.values.get(name)), None)
    asked = Settings.read({"budget": arguments.own_budget}, project.root).budget if arguments.own_budget else None
    made = _lacking(project, known, arguments, asked) if known else _proposal(arguments.words, arguments, asked)
    written.notes += [*([] if known else made.notes), *place.notes()]
    written.diff = made.patch.diff(Path.cwd())
    try:
        if known:
            _keep(written, project, made, known)
        else:
            _set_up(written, project, made)
        if written.diff:
            Path(PATCH).write_bytes(written.diff.encode())
        if written.skill is not None:
            write_skill(written.skill)
    except OSError as error:
        raise SettingsError(f"{error.filename} cannot be written: {(error.strerror or str(error)).lower()}") from None
    _tell(written, made, place, console)
    return 0


def _proposal(
    words: list[str], arguments: argparse.Namespace, asked: Budget | None, *, is_again: bool = False
) -> Proposal:
    """Read the script and find what starts it."""
    if arguments.own_command:
        return Proposal(keys={"command": arguments.own_command, "budget": ini_text(asked)})
    given = Given.read(Path.cwd(), words)
    script = read_script(given.script)
    if script is None:
        raise SettingsError(
            f"{given.script} is no Python that can be read: python -m py_compile {given.script} says where it breaks"
        )
    given.settle(script)
    made = Proposal.of(given, script)
    is_module = len(given.script.parts) == 1 and given.script.stem.isidentifier()
    if script.has_main and is_module:
        made.keys = {"trainer": f"{given.script.stem}:main"}
    elif len(script.functions) == 1 and is_module:
        call_by_keywords(made, asked)
    elif script.is_idle and script.text.strip():
        call_when_patched(made)
    else:
        run_as_command(made, asked, is_again=is_again)
    return made


def _set_up(written: _Written, project: Project, made: Proposal) -> None:
    """Write the keys and the first experiment."""
    shared = ignored_data(made.sources, made.script.options, project.root)
    keys = {**made.keys, "shared": " ".join(shared)}
    written.keys = {name: text for name, text in keys.items() if text}
    Settings.read(written.keys, project.root)
    flag = made.flag or first_flag(made.script)
    written.test = project.root / "experiments" / f"test_{option_name(flag).lower()}.py"
    written.file = write_keys(project, written.keys)
    written.said, written.beside = made.said, made.given.files if made.given else []
    written.notes[:0] = write_test(written.test, flag)


# A project that is set up already.


def _lacking(project: Project, known: str, arguments: argparse.Namespace, asked: Budget | None) -> Proposal:
    """Return what the script of a project lacks still; nothing where it cannot be found."""
    settings = project.settings({})
    told = {name for word in (*settings.command, *settings.env) for name in placeholders(word)}
    if not told & {"steps", "seconds", "train_tokens"}:
        asked = asked or settings.budget  # what it trains by itself
    module = settings.trainer.partition(":")[0].replace(".", "/")
    words = arguments.words or ([f"{module}.py"] if known == "trainer" else list(settings.command))
    try:
        return _proposal(words, arguments, asked, is_again=True)
    except SettingsError:
        if arguments.words:
            raise
        return Proposal()  # what a whole command starts is not for us to find


def _keep(written: _Written, project: Project, made: Proposal, known: str) -> None:
    """Leave the keys as they are, and say which others the patch and the data need.

    Raises:
        SettingsError: there is nothing to offer.
    """
    assert project.file is not None
    settings = project.settings({})
    own = f"{os.path.relpath(project.file)} is set up already: {PREFIX}{known} = {_text(project.values[known])}"
    told = {word.partition("=")[0] for word in settings.env}
    lacking = [word for word in made.environment if written.diff and word.partition("=")[0] not in told]
    shared = [] if settings.shared else ignored_data(made.sources, made.script.options, project.root)
    needed = {"env": " ".join([*settings.env, *lacking]) if lacking else "", "shared": " ".join(shared)}
    needs = [f"let {PREFIX}{name} be: {text}" for name, text in needed.items() if text]
    if not (written.diff or needs or written.skill):
        raise SettingsError(
            f"{own}, and its sources lack nothing that is known here. Next: exprun try, after an edit; or remove that key and begin anew"
        )
    experiments = project.root / "experiments"
    written.file, written.beside = project.file, [experiments] if experiments.is_dir() else []
    written.said = [own, "its keys stay as they are: change them there"]
    written.notes[:0] = needs


def _text(value: object) -> str:
    return shlex.join(value) if isinstance(value, list) else str(value)


# What is said.


def _tell(written: _Written, made: Proposal, place: Place, console: Console) -> None:
    """Print what was written and what to type next."""
    own = [written.file, written.test, written.skill, *written.beside]
    files = [each for each in own if each is not None and not place.is_committed(each)] + made.patch.files()
    steps = list(next_steps(place, patched=bool(written.diff), files=files, test=written.test))
    if console.for_program:
        console.answer(**_answer(written), commands=[command for command, _ in steps])
        return
    if written.keys and written.file is not None:
        console.say(f"wrote to {os.path.relpath(written.file)}:")
    console.show(f"  {PREFIX}{key} = {value}" for key, value in written.keys.items())
    console.show(written.said)
    if written.test is not None:
        console.say(f"first experiment: {os.path.relpath(written.test)}")
    if written.skill is not None:
        console.say(f"skill for coding agents: {os.path.relpath(written.skill)}")
    console.show(f"to do: {note}" for note in written.notes)
    if written.diff:
        changed = ", ".join(os.path.relpath(each) for each in made.patch.files())
        console.say(
            f"to do: {changed} must be told what differs from run to run; {PATCH} changes that and nothing else:"
        )
        console.print_data(written.diff.rstrip("\n"))
    console.say("next:")
    for command, what in steps:
        console.print_data(f"  {command}    # {what}" if what else f"  {command}")


def _answer(written: _Written) -> dict[str, Any]:
    """Return what a program reads: paths from the current folder."""
    paths = {"file": written.file, "experiment": written.test, "skill": written.skill}
    return {
        **{name: None if path is None else os.path.relpath(path) for name, path in paths.items()},
        "keys": {f"{PREFIX}{name}": text for name, text in written.keys.items()},
        "patch": PATCH if written.diff else None,
        "to_do": written.notes,
    }
