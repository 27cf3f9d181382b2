"""What nobody hears of a run is named where it is known that there was something."""

from __future__ import annotations

import pytest

from pytest_exprun.terms.model import Budget, RunSpec, Variant
from pytest_exprun.terms.outcome import RunResult
from pytest_exprun.trust.files.accesses import Heard
from pytest_exprun.trust.files.unheard import ASKED, MOST_TOLD, SILENT, Unheard, unheard
from tests.ways import WAYS, make_project


def asked(*names):
    """Return a run that asked these hosts."""
    return RunResult(
        RunSpec(Variant(("--rope",)), 42, Budget()), "finished", {"val_loss": 1.0}, provenance={ASKED: names}
    )


def test_this_machine_is_no_network(tmp_path):
    """By whatever address it is asked; names are shown as a terminal may see them."""
    hosts = [
        "me 80 127.0.0.1",
        "me 80 ::",
        "fd00::7 80 fd00::7",
        "\x1b[2J 80 192.0.2.1",
        "a.example 80 192.0.2.1",
        "a.example 80 192.0.2.2",
    ]
    found = unheard(Heard(asked=dict.fromkeys(hosts)), str(tmp_path))
    assert found[ASKED] == ["[fd00::7]:80", "\\x1b[2J:80", "a.example:80"]


def test_only_the_projects_scripts_count(tmp_path):
    """A tool that is started alone is none of ours."""
    names = [str(tmp_path / "prepare.py"), str(tmp_path / ".git" / "hook.py"), "/usr/bin/tool"]
    assert unheard(Heard(silent=dict.fromkeys(names)), str(tmp_path))[SILENT] == ["prepare.py"]


def test_each_host_is_told_once_and_not_without_end():
    """A line has three, a session ten."""
    session = Unheard()
    (line,) = session.notices(asked(*(f"host{number}:443" for number in range(5))))
    assert line.startswith(
        "seed 42 of --rope asked the network: host0:443, host1:443, host2:443 and 2 more. A stored run stands"
    )
    assert list(session.notices(asked("host4:443"))) == []
    lines = [line for number in range(5, 100) for line in session.notices(asked(f"host{number}:443"))]
    assert len(lines) == MOST_TOLD - 5


TRAINER = """
import os, socket, subprocess, sys
ASK = "import socket, sys; made = socket.socket(); made.settimeout(0); made.connect_ex(('192.0.2.1', int(sys.argv[1])))"
def main(argv):
    with socket.socket() as made:
        made.settimeout(0)
        made.connect_ex(("192.0.2.1", 4434))
    subprocess.run([sys.executable, "-c", ASK, "4435"], check=True)
    base = subprocess.run([sys.executable, "-I", "prepare.py"], capture_output=True, text=True, check=True).stdout
    subprocess.run([sys.executable, "told.py"], env={"A": "1"}, check=True)
    os.waitpid(os.posix_spawn(sys.executable, [sys.executable, "asked.py"], {"A": "1"}), 0)
    loss = float(base) + int(argv[argv.index("--seed") + 1]) / 1000
    print(f"Step 1 | val_loss: {loss}")
    return {"val_loss": loss}
"""


@pytest.mark.parametrize("way", WAYS)
def test_a_session_says_it(pytester, way):
    """Under each executor and for a command, of the trainer's own process and of those that it starts; the record has it too.

    A Python that subprocess starts with variables of its own is no silent one.
    """
    make_project(pytester, way, TRAINER)
    for name in ("prepare", "told", "asked"):
        (pytester.path / f"{name}.py").write_text("print(2.5)", encoding="utf-8")
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=1)
    lines = [line for line in result.outlines if line.startswith("note: ")]
    network = "note: seed 42 of no flags asked the network: 192.0.2.1:4434, 192.0.2.1:4435. A stored run stands whatever is answered"
    silent = "note: seed 42 of no flags started a Python that tells nothing: asked.py, prepare.py. A stored run stands whatever becomes"
    assert [line.startswith((network, silent)) for line in lines] == [True] * 4  # now, and once more in the summary
    record = next((pytester.path / ".exprun").glob("baseline/*/seed-1024.json")).read_text(encoding="utf-8")
    assert '"192.0.2.1:4435"' in record
    assert '"silent_pythons"' in record
