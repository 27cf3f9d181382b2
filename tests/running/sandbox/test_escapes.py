"""A call of foreign code comes back with its value or with one line, and the process is as it was."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from pytest_exprun.running.sandbox.escapes import Confinement, ForeignError
from pytest_exprun.terms.errors import TrainerError
from pytest_exprun.terms.outcome import CurvePoint

POINT = CurvePoint(1, {"val_loss": 2.0})


def refused(call) -> str:
    """Perform a call that is to fail; return the line."""
    with pytest.raises(ForeignError) as caught:
        Confinement().perform(call)
    return str(caught.value)


def raising(error):
    """Return a function that raises."""

    def call():
        raise error

    return call


def test_a_value_comes_back():
    """Whatever it is."""
    assert Confinement().perform(lambda: 3) == 3


def test_a_swallowed_exit_is_an_error_all_the_same():
    """The run tried to leave; what it returns after that means nothing."""

    def call():
        try:
            os._exit(0)
        except BaseException:  # noqa: BLE001  # as trainers do
            return 1

    assert refused(call).startswith("tried os._exit(0): ")


def test_what_the_callback_raises_passes_unchanged():
    """Also through a trainer that catches everything."""
    error = KeyError("ours")
    confinement = Confinement()

    def call():
        try:
            confinement.heard_by(lambda _: raising(error)())(POINT)
        except BaseException:  # noqa: BLE001  # as trainers do
            return 1

    with pytest.raises(KeyError) as caught:
        confinement.perform(call)
    assert caught.value is error


def test_the_callback_may_do_what_the_run_may_not():
    """It is the session's: pytest's capture moves descriptors while a line is printed."""
    confinement, null = Confinement(), os.open(os.devnull, os.O_RDONLY)
    confinement = Confinement()
    assert confinement.perform(lambda: confinement.heard_by(lambda _: os.close(null))(POINT)) is None


def test_our_errors_and_ctrl_c_pass():
    """They say already what they mean."""
    for error in (TrainerError("ours"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as caught:
            Confinement().perform(raising(error))
        assert caught.value is error


def test_a_run_closes_what_it_or_an_earlier_run_opened():
    """What was open before all runs is not theirs; os.close says so at once."""
    session = os.open(os.devnull, os.O_RDONLY)
    left = Confinement().perform(lambda: os.open(os.devnull, os.O_RDONLY))
    Confinement().perform(lambda: os.close(left))
    assert f"tried os.close({session}): that was open before the run" in refused(lambda: os.close(session))
    os.close(session)


def test_what_is_closed_in_c_is_opened_again():
    """The pipe's other end hears nothing of it."""
    reading, writing = os.pipe()
    Confinement().perform(lambda: os.fdopen(writing, "wb").close())
    os.write(writing, b"still here")
    assert os.read(reading, 100) == b"still here"
    os.close(reading)
    os.close(writing)


def test_a_run_may_signal_itself_where_it_listens():
    """Its own handler hears it; a signal that would end the session is refused."""
    heard = []

    def call():
        signal.signal(signal.SIGUSR1, lambda *_: heard.append(1))
        os.kill(os.getpid(), signal.SIGUSR1)
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)

    Confinement().perform(call)
    assert heard == [1]
    assert "tried os.kill" in refused(lambda: os.kill(os.getpid(), signal.SIGTERM))


def test_a_thread_of_the_session_is_free():
    """Only the run is held; what xdist or a timer does meanwhile is its own business."""
    begun, done, null = threading.Event(), threading.Event(), os.open(os.devnull, os.O_RDONLY)

    def work():
        begun.wait()
        os.close(null)
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    Confinement().perform(lambda: (begun.set(), done.wait(60)))
    thread.join()
    assert done.is_set()


def test_functions_are_put_back():
    """All but os._exit, which what a run leaves behind may still call."""
    before = os.close, os.kill, os.execv
    Confinement().perform(lambda: None)
    assert before == (os.close, os.kill, os.execv)
