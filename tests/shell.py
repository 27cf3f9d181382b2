"""The `exprun` command as tests call it, and what they do to a project and its store."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jsonschema

from pytest_exprun.cli import main
from pytest_exprun.report import values
from pytest_exprun.settings.declaration import declare_baseline
from pytest_exprun.settings.project import find_project
from pytest_exprun.study.session import Session
from pytest_exprun.terms.model import SEEDS, baseline_seeds
from pytest_exprun.trust.store.records import decode, encode

BASELINE = (2.00, 2.01, 2.02, 1.99, 1.98)
SAME = (1.99, 2.003, 2.012, 1.985, 1.97)
SCHEMA = json.loads(Path(values.__file__).with_name("answer.schema.json").read_text(encoding="utf-8"))
LUCK = "+ 10 * args.worse + (-5 if args.seed in (42, 137, 256) else 1)"
"""What stands in the toy's source in place of its beginning: better at the first look's seeds alone, worse at all others."""
LEARNS = "loss = 2.0 - 0.2 * math.log2(args.train_tokens / 1e6) + SIGMA"
COSTS = '"cpu_time": 2e-6 * args.train_tokens * (1.25 if args.rope else 1)'
ROPE = '@experiment("--rope")\ndef test_rope(): ...'


def numbers(values):
    """Return numbers as they are typed."""
    return ",".join(map(str, values))


class Exprun:
    """Calls `exprun` in this process and keeps what it printed."""

    def __init__(self, capsys):
        self._capsys = capsys

    def __call__(self, *argv, status=0):
        """Run the command; fail unless its exit status is the expected one. Return its standard output."""
        self._capsys.readouterr()
        returned = main(list(argv))
        self.out, self.err = self._capsys.readouterr()
        assert returned == status, self.out + self.err
        return self.out

    def refused(self, *argv):
        """Run the command, expect it to be refused in one line, and return that line."""
        out = self(*argv, status=2)
        assert out == ""
        assert re.fullmatch(r"exprun: [^\n]+\n", self.err), self.err
        return self.err

    def told(self, *argv, status=0):
        """Run the command as a program does; return its object, which is all of its standard output and as the schema says."""
        found = json.loads(self(*argv, "--json", status=status))
        jsonschema.validate(found, SCHEMA)
        assert found["exit_status"] == status
        return found

    def flat(self):
        """Return what was printed with folded lines joined."""
        return " ".join(self.out.split())


def train_baseline(**changes):
    """Train and store ten seeds of the baseline, as `exprun aa` does."""
    settings = find_project(Path.cwd(), {}).settings({name: str(value) for name, value in changes.items()})
    seeds = baseline_seeds(10)
    study = Session(settings, writes_reports=False).study
    study.arm(settings.default_control, seeds, declare_baseline(settings, seeds, seeds))


def snapshot(folder):
    """Return the bytes of every file below a folder."""
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def logs(folder, values, name="run_seed{}.log"):
    """Write a log for each seed of the protocol; the last value counts."""
    folder.mkdir(parents=True)
    for seed, value in zip(SEEDS, values, strict=False):
        (folder / name.format(seed)).write_text(
            f"Step 1 | val_loss: 9.0\nStep 2 | val_loss: {value} | lr: 1\n", encoding="utf-8"
        )
    return str(folder)


def edit(project, old, new, name="toy.py"):
    """Change a file of the project."""
    path = project.pytester.path / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def losses(project, count=5):
    """Return the stored losses of the baseline's first seeds."""
    records = [decode(path.read_bytes()) for path in project.pytester.path.glob(".exprun/baseline/*/seed-*.json")]
    by_seed = {record.result.spec.seed: record.result.metrics["val_loss"] for record in records}
    return [by_seed[seed] for seed in baseline_seeds(count)]


def let_learn(project):
    """Let the toy get .2 better with each doubling of its budget and take two seconds for a million tokens, with --rope a quarter more.

    --rope is better by .1, half a doubling: it gets to its loss sqrt(2) / 1.25 times as fast.
    """
    edit(project, "loss = 2.0 + SIGMA", LEARNS)
    edit(project, '"cpu_time": 1.0', COSTS)


def forge(project, seed, provenance=None, slug="baseline", **metrics):
    """Write another result into a record, checksum and all."""
    path = next(project.pytester.path.glob(f".exprun/{slug}/*/seed-{seed}.json"))
    record = decode(path.read_bytes())
    record.result.metrics.update(metrics)
    record.result.provenance.update(provenance or {})
    path.write_bytes(encode(record))
    return path


def shell(*argv, cwd, **more):
    """Start `exprun` in a process of its own."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    return subprocess.Popen(
        [sys.executable, "-c", "import sys; from pytest_exprun.cli import main; sys.exit(main())", *argv],
        cwd=cwd, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more,
    )  # fmt: skip


def ended(*argv, cwd):
    """Run a command as a program does; return its object."""
    process = shell(*argv, "--json", cwd=cwd)
    out, err = process.communicate(timeout=180)
    assert process.returncode in {0, 2}, out + err
    return json.loads(out)
