"""What a session prints and writes: past pytest's capture, on a terminal and without one."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys

import pytest

from pytest_exprun.reporter import Voice

ROPE = '@experiment("--rope")\ndef test_rope(comparison):\n    """Better."""\n    assert comparison.verdict is Verdict.WINNER\n'


def test_without_a_terminal(toy_project):
    """-p no:terminal works: reports and junit are written all the same."""
    toy_project.write(ROPE)
    result = toy_project.run("-p", "no:terminal", "--junitxml=junit.xml")
    assert result.ret == 0
    assert "WINNER" in (toy_project.pytester.path / "junit.xml").read_text(encoding="utf-8")
    assert "## Verdict: WINNER" in toy_project.report("experiment_rope_1M.md")


def test_output_is_clean_when_piped(toy_project):
    """Without a terminal there is one line a run, no carriage returns and no escapes; the trainer's lines stay captured."""
    toy_project.write(ROPE)
    out = toy_project.run_fresh().stdout.str()
    assert "\r" not in out
    assert "\x1b" not in out
    assert "Step 1 |" not in out
    lines = [line for line in out.splitlines() if "seed 137" in line and "val_loss" in line]
    assert len(lines) == 2


def test_live_progress_on_a_terminal(toy_project):
    """On a terminal one line is overwritten while a run trains; a finished run's line replaces it."""
    toy_project.write(ROPE)
    (toy_project.pytester.path / "conftest.py").write_text(
        "from pytest_exprun.study import session\n\nsession.LIVE_SECONDS = -1  # every line, however quickly it comes\n"
    )
    controller, terminal = os.openpty()
    command = [sys.executable, "-m", "pytest", "experiments", "-p", "no:cacheprovider"]
    narrow = {**os.environ, "COLUMNS": "40"}
    with subprocess.Popen(
        command, cwd=toy_project.pytester.path, stdout=terminal, stderr=terminal, env=narrow
    ) as session:
        os.close(terminal)
        chunks = []
        with contextlib.suppress(OSError):  # Linux says EIO when the other end is closed
            while chunk := os.read(controller, 65536):
                chunks.append(chunk)
    os.close(controller)
    assert session.returncode == 0
    out = b"".join(chunks).decode()
    assert "\r\x1b[2K" in out
    live = re.findall(r"(\S+  seed \d+  step \d[^\r\n]*)", out.replace("\x1b[2K", ""))
    assert any(re.match(r"rope  seed 137  step \d  val_loss [\d.]+$", line) for line in live), out
    assert max(map(len, live)) == 39, "a line that wraps cannot be erased"


def test_captured_output_stays_with_the_test(toy_project):
    """pytest's own capture works around a run: the test's output and the trainer's are shown with a failure."""
    toy_project.write(
        '@experiment("--worse")\ndef test_worse(comparison, capsys):\n    print("mine")\n'
        '    assert capsys.readouterr().out == "mine\\n"\n    assert 0'
    )
    result = toy_project.run_fresh()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*Captured stdout setup*", "Step 1 | val_loss: *"])


def test_silent_without_experiments(toy_project):
    """A session without experiments sees nothing of the plugin."""
    toy_project.write("def test_plain():\n    assert True")
    result = toy_project.run()
    result.assert_outcomes(passed=1)
    assert "= experiments =" not in result.stdout.str()
    assert not [line for line in result.outlines if "exprun" in line and not line.startswith("plugins: ")]
    assert not (toy_project.pytester.path / ".exprun").exists()


class Plugins(dict):
    """Stands in for pytest's plugin manager."""

    getplugin = dict.get


@pytest.mark.parametrize("capture", [True, False])
def test_a_live_line_is_overwritten_once(pytestconfig, monkeypatch, capture):
    """A line replaces the live one, a second erasing finds nothing to erase, and the trainer's own standard output comes back."""
    plugins = Plugins(terminalreporter=pytestconfig.pluginmanager.getplugin("terminalreporter"))
    if capture:
        plugins["capturemanager"] = pytestconfig.pluginmanager.getplugin("capturemanager")
    written = []
    terminal = plugins["terminalreporter"]
    monkeypatch.setattr(terminal, "isatty", True)
    monkeypatch.setattr(terminal, "write", lambda text, **_: written.append(text))
    monkeypatch.setattr(terminal, "ensure_newline", lambda: None)
    voice, trainers = Voice(plugins), io.StringIO()
    monkeypatch.setattr(sys, "stdout", trainers)
    voice.live("training")
    voice.say("done")
    voice.erase()
    assert [text for text in written if text != "\n"] == ["training", "\r\x1b[2Kdone\n"]
    assert sys.stdout is trainers


def test_without_a_terminal_reporter_nothing_is_said(capsys):
    """A voice that nobody hears is mute, and no error."""
    voice = Voice(Plugins())
    voice.live("training")
    voice.say("done")
    voice.erase()
    assert capsys.readouterr().out == ""


def test_nothing_that_a_terminal_obeys_comes_from_a_flag(toy_project):
    """In lines of the session, the plan, errors, and the summary; a line break makes no line."""
    evil = "\\x1b[2J\\x07\\u202e\\n1 passed"
    toy_project.write(
        f'@experiment("--shift=0{evil}")\ndef test_it(): ...\n'
        f'@experiment("--rope", baseline=["--noise={evil}"])\ndef test_baseline(): ...\n'
        f'@experiment("--rope", metric="val_loss{evil}", higher_is_better=False)\ndef test_metric(): ...\n'
    )
    for args in ((), ("--exprun-mode=plan",), ("--exprun-executor=processes",)):
        result = toy_project.run_fresh(*args)
        shown = result.stdout.str() + result.stderr.str()
        assert not {"\x1b", "\x07", "\u202e"} & set(shown)
        assert "\\x1b[2J" in shown
        assert "\n1 passed" not in shown


@pytest.mark.parametrize("options", [(), ("--collect-only",), ("--exprun-mode=plan",), ("--setup-only",)])
def test_a_marked_test_that_vanished_is_never_green(project, options):
    """Another plugin that takes the place of the protocol leaves a test unjudged: the session says so, unless it runs no tests."""
    project.write('@experiment("--rope")\ndef test_rope(): ...')
    (project.pytester.path / "conftest.py").write_text("def pytest_runtest_protocol(): return True\n", encoding="utf-8")
    result = project.run(*options)
    assert result.ret == (0 if options else 1)
    told = "test_rope.py::test_rope is marked @experiment, was selected, and was not judged" in result.stdout.str()
    assert told is not bool(options)
