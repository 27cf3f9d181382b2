"""A session killed at any step: finished seeds survive, at most the seed in flight is trained again, the verdict is the same.

Every operation of the store goes through `FileSystem.call`. A dry run counts them; then, for each k, a forked session is killed by SIGKILL
just before its k-th operation (and in the middle of each write), and a second session finishes the work.
"""

from __future__ import annotations

import dataclasses
import json
import os
import random
import shutil
import signal
from collections import Counter
from pathlib import Path

import pytest

from pytest_exprun.report.files import publish
from pytest_exprun.settings.settings import Settings
from pytest_exprun.study.study import Study
from pytest_exprun.terms.model import Experiment, Variant
from pytest_exprun.terms.outcome import CurvePoint, RunResult
from pytest_exprun.trust.identity.fingerprint import Fingerprinter
from pytest_exprun.trust.ledger.ledger import Ledger
from pytest_exprun.trust.store.filesystem import FileSystem
from pytest_exprun.trust.store.records import DamagedRecord, decode
from pytest_exprun.trust.store.store import Store
from pytest_exprun.trust.trees.ground import Ground, Grounds

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="killing forked sessions needs fork")
ROPE, NEUTRAL = Variant(("--rope",)), Variant(("--shift=0.3",))


class Counting(FileSystem):
    """Counts operations. fsync is left out: it decides what survives a power cut, not a kill, and costs the test minutes."""

    def __init__(self):
        self.calls = []

    def call(self, name, *arguments):
        """Note and perform one operation."""
        self.calls.append(name)
        return None if name == "fsync" else super().call(name, *arguments)


class Killing(Counting):
    """Kills its own process just before operation `at`, or, `torn`, in the middle of that write."""

    def __init__(self, at, *, torn=False):
        super().__init__()
        self.at, self.torn = at, torn

    def call(self, name, *arguments):
        """Perform one operation, or die."""
        if len(self.calls) == self.at:
            if self.torn:
                os.write(arguments[0], arguments[1][: len(arguments[1]) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        return super().call(name, *arguments)


class Trainer:
    """An executor whose runs take no time and always give the same."""

    def __init__(self, log):
        self.log = log

    def rejects(self, specs):
        """Refuse nothing."""
        return [None] * len(specs)

    def run(self, tasks, _on_point):
        """Give each run its loss, after noting that it trained."""
        for task in tasks:
            spec = task.spec
            with self.log.open("a", encoding="utf-8") as log:
                log.write(f"trained {spec.variant} {spec.seed}\n")
            loss = 2.0 + 0.01 * random.Random(spec.seed).gauss(0, 1)
            loss -= 0.1 * (spec.variant == ROPE) + 0.001 * (spec.variant == NEUTRAL) * (spec.seed % 7)
            metrics = {"val_loss": loss, "wall_time": 1.0, "cpu_time": 1.0}
            yield RunResult(
                spec, "finished", metrics, {"data": "x"}, (CurvePoint(1, {"val_loss": loss}),), {"host": "h"}
            )


class Quiet:
    """An observer that only notes which runs were recorded."""

    def __init__(self, log):
        self.log = log

    def __getattr__(self, _name):
        return lambda *_arguments, **_named: None

    def run_finished(self, result, *_):
        """Called after the record was written."""
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"recorded {result.spec.variant} {result.spec.seed}\n")


def is_killed(function, *arguments):
    """Call a function in a forked process; whether that was killed, and not ended by itself."""
    child = os.fork()
    if child == 0:
        try:
            function(*arguments)
            os._exit(0)
        except BaseException as error:  # noqa: BLE001  # a forked test must never return
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


@dataclasses.dataclass
class World:
    """A project and its store, which sessions can be run in."""

    project: Path
    fingerprinter: Fingerprinter
    folder: Path
    experiment: Experiment
    mode: str = "run"

    @property
    def log(self):
        """Where trainings are noted."""
        return self.folder / "log"

    def session(self, fs, mode=None):
        """Run one session to its verdict; return the comparison as JSON text."""
        settings = dataclasses.replace(self.fingerprinter.settings, mode=mode or self.mode)
        store = Store(self.folder / "store", fs=fs)
        ground = Ground(settings)
        ground.store, ground.fingerprinter = store, self.fingerprinter
        study = Study(settings, Grounds(ground), Trainer(self.log), Quiet(self.log), [self.experiment])
        text = json.dumps(study.compare(self.experiment).to_json(), sort_keys=True)
        publish(self.folder / "report.json", text)
        return text

    def copy(self, name):
        """Return the same world, apart from this one."""
        other = dataclasses.replace(self, folder=self.folder.parent / name)
        shutil.copytree(self.folder, other.folder)
        return other

    def killed(self, fs):
        """Run a session in a fork; whether it was killed."""
        return is_killed(self.session, fs)

    def noted(self, word):
        """Count what was trained or recorded."""
        lines = self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []
        return Counter(line.removeprefix(word) for line in lines if line.startswith(word))

    def damaged(self):
        """Return the bytes of all files in a record's place or in quarantine that are no record."""
        found, store = [], self.folder / "store"
        for path in store.rglob("*seed-*.json"):
            try:
                if path.parent != store / "tmp":
                    decode(path.read_bytes())
            except DamagedRecord:
                found.append(path.read_bytes())
        return sorted(found)

    def old_records(self):
        """Return the names of the baseline's records, in place, superseded or set aside."""
        store = self.folder / "store"
        files = (path for path in store.rglob("*seed-*.json") if path.parent != store / "tmp")
        return {path.name.rpartition("--")[2] for path in files if "baseline" in str(path.relative_to(store))}


def _first_baseline(world):
    """Nothing is stored."""


def _resume(world):
    """Three of the five baseline seeds are stored."""
    world.session(Counting())
    for path in sorted((world.folder / "store").glob("baseline/*/*.json"))[:2]:
        path.unlink()
    shutil.rmtree(world.folder / "store" / "rope")


def _escalation(world):
    """The baseline is stored; the experiment needs its seeds four and five."""
    world.experiment = dataclasses.replace(world.experiment, name="neutral", variant=NEUTRAL)
    world.session(Counting())
    shutil.rmtree(world.folder / "store" / NEUTRAL.slug)


def _quarantine(world):
    """Two stored records are damaged."""
    world.session(Counting())
    for path in sorted((world.folder / "store").glob("baseline/*/*.json"))[1:3]:
        path.write_bytes(path.read_bytes()[:-9])


def _refresh(world):
    """Everything is stored, and to be trained again."""
    world.session(Counting())
    world.mode = "refresh"


SCENARIOS = {f.__name__.strip("_"): f for f in (_first_baseline, _resume, _escalation, _quarantine, _refresh)}


@pytest.fixture(scope="module")
def new_world(tmp_path_factory):
    """Return a function that makes a world in the state of a scenario."""
    project = tmp_path_factory.mktemp("project")
    (project / "toy.py").write_text("def main(argv): ...\n", encoding="utf-8")
    fingerprinter = Fingerprinter(Settings(trainer="toy:main", root=project))

    def make(scenario):
        folder = tmp_path_factory.mktemp(scenario) / "template"
        folder.mkdir()
        world = World(project, fingerprinter, folder, Experiment("rope", ROPE))
        SCENARIOS[scenario](world)
        world.log.unlink(missing_ok=True)
        return world

    return make


def check_after_kill(world, template, reference, expected):
    """Finish a killed session's work in a second one, and compare with a session that nobody killed."""
    assert world.damaged() == template.damaged(), "half a record, or a damaged one that was not kept"
    assert world.old_records() >= template.old_records(), "a record is gone"
    recorded = world.noted("recorded ")
    before = world.noted("trained ")
    text = world.session(Counting(), mode="run")
    assert text == reference
    assert (world.folder / "report.json").read_text(encoding="utf-8") == reference
    ledger = Ledger(world.folder / "store")
    assert ledger.verified().faults == (), "the ledger is damaged"
    assert ledger.entries()[-1]["kind"] == "outcome", "a question was left open"
    again = world.noted("trained ") - before
    assert not recorded & again, "a recorded seed was trained again"
    assert sum(world.noted("trained ").values()) <= sum(expected.values()) + 1, "more than the seed in flight repeated"


# Every so many of the steps in each test run; the slow form takes all.
FAST = {"first_baseline": 3, "quarantine": 3, "resume": 5, "escalation": 5, "refresh": 5}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_killed_on_the_way(new_world, scenario, request):
    """SIGKILL before operations of the store and inside writes."""
    request.node.user_properties.append(("kills", kill_at_steps(new_world, scenario, FAST[scenario])))


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_killed_at_every_step(new_world, scenario, request):
    """SIGKILL before each operation of the store and inside each write: five scenarios, all steps."""
    request.node.user_properties.append(("kills", kill_at_steps(new_world, scenario, 1)))


def kill_at_steps(new_world, scenario, stride):
    """Kill sessions before each operation, or each so-many-th; return how many were killed."""
    template = new_world(scenario)
    dry, counting = template.copy("dry"), Counting()
    reference = dry.session(counting)
    expected = dry.noted("trained ")
    steps = [(at, False) for at in range(len(counting.calls))]
    steps += [(at, True) for at, name in enumerate(counting.calls) if name == "write"]
    for at, torn in steps[::stride]:
        world = template.copy(f"kill-{at}-{torn}")
        assert world.killed(Killing(at, torn=torn))
        check_after_kill(world, template, reference, expected)
        shutil.rmtree(world.folder)
    return len(steps[::stride])


@pytest.mark.parametrize("point", ["open", "write", "fsync", "replace"])
def test_a_report_is_old_or_new(tmp_path, point):
    """Killed at any step of writing a report, the file holds the old text or the new one."""
    path = tmp_path / "report.md"
    publish(path, "old\n" * 1000)
    owner, name = {"fsync": (os, "fsync"), "replace": (Path, "replace")}.get(point, (Path, "open"))
    real = getattr(owner, name)

    def die(*arguments, **named):
        if name == "open" and "xb" not in arguments:
            return real(*arguments, **named)
        if point == "write":
            file = real(*arguments, **named)
            file.write(b"half")
            file.flush()
        return os.kill(os.getpid(), signal.SIGKILL)

    def write():
        setattr(owner, name, die)
        publish(path, "new\n" * 1000)

    assert is_killed(write)
    assert path.read_text(encoding="utf-8") == "old\n" * 1000
    publish(path, "new\n" * 1000)
    assert path.read_text(encoding="utf-8") == "new\n" * 1000


def test_attesting_is_whole_or_absent(tmp_path):
    """Killed at any step of writing an attestation, it is there and valid or not there."""
    from tests.stored import ROPE as VARIANT  # the name is taken above
    from tests.stored import make_key, make_run

    old, new = make_key(source="1" * 64), make_key()

    def attest(folder, fs):
        store = Store(folder, fs=fs)
        store.attest(VARIANT.slug, new, old, 42)

    Store(tmp_path / "template").save(make_run(), VARIANT.slug, old)
    counting = Counting()
    shutil.copytree(tmp_path / "template", tmp_path / "dry")
    attest(tmp_path / "dry", counting)
    outcomes = set()
    for at in range(len(counting.calls)):
        folder = tmp_path / f"kill-{at}"
        shutil.copytree(tmp_path / "template", folder)
        assert is_killed(attest, folder, Killing(at))
        outcomes.add(Store(folder, read_only=True).load(VARIANT.slug, new, 42) is not None)
    assert outcomes == {True, False}


def test_the_proof_can_fail(new_world):
    """A store that gives a record its name before it is written is found out."""

    class NameFirst(Counting):
        def call(self, name, *arguments):
            if name == "open" and arguments[1] & os.O_EXCL and arguments[0].name.startswith("seed-"):
                arm = next((arguments[0].parent.parent / "baseline").iterdir())
                (arm / "seed-42.json").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return super().call(name, *arguments)

    template = new_world("first_baseline")
    world = template.copy("kill")
    assert world.killed(NameFirst())
    with pytest.raises(AssertionError, match="half a record"):
        check_after_kill(world, template, "", Counter())


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(20))
def test_random_kills(new_world, chunk):
    """Two hundred random kills over one to three sessions in a row: the same verdict, at most one seed repeated a kill."""
    rng = random.Random(chunk)
    scenario = rng.choice(["first_baseline", "resume", "escalation", "quarantine"])
    template = new_world(scenario)
    dry, counting = template.copy("dry"), Counting()
    reference = dry.session(counting)
    expected = dry.noted("trained ")
    for number in range(10):
        world = template.copy(f"kill-{number}")
        kills = sum(world.killed(Killing(rng.randrange(len(counting.calls)))) for _ in range(rng.randint(1, 3)))
        assert world.damaged() == template.damaged()
        assert world.session(Counting()) == reference
        assert sum(world.noted("trained ").values()) <= sum(expected.values()) + kills
