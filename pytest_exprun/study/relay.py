"""What a worker of pytest-xdist tells its controller: lines while it trains, and at its end what only the whole session can use.

Lines go through an execnet channel of our own, so they need no shared disk, and enter the controller's event queue: they are printed
between two test reports, in order, by the thread that prints everything else. Sees no pytest objects but xdist's node.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pytest_exprun.terms.model import Experiment
from pytest_exprun.terms.outcome import Arm, RunResult

if TYPE_CHECKING:
    from pytest_exprun.study.session import Session

KEY, UNTESTED = "exprun", "exprun_untested"
"""Our places among what xdist's controller and workers hand each other."""

Hear = Callable[[str, str], None]


def connect_worker(session: Session, workerinput: Mapping[str, Any]) -> None:
    """Let a worker's session speak to the controller. Without a controller that listens it is silent."""
    session.beside = int(workerinput.get("workercount", 1)) - 1
    session.identity = str(workerinput.get("testrunuid", ""))
    session.untested = [Experiment.from_json(each) for each in json.loads(workerinput.get(UNTESTED, "[]"))]
    channel = workerinput.get(KEY)
    if channel is None:
        return

    def tell(kind: str, text: str) -> None:
        try:
            channel.send((kind, text))
        except OSError:  # the controller is gone; the seeds in flight are still worth finishing
            session.say = session.live = lambda _: None

    session.say = lambda text: tell("say", text)
    session.live = lambda text: tell("live", text)
    session.run_hook = lambda run: tell("run", json.dumps(run.to_json()))


def connect_node(node: Any, dsession: Any, hear: Hear, untested: Sequence[Experiment]) -> None:
    """Tell a worker that is about to start which experiments no test declares, and listen to it.

    `hear` is called by the thread that handles the workers' reports.
    """
    node.workerinput[UNTESTED] = json.dumps([each.to_json() for each in untested])
    if dsession is None:
        return
    dsession.worker_exprun = hear  # xdist's loop calls `worker_<name>` for the event `<name>` in its queue
    channel = node.gateway.newchannel()
    channel.setcallback(lambda message: node.putevent((KEY, {"kind": message[0], "text": message[1]})))
    node.workerinput[KEY] = channel


def farewell(session: Session) -> dict[str, Any]:
    """Return what a worker leaves for the controller at its end, as plain data."""
    arms = [[run.to_json() for run in arm] for arm in session.arms.values()]
    return {"notices": list(session.notices), "unsaved": session.unsaved, "arms": json.dumps(arms)}


def take_leave(session: Session, left: Mapping[str, Any]) -> None:
    """Take in what a worker left."""
    session.notices.extend(text for text in left["notices"] if text not in session.notices)
    session.unsaved = session.unsaved or left["unsaved"]
    for runs in json.loads(left["arms"]):
        arm = tuple(map(RunResult.from_json, runs))
        session.receive_arm(Arm(arm[0].spec.variant, arm))
