"""What the end of a run means that a process of its own performed, here or on another machine: a result, an error, or another try."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pytest_exprun.running.executors.contract import Task, failed
from pytest_exprun.running.sandbox.run_log import RunLog
from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.outcome import RunResult

ATTEMPTS = 2
"""How often a run may be tried whose process was killed or crashed. What the trainer itself reports wrong is not tried again."""


@dataclass(kw_only=True)
class Attempt:
    """One try at a run. The last event of its worker decides, as `Child.last_word` has it.

    Attributes:
        task: the run.
        log: what it printed.
        earlier: how its earlier tries ended.
    """

    task: Task
    log: RunLog
    earlier: Sequence[str] = ()

    def try_again(self, last: Mapping[str, Any], notice: Callable[[str], None]) -> Sequence[str] | None:
        """Return how all tries so far have ended if there is to be another one, and tell the user; else None."""
        if last["event"] != "ended" or last["timed_out"] or len(self.earlier) + 1 >= ATTEMPTS:
            return None
        self.log.close(keep=True)
        notice(f"{self.task}: {last['how']}; it is tried once more (log: {self.log.path})")
        return [*self.earlier, last["how"]]

    def outcome(self, last: Mapping[str, Any], settings: Settings, concurrency: int) -> RunResult:
        """Turn the last event into a result; the log of a run that cannot be trusted is kept."""
        provenance: dict[str, Any] = {"attempts": len(self.earlier) + 1, "executor": settings.executor}
        if self.earlier:
            provenance["earlier_attempts"] = list(self.earlier)
        if last["event"] == "result":
            self.log.close(keep=False)
            ground = self.task.ground
            ground.heard.add(ground.settings.root, last["heard"])
            result = RunResult.from_json(last["result"])
            return replace(result, provenance={**result.provenance, **provenance, "concurrency": concurrency})
        self.log.close(keep=True)
        why = self._why(last, settings.timeout)
        if not last.get("unstarted"):
            why = self.log.told(why)
        return failed(self.task.spec, "timeout" if last.get("timed_out") else "crashed", why, **provenance)

    def _why(self, last: Mapping[str, Any], timeout: float) -> str:
        if last.get("timed_out"):
            limit = f"exprun_timeout = {timeout:g} s and was ended; raise the limit, or set it to 0 for none"
            return f"{self.task} ran longer than {limit}"
        times = f", {len(self.earlier) + 1} times" if self.earlier else ""
        return str(last.get("message") or f"{self.task}: {last['how']}{times}")
