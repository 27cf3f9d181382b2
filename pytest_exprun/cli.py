"""The `exprun` command: what needs no test. It reads the same settings as the plugin, without importing pytest."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module, metadata
from pathlib import Path
from typing import NoReturn, TypeAlias

from pytest_exprun.commands.console import Console, print_object, standard_output_kept
from pytest_exprun.settings.project import Project, find_project
from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.errors import ExprunError, SettingsError

REFUSED_STATUS = 2
INTERRUPTED_STATUS = 130
CLOSED_PIPE_STATUS = 141
"""128 and the number of SIGINT, and of SIGPIPE: what a shell reports of a command that such a signal ended."""

_OF_SESSIONS = ("mode", "plots", "against", "against_gate", "tried", "flags", "confirm", "shared")
"""Settings that only a pytest session has a use for, and `try` and `run`, which start one."""
_OF_TRY = tuple(row.name for row in Settings.rows() if row.name not in {"mode", "tried", "flags", "confirm"})
_OF_RUN = tuple(name for name in _OF_TRY if name not in {"against", "shared", "sealed", "seal"})
_MODULES = dict.fromkeys(("try", "run", "log", "apply"), "trial")
_MODULES |= {name: f"ideas.{name}" for name in ("ledger", "confirm", "budget", "promote", "ladder", "speedup")}
"""Commands whose module has another name."""
_OF_PROMOTE = tuple(row.name for row in Settings.rows() if row.name not in {*_OF_SESSIONS, "baseline"})
_OF_LOG = ("report_dir", "store")
_OF_JUDGE = ("rule", "metric", "min_effect")
_EPILOG = (
    "a setting wins over the ini file's; exit status: 0 as hoped, 1 not (judge: LOSER; aa: not NEUTRAL; audit: the run differs; ledger "
    "verify: a fault; try: the gate), 2 refused or bad input, 3 undecided (try)"
)


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line, as all of ours."""

    def error(self, message: str) -> NoReturn:
        raise SettingsError(f"{message}; `{self.prog} --help` lists what is allowed")


_Commands: TypeAlias = "argparse._SubParsersAction[_Parser]"  # noqa: SLF001  # it has no public name


def build_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = _Parser(
        prog="exprun",
        allow_abbrev=False,
        description="Training experiments as tests: the tools beside pytest.",
        epilog=_EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {metadata.version('pytest-exprun')}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    for add in (_add_init, _add_sessions, _add_ideas, _add_numbers, _add_records):
        add(commands)
    return parser


def _add_init(commands: _Commands) -> None:
    """Set a project up."""
    init = _add(commands, "init", "ini keys and a first experiment for the training script in this folder", settings=())
    init.usage = "exprun init [options] [SCRIPT | -- COMMAND ...]"
    init.add_argument(
        "words",
        nargs="*",
        metavar="SCRIPT | -- COMMAND",
        help="the training script, or the command that you train with (default: the script in this folder)",
    )
    init.add_argument("--command", dest="own_command", help="the command with its placeholders, for what is no script")
    init.add_argument("--budget", dest="own_budget", help="how long a run trains: '2000 steps', '300 seconds'")
    init.add_argument(
        "--agent",
        nargs="?",
        const=".claude/skills",
        metavar="DIR",
        help="write the skill for coding agents, too (into this folder of skills; default: .claude/skills)",
    )


def _add_sessions(commands: _Commands) -> None:
    """Judge without a test file, and look at what was judged."""
    what = "states of the code against another one: your working tree, branches, commits"
    trial = _add(commands, "try", what, settings=_OF_TRY)
    trial.usage = "exprun try [REF ...] [--against REF] [options]"
    trial.add_argument(
        "refs", nargs="*", metavar="REF", help="branches, tags or commits to try (default: the working tree)"
    )
    run = _add(commands, "run", "one experiment by flags, without a test file", settings=_OF_RUN)
    run.usage = "exprun run [options] -- FLAG ..."
    run.add_argument(
        "change", nargs="*", metavar="FLAG", help="the flags of the change, as on the trainer's command line"
    )
    for each in (trial, run):
        gate = "what it must be to pass (default: not_loser)"
        each.add_argument("--gate", dest="exprun_against_gate", metavar="GATE", help=gate)
        each.add_argument("--plan", action="store_true", help="say what it would train; train nothing")
        fresh = "judge a WINNER once more on fresh seeds, as exprun confirm does"
        each.add_argument("--confirm", dest="exprun_confirm", action="store_const", const="winners", help=fresh)

    _add(commands, "log", "what was tried, best first, with its diff; trains nothing", settings=_OF_LOG)
    apply = _add(commands, "apply", "put a tried diff into the working tree, which must be clean", settings=_OF_LOG)
    apply.add_argument("name", metavar="NAME", help="what it is called in the log")


def _add_ideas(commands: _Commands) -> None:
    """Keep what a session of many ideas found."""
    again = _add(commands, "confirm", "a WINNER once more on fresh seeds, both arms, judged once")
    again.add_argument("name", metavar="NAME", help="the experiment's name in the reports")
    speed = _add(commands, "speedup", "better, or only slower? how much compute the control takes to the same loss")
    speed.add_argument("name", metavar="NAME", help="the experiment's name in the reports")
    in_turn = "train all again, both arms in turn, so that their times can be compared"
    speed.add_argument("--in-turn", action="store_true", help=in_turn)

    promote = _add(commands, "promote", "make a confirmed WINNER the baseline; trains nothing", settings=_OF_PROMOTE)
    promote.add_argument("name", metavar="NAME", help="the experiment's name in the reports")
    promote.add_argument("--unconfirmed", action="store_true", help="also one that no fresh seeds were asked about")
    ladder = _add(commands, "ladder", "the changes that became the baseline, and what they give together")
    total = "train the first baseline and today's on fresh seeds, and measure what all of them give together"
    ladder.add_argument("--measure", action="store_true", help=total)

    _ledger(_add(commands, "ledger", "what was asked, and whether nothing of it was changed", settings=("store",)))


def _add_numbers(commands: _Commands) -> None:
    """Answer from numbers, and from chance."""
    _add(commands, "power", "how many seeds see how large an effect, from the stored baseline; trains nothing")
    budget = _add(commands, "budget", "what a session of many ideas can see, from the stored baseline; trains nothing")
    budget.add_argument(
        "--ideas", type=int, required=True, metavar="N", help="how many ideas are to be tried, 1 to 1000"
    )
    budget.add_argument("--hours", type=float, required=True, metavar="H", help="how long the session may last")
    _judge(_add(commands, "judge", "a verdict on numbers that exist already; trains nothing", settings=_OF_JUDGE))
    _add(commands, "aa", "train five further baseline seeds and judge them against the baseline: must be NEUTRAL")


def _add_records(commands: _Commands) -> None:
    """Look at stored runs."""
    why = _add(commands, "why", "which stored runs stand, and what changed for those that do not; trains nothing")
    why.add_argument(
        "-k", metavar="EXPRESSION", help="only arms whose flags match, as with pytest's -k: 'rope and not base'"
    )

    audit = _add(commands, "audit", "train one random stored run again: it must come back bit for bit")
    audit.add_argument("--seed", type=int, help="audit this seed (default: a random one)")
    audit.add_argument(
        "--slug", metavar="ARM", help="audit this arm, named as its folder in the store (default: a random one)"
    )


def _judge(parser: argparse.ArgumentParser) -> None:
    parser.usage = "exprun judge [options] BASELINE EXPERIMENT"
    parser.add_argument(
        "numbers",
        nargs="*",
        metavar="BASELINE EXPERIMENT",
        help="1.92,1.95,... or a file (a number a line, CSV, JSON), or a folder or quoted glob of logs, one a seed",
    )
    parser.add_argument("--column", help="column of a CSV file, or key of JSON objects (default: the metric)")
    direction = parser.add_mutually_exclusive_group()
    for flag, value in (("--higher-is-better", False), ("--lower-is-better", True)):
        help_text = f"{'less' if value else 'more'} of the metric is better"
        direction.add_argument(flag, dest="lower_is_better", action="store_const", const=value, help=help_text)


def _ledger(parser: argparse.ArgumentParser) -> None:
    parser.usage = "exprun ledger [list | verify [--head HASH] | merge BASE OURS THEIRS] [options]"
    actions = {
        "list": "the questions with what became of them",
        "verify": "find every change",
        "merge": "write the lines of OURS and THEIRS to OURS, also as a merge driver of git",
    }
    what = "; ".join(f"{name}: {text}" for name, text in actions.items())
    parser.add_argument("action", nargs="?", default="list", choices=actions, help=what)
    parser.add_argument("files", nargs="*", metavar="FILE", help="of merge: BASE OURS THEIRS")
    parser.add_argument("--head", metavar="HASH", help="of verify: a head that a report or a summary printed")


def _add(
    commands: _Commands,
    name: str,
    summary: str,
    settings: Sequence[str] | None = None,
) -> argparse.ArgumentParser:
    """Add a subcommand with the settings it reads; each is spelled short, or as on pytest's command line."""
    parser = commands.add_parser(name, help=summary, description=summary, epilog=_EPILOG, allow_abbrev=False)
    parser.add_argument("--rootdir", metavar="DIR", help="the project's root directory (default: found as pytest does)")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    for about, rows in Settings.groups().items():
        read = [row for row in rows if (row.name not in _OF_SESSIONS if settings is None else row.name in settings)]
        if read:
            group = parser.add_argument_group(f"settings: {about}")
            for row in read:
                short, help_text = row.flag.replace("exprun-", "", 1), row.help.replace("%", "%%")
                group.add_argument(short, row.flag, dest=row.key, metavar="VALUE", help=help_text)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; every error is one line on standard error."""
    for stream in (sys.stdout, sys.stderr):
        # Names of metrics and files may hold characters that the terminal's encoding does not have.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    words = _spelled(sys.argv[1:] if argv is None else argv)
    try:
        try:
            status = _run(words)
        except ExprunError as error:
            status = _complain(str(error), REFUSED_STATUS, words)
        except KeyboardInterrupt:
            status = _complain("interrupted; runs that had finished are stored", INTERRUPTED_STATUS, words)
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes standard output once more at its end: let that go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED_PIPE_STATUS
    return status


def _complain(text: str, status: int, words: Sequence[str]) -> int:
    """Say why there is no answer, to a program too: the command line may be what is wrong, so its words are looked at."""
    if "--json" in words[: words.index("--") if "--" in words else None]:
        print_object({"exit_status": status, **_next(status), "errors": [text]})
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.flush()
    sys.stderr.write(f"exprun: {text}\n")
    return status


def _next(status: int) -> dict[str, str]:
    """Say what a program is to do where there is no answer, or not a whole one."""
    return {"next": "fix"} if status == REFUSED_STATUS else {}


def _spelled(argv: Sequence[str]) -> list[str]:
    """Keep argparse from taking a list of negative numbers for an option: with a space in front it does not."""
    end = argv.index("--") if "--" in argv else len(argv)
    return [*(f" {token}" if re.match(r"-\.?\d", token) else token for token in argv[:end]), *argv[end:]]


def _run(argv: Sequence[str]) -> int:
    arguments = _parsed(argv)
    project = _project(arguments.rootdir)
    settings = project.settings({row.name: getattr(arguments, row.key, None) for row in Settings.rows()})
    command = import_module(f"pytest_exprun.commands.{_MODULES.get(arguments.command, arguments.command)}")
    with _importable(project), standard_output_kept() if arguments.json else contextlib.nullcontext():
        console = Console(for_program=arguments.json)
        status: int = command.run(settings, arguments, console)
    if arguments.json:
        print_object({"exit_status": status, **_next(status), **console.answers})
    from pytest_exprun.running.sandbox.escapes import ENDING

    ENDING.status = status  # what a run left in this process may not change it
    return status


def _parsed(argv: Sequence[str]) -> argparse.Namespace:
    parser = build_parser()
    arguments, others = parser.parse_known_args(argv)
    if others and arguments.command == "init" and arguments.words:
        raise SettingsError(
            f"{others[0]} is no option of `exprun init`; the command that you train with goes behind two dashes, after the options: "
            f"exprun init -- {shlex.join(argv[argv.index(arguments.words[0]) :])}"
        )
    if others:
        parser.error(f"unrecognized arguments: {' '.join(others)}")
    return arguments


def _project(rootdir: str | None) -> Project:
    """Find the project from the current directory, or from the root directory given."""
    if rootdir is None:
        return find_project(Path.cwd(), os.environ)
    root = Path(rootdir).expanduser().absolute()
    if not root.is_dir():
        raise SettingsError(f"--rootdir {rootdir}: no such folder")
    return find_project(root, os.environ, root)


@contextlib.contextmanager
def _importable(project: Project) -> Iterator[None]:
    """Let the trainer import from pytest's `pythonpath`, as in a session."""
    before = list(sys.path)
    sys.path[:0] = map(str, project.python_path)
    try:
        yield
    finally:
        sys.path[:] = before
