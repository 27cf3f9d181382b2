"""What a run printed is kept within bounds, and quoted in its error."""

from __future__ import annotations

from pytest_exprun.running.sandbox.run_log import LIMIT, TAIL, RunLog


def test_a_log_that_cannot_be_written_costs_nothing(tmp_path):
    """The end of the output is still there for the message."""
    (tmp_path / "file").touch()
    log = RunLog(tmp_path / "file" / "run.log")
    log.write(b"50%\r100%\nsomething broke\n")
    log.close(keep=True)
    assert "; its output ended: something broke; all of it: " in log.told("it failed")


def test_a_long_log_keeps_its_beginning_and_its_end(tmp_path):
    """What lies between is counted."""
    log = RunLog(tmp_path / "run.log")
    log.write(b"first\n" + b"x" * LIMIT)
    log.write(b"y" * 2 * TAIL + b"last\n")
    log.close(keep=True)
    kept = log.path.read_bytes()
    assert kept.startswith(b"first\n")
    assert b"\n[%d bytes left out]\n" % (6 + TAIL + 5) in kept
    assert kept.endswith(b"ylast\n")
    assert len(kept) < LIMIT + TAIL + 100


def test_a_log_that_is_not_wanted_goes(tmp_path):
    """So does one that holds nothing."""
    for keep, text in ((False, b"words"), (True, b"")):
        log = RunLog(tmp_path / "run.log")
        log.write(text)
        log.close(keep=keep)
        assert not log.path.exists()


def test_a_message_is_told_the_end_of_the_output_once(tmp_path):
    """One line; a message that quotes a log already is left as it is, and one that says the same is not told it twice."""
    log = RunLog(tmp_path / "run.log")
    log.write(b"something broke\n")
    told = log.told("it failed")
    assert told == f"it failed; its output ended: something broke; all of it: {log.path}"
    assert log.told(told) == told
    assert log.told("raised Oh: something broke") == f"raised Oh: something broke; all of it: {log.path}"
    log.close(keep=False)
