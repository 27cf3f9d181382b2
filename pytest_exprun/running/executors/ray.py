"""Runs on a Ray cluster: `exprun_executor = ray`, extra `[ray]`. RAY_ADDRESS names the cluster; without it a local one is started.

Each run is one Ray task (module `node` beside this one); what travels is plain data. The project's folder goes along as Ray's working
directory. A tree does not: it is a folder of the store, which each machine must see.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_exprun.running.executors.child import job
from pytest_exprun.running.executors.contract import OnPoint, Surroundings, Task, ended_like_ctrl_c
from pytest_exprun.running.executors.node import perform
from pytest_exprun.running.executors.outcome import Attempt
from pytest_exprun.running.sandbox.run_log import RunLog
from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.errors import SettingsError, TrainerError, describe
from pytest_exprun.terms.model import RunSpec
from pytest_exprun.terms.outcome import CurvePoint, RunResult
from pytest_exprun.trust.files.places import counts, is_below
from pytest_exprun.trust.files.run_directory import run_directory
from pytest_exprun.trust.trees.shared import links

_POLL_SECONDS = 0.5
_ANSWER_SECONDS = 5.0
_IN_FLIGHT = 1000
"""Tasks that are handed to Ray at once; it queues what the cluster has no room for."""
_LEFT_OUT = ("__pycache__", ".git", ".venv", "venv", "*.pyc", ".mypy_cache", ".ruff_cache", ".pytest_cache")


def _project_path(settings: Settings) -> list[str]:
    """Return where this session looks for the project's own modules, from the root: `pythonpath = src` goes along."""
    root = str(settings.home or settings.root)
    entries = [os.path.realpath(each) for each in sys.path if each]
    own = [each for each in entries if is_below(each, root) and counts(f"{each}{os.sep}.", root)]
    return list(dict.fromkeys([".", *(os.path.relpath(each, root) for each in own)]))


@dataclass(kw_only=True)
class _Running(Attempt):
    """One task that Ray has, and what was made for it here."""

    events: Any
    resources: contextlib.ExitStack


class RayExecutor:
    """Performs runs as Ray tasks with `exprun_ray_resources` each; Ray decides where, and how many at once."""

    def __init__(self, settings: Settings, surroundings: Surroundings) -> None:
        self._settings, self._surroundings = settings, surroundings
        self._ray: Any = None
        self._remote: Any = None
        self._refusal: SettingsError | None = None

    def _connect(self) -> Any:
        """Start or join the cluster at the first use, so that a session whose runs are all stored needs none.

        Raises:
            SettingsError: ray is not installed, the cluster cannot be reached, or it will never have what a run needs.
        """
        if self._refusal is not None:
            raise self._refusal
        if self._ray is None:
            try:
                self._ray, self._remote = self._connected()
            except SettingsError as error:
                self._refusal = error  # to try again takes a minute, for each test
                raise
        return self._ray

    def _connected(self) -> tuple[Any, Any]:
        if importlib.util.find_spec("ray") is None:
            raise SettingsError("exprun_executor = ray: ray is not installed; pip install 'pytest-exprun[ray]'")
        import ray

        if not ray.is_initialized():
            self._join(ray, os.environ.get("RAY_ADDRESS") or "local")
        wanted = resources(self._settings.ray_resources)
        self._check_room(ray, wanted)
        # Ray would retry a lost task in silence; we do it ourselves, once, and write it down.
        return ray, ray.remote(num_returns="streaming", max_retries=0, **wanted)(perform)

    def _join(self, ray: Any, address: str) -> None:
        check_address(address)
        before = signal.getsignal(signal.SIGTERM)
        try:
            ray.init(
                address=address,
                runtime_env={"working_dir": str(self._settings.root), "excludes": self._excludes()},
                log_to_driver=False,
                logging_level="ERROR",
                include_dashboard=False if address == "local" else None,
            )
        except Exception as error:  # noqa: BLE001  # Ray raises many kinds, bare Exception among them
            raise SettingsError(f"exprun_executor = ray: {_cannot_join(address, error)}") from None
        # Ray's own would end this process from within a run, without a word of what is done; ours ends it as Ctrl-C does.
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)

    def _excludes(self) -> list[str]:
        """What need not travel: what this plugin itself writes, and what is no source."""
        settings = self._settings
        own = [
            Path(os.path.relpath(settings.path(name), settings.root))
            for name in ("store", "report_dir", "checkpoint_dir")
        ]
        return [*_LEFT_OUT, *(f"/{path.as_posix()}/" for path in own if path.parts[:1] not in ((), ("..",)))]

    def _check_room(self, ray: Any, wanted: Mapping[str, Any]) -> None:
        """Refuse at once what no machine of the cluster can ever give."""
        needs = {"CPU": wanted.get("num_cpus", 0), "GPU": wanted.get("num_gpus", 0), **wanted.get("resources", {})}
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        if any(all(node.get(name, 0) >= amount for name, amount in needs.items() if amount) for node in nodes):
            return
        has = "; ".join(", ".join(f"{name} {node.get(name, 0):g}" for name in needs) for node in nodes) or "no machine"
        asked = " ".join(self._settings.ray_resources)
        raise SettingsError(
            f"exprun_ray_resources = {asked}: no machine of the cluster has that much for one run; they have: {has}"
        )

    def rejects(self, specs: Sequence[RunSpec]) -> list[str | None]:
        """Ask the trainer's own parser, where the runs will be."""
        ray = self._connect()
        told = job(self._settings, _project_path(self._settings), "check", specs=[spec.to_json() for spec in specs])
        last: Mapping[str, Any] = {}
        for reference in self._remote.remote(told):
            last = ray.get(reference)
        if last.get("event") == "answers":
            return list(last["answers"])
        raise TrainerError(str(last.get("message") or f"asking the trainer about its flags: {last.get('how')}"))

    def run(self, tasks: Iterable[Task], on_point: OnPoint) -> Generator[RunResult]:
        """Hand the runs to Ray and yield each result when it is known; closing cancels what is queued and ends what runs."""
        ray = self._connect()
        waiting = iter(tasks)
        running: dict[Any, _Running] = {}
        with ended_like_ctrl_c():
            try:
                while True:
                    while len(running) < _IN_FLIGHT and (task := next(waiting, None)) is not None:
                        each = self._start(task)
                        running[each.events] = each
                    if not running:
                        return
                    ready, _ = ray.wait(list(running), num_returns=1, timeout=_POLL_SECONDS, fetch_local=True)
                    for events in ready:
                        each = running[events]
                        final = self._next(each, on_point)
                        if final is None:
                            continue
                        del running[events]
                        with each.resources:
                            again = self._again(each, final)
                            if again is not None:
                                running[again.events] = again
                            else:
                                yield self._outcome(each, final)
            finally:
                for each in running.values():
                    each.log.close(keep=False)
                    with contextlib.suppress(Exception):  # one task that cannot be cancelled must not keep the others
                        ray.cancel(each.events, force=True)
                for each in running.values():
                    each.resources.close()

    def _start(self, task: Task, earlier: Sequence[str] = ()) -> _Running:
        settings, more = task.ground.settings, dict[str, Any](directory=task.directory)
        log = RunLog(settings.path("store") / "logs" / f"{task.directory}-ray-{secrets.token_hex(4)}.log")
        with contextlib.ExitStack() as made:
            if task.ground.is_tree:
                # Ray removes its copy of the root with all folders of runs; these lie in the store, and we see to them.
                output_dir = made.enter_context(run_directory(settings.path("checkpoint_dir"), task.directory))
                more = {"output_dir": str(output_dir), "seen": self._needed(settings, output_dir, log.path)}
            told = job(settings, _project_path(settings), "run", specs=[task.spec.to_json()], **more)
            return _Running(
                task=task, log=log, earlier=earlier, events=self._remote.remote(told), resources=made.pop_all()
            )

    def _needed(self, settings: Settings, output_dir: Path, log: Path) -> list[str]:
        """Name what a machine must see. The log has a name of its own: where it is, the tree beside it is ours, and not an older copy."""
        found = (log, output_dir, *sorted(links(self._settings, settings.root)))
        return [str(settings.root), *(str(path) for path in found if path.exists())]

    def _next(self, each: _Running, on_point: OnPoint) -> Mapping[str, Any] | None:
        """Take in a task's next event; return it if it is the last one."""
        try:
            event = self._ray.get(next(each.events))
        except StopIteration:
            return {"event": "ended", "how": "its task ended without a result", "timed_out": False}
        except self._ray.exceptions.RayError as error:
            return {"event": "ended", "how": _lost(error), "timed_out": False}
        if event["event"] == "point":
            on_point(each.task.spec, CurvePoint(event["step"], event["values"]))
        elif event["event"] == "output":
            each.log.write(event["text"].encode())
        return event if event["event"] in {"result", "error", "ended"} else None

    def _again(self, each: _Running, last: Mapping[str, Any]) -> _Running | None:
        """Hand a run to Ray again whose process or machine died, if it may be."""
        earlier = each.try_again(last, self._surroundings.notice)
        return None if earlier is None else self._start(each.task, earlier)

    def _outcome(self, each: _Running, last: Mapping[str, Any]) -> RunResult:
        # Nobody here knows what else ran on that machine; a whole GPU is at least not shared.
        alone = resources(self._settings.ray_resources).get("num_gpus", 0) >= 1
        return each.outcome(last, self._settings, 1 if alone else 2)


def check_address(address: str) -> None:
    """Refuse within seconds what Ray would try for a minute.

    Raises:
        SettingsError: nobody answers there, or it is the address of a Ray Client, which cannot pass on what a run says.
    """
    where = f"exprun_executor = ray: RAY_ADDRESS = {address}"
    if address.startswith("ray://"):
        raise SettingsError(
            f"{where}: a Ray Client cannot pass progress lines on; start the session on a machine of the cluster, with "
            "RAY_ADDRESS = auto or host:port"
        )
    host, colon, port = address.rpartition(":")
    if colon and port.isdecimal():
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER_SECONDS).close()
        except (OSError, OverflowError) as error:
            raise SettingsError(f"{where}: nobody answers there ({error}); is the cluster up?") from None


def _cannot_join(address: str, error: Exception) -> str:
    if address == "local":
        # Ray gives its own processes 15 to 30 seconds to start, and that cannot be changed.
        hint = "; the machine may be too busy" if "timed out" in str(error) else ""
        return f"a local cluster cannot be started: {_first_line(error)}{hint}"
    return (
        f"the cluster at RAY_ADDRESS = {address} cannot be joined: {_first_line(error)}; if it asks for a token, set "
        "RAY_AUTH_MODE = token"
    )


def resources(words: Sequence[str]) -> dict[str, Any]:
    """Turn `num_cpus=1 num_gpus=0.5 big=1` into Ray's options; names that Ray does not know are custom resources."""
    found: dict[str, Any] = {}
    for word in words:
        name, _, amount = word.partition("=")
        number = float(amount)
        value = int(number) if number == int(number) else number
        if name in {"num_cpus", "num_gpus", "memory"}:
            found[name] = value
        else:
            found.setdefault("resources", {})[name] = value
    return found


def _first_line(error: Exception) -> str:
    lines = (line.strip().rstrip(".")[:300] for line in str(error).splitlines() if line.strip())
    return next(lines, type(error).__name__)


def _lost(error: Exception) -> str:
    """Say in one line how Ray lost a task."""
    cause = getattr(error, "cause", None)
    return (
        f"its Ray task was lost ({describe(cause)})"
        if cause is not None
        else f"its Ray worker was lost ({_first_line(error)})"
    )
