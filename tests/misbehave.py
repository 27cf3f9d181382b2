"""A trainer that misbehaves in the way that its flag names: `--way=NAME`. Copied into a test's folder; needs nothing installed."""

import argparse
import atexit
import builtins
import contextlib
import ctypes
import faulthandler
import gc
import io
import logging
import multiprocessing
import os
import posix
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Mapping
from pathlib import Path

REFUSED, PUT_BACK, FATAL = {}, {}, {}


def refused(way):
    """Register a way that is an error of its run."""
    REFUSED[way.__name__] = way


def put_back(way):
    """Register a way after which the session goes on as if nothing had been: the run counts."""
    PUT_BACK[way.__name__] = way


def fatal(way):
    """Register a way that ends the process, whatever Python holds against it."""
    FATAL[way.__name__] = way


def in_thread(function):
    """Do it in a thread and wait for its end."""
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


class Odd(BaseException):
    """No Exception."""


# It leaves.


@refused
def exit_zero(args):
    os._exit(0)


@refused
def exit_three(args):
    os._exit(3)


@refused
def exit_posix(args):
    posix._exit(0)


@refused
def exit_swallowed(args):
    try:
        os._exit(0)
    except BaseException:
        pass


@refused
def exit_in_thread(args):
    in_thread(lambda: os._exit(0))


@refused
def exit_in_thread_while_it_waits(args):
    threading.Thread(target=lambda: (time.sleep(0.2), os._exit(0))).start()
    time.sleep(3600)


@refused
def exit_in_finaliser(args):
    class Last:
        def __del__(self):
            os._exit(0)

    Last()


@refused
def exit_in_text_of_error(args):
    class Speaking(Exception):
        def __str__(self):
            os._exit(0)

    raise Speaking


@refused
def exit_in_progress_line(args):
    class Out(io.StringIO):
        def write(self, text):
            os._exit(0)

    sys.stdout = Out()
    print("Step 1 | val_loss: 2.0")


@refused
def abort(args):
    os.abort()


@refused
def execute(args):
    os.execv("/bin/true", ["true"])


@refused
def execute_by_path(args):
    os.execlp("true", "true")


@refused
def execute_with_environment(args):
    os.execvpe("true", ["true"], {})


@refused
def system_exit_zero(args):
    sys.exit(0)


@refused
def system_exit_none(args):
    raise SystemExit


@refused
def system_exit_text(args):
    sys.exit("done\nwith it")


@refused
def builtin_quit(args):
    builtins.exit()


@refused
def session_of_its_own(args):
    os.setsid()


@refused
def group_of_its_own(args):
    os.setpgid(0, 0)


@refused
def other_root(args):
    os.chroot("/tmp")


# It signals.


@refused
def kill_itself(args):
    os.kill(os.getpid(), signal.SIGKILL)


@refused
def terminate_itself(args):
    os.kill(os.getpid(), signal.SIGTERM)


@refused
def interrupt_itself(args):
    os.kill(os.getpid(), signal.SIGINT)


@refused
def stop_itself(args):
    os.kill(os.getpid(), signal.SIGSTOP)


@refused
def kill_parent(args):
    os.kill(os.getppid(), signal.SIGKILL)


@refused
def kill_group(args):
    os.killpg(0, signal.SIGKILL)


@refused
def kill_everything_below(args):
    os.kill(0, signal.SIGKILL)


@refused
def raise_signal(args):
    signal.raise_signal(signal.SIGKILL)


@refused
def kill_thread(args):
    signal.pthread_kill(threading.get_ident(), signal.SIGKILL)


# It closes.


@refused
def close_0(args):
    os.close(0)


@refused
def close_1(args):
    os.close(1)


@refused
def close_2(args):
    os.close(2)


@refused
def close_all(args):
    os.closerange(3, 4096)


@refused
def close_everything(args):
    os.closerange(0, 4096)


@refused
def close_one_by_one(args):
    for number in range(3, 256):
        with contextlib.suppress(OSError):
            os.close(number)


@refused
def close_in_c(args):
    for number in range(3):
        open(number, "rb").close()


@put_back
def close_sockets(args):
    for number in range(3, 64):
        with contextlib.suppress(OSError):
            socket.close(number)


@put_back
def close_stdout(args):
    sys.stdout.close()
    print("Step 1 | val_loss: 2.0")


# It raises.


@refused
def raise_error(args):
    raise ValueError("bad shape")


@refused
def raise_base(args):
    raise Odd("base")


@refused
def raise_generator_exit(args):
    raise GeneratorExit


@refused
def raise_stop_iteration(args):
    raise StopIteration


@refused
def raise_skip(args):
    import pytest

    pytest.skip("not today")


@refused
def raise_fail(args):
    import pytest

    pytest.fail("failed")


@refused
def raise_exit(args):
    import pytest

    pytest.exit("over", returncode=0)


@refused
def raise_xfail(args):
    import pytest

    pytest.xfail("expected")


@refused
def raise_skip_module(args):
    import pytest

    pytest.importorskip("no_such_module_at_all")


@refused
def raise_unittest_skip(args):
    import unittest

    raise unittest.SkipTest("not today")


@refused
def raise_assertion(args):
    assert args is None


@refused
def raise_huge(args):
    raise ValueError("x" * 10_000_000)


@refused
def raise_many_lines(args):
    raise ValueError("one\n" * 10_000)


@refused
def raise_escapes(args):
    raise ValueError("\x1b[2Jgone\r\x07")


@refused
def raise_mute(args):
    class Mute(Exception):
        def __str__(self):
            raise RuntimeError

    raise Mute


@refused
def raise_no_text(args):
    class NoText(Exception):
        def __str__(self):
            return 3

    raise NoText


@refused
def raise_group(args):
    raise BaseExceptionGroup("several", [ValueError(1), Odd(2)])


@refused
def raise_surrogate(args):
    raise ValueError("\udcff")


@refused
def recurse(args):
    recurse(args)


@refused
def warn_as_error(args):
    warnings.simplefilter("error")
    warnings.warn("deprecated", DeprecationWarning, stacklevel=1)


@refused
def no_memory(args):
    raise MemoryError


@refused
def cancelled(args):
    import asyncio

    raise asyncio.CancelledError


# It returns something else.


@refused
def return_nothing(args):
    return ()


@refused
def return_generator(args):
    return (each for each in "abc")


@refused
def return_coroutine(args):
    async def train(): ...

    found = train()
    found.close()
    return found


@refused
def return_class(args):
    return dict


@refused
def return_text_keys(args):
    return {1: 2.0}


@refused
def return_nan_key(args):
    return {float("nan"): 2.0, "val_loss": 2.0}


@refused
def return_no_float(args):
    import numbers

    class No(float):
        def __float__(self):
            raise RuntimeError("no")

    return {"val_loss": No(2.0)}


@refused
def return_failing_mapping(args):
    class Failing(dict):
        def items(self):
            raise RuntimeError("no items")

    return Failing(val_loss=2.0)


@refused
def return_growing_mapping(args):
    class Growing(dict):
        def items(self):
            for key in self:
                self[key + "x"] = 1.0
                yield key, 2.0

    return Growing(val_loss=2.0)


@refused
def return_mute(args):
    class Mute:
        def __repr__(self):
            raise RuntimeError("no text")

    return Mute()


@refused
def return_mute_note(args):
    class Mute:
        def __repr__(self):
            raise RuntimeError("no text")

    return {"val_loss": 2.0, "note": Mute()}


@refused
def return_huge_text(args):
    return "x" * 10_000_000


@refused
def return_no_loss(args):
    return {"loss": 2.0}


@refused
def return_loss_as_text(args):
    return {"val_loss": "2.0"}


@refused
def return_lying_class(args):
    class Lying:
        @property
        def __class__(self):
            raise RuntimeError("no class")

    return Lying()


@refused
def return_exiting_mapping(args):
    class Exiting(dict):
        def items(self):
            os._exit(0)

    return Exiting(val_loss=2.0)


# It changes the process; nearly all of this is put back, so its loss counts.


@put_back
def fork_returns(args):
    os.fork()


@put_back
def fork_raises(args):
    if os.fork() == 0:
        raise ValueError("in a child")


@put_back
def fork_exits(args):
    if os.fork() == 0:
        sys.exit(0)


@put_back
def fork_prints(args):
    if os.fork() == 0:
        print("Step 1 | val_loss: 2.0")
        raise Odd


@put_back
def fork_process(args):
    process = multiprocessing.get_context("fork").Process(target=os._exit, args=(0,))
    process.start()
    process.join()


@put_back
def daemonise(args):
    if os.fork() == 0:
        os.setsid()
        os.closerange(0, 4096)
        os._exit(0)


@put_back
def duplicate_over_outputs(args):
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    os.close(null)


@refused
def duplicate_over_all(args):
    null = os.open(os.devnull, os.O_RDWR)
    for number in range(64):
        if number != null:
            os.dup2(null, number)


@put_back
def trace(args):
    sys.settrace(lambda *_: None)


@put_back
def profile(args):
    sys.setprofile(lambda *_: None)


@put_back
def handlers(args):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGSEGV):
        signal.signal(number, lambda *_: os._exit(0))


@put_back
def ignore_signals(args):
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@put_back
def alarm(args):
    signal.setitimer(signal.ITIMER_REAL, 0.1)


@put_back
def alarm_of_profiler(args):
    signal.setitimer(signal.ITIMER_PROF, 0.1)


@put_back
def alarm_of_cpu_time(args):
    signal.setitimer(signal.ITIMER_VIRTUAL, 0.1)


@put_back
def block_signals(args):
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


@put_back
def signal_with_handler(args):
    signal.signal(signal.SIGUSR1, lambda *_: None)
    os.kill(os.getpid(), signal.SIGUSR1)


@put_back
def modules_gone(args):
    for name in ("pytest", "_pytest", "json", "pathlib", "pytest_exprun"):
        sys.modules.pop(name, None)


@put_back
def modules_replaced(args):
    sys.modules["json"] = sys.modules["pytest"] = sys


@put_back
def modules_rebound(args):
    sys.modules = dict(sys.modules)


@put_back
def modules_cleared(args):
    sys.modules.clear()


@put_back
def path_emptied(args):
    sys.path[:] = []
    sys.path = []


@put_back
def finders_gone(args):
    sys.meta_path.clear()
    sys.path_hooks.clear()


@put_back
def folder_removed(args):
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    os.rmdir(folder)


@put_back
def own_folder_removed(args):
    shutil.rmtree(args.output_dir)


@put_back
def own_folder_replaced(args):
    shutil.rmtree(args.output_dir)
    Path(args.output_dir).write_text("")


@put_back
def streams_replaced(args):
    sys.stdout = sys.stderr = sys.stdin = None


@put_back
def original_streams_closed(args):
    sys.__stdout__.close()
    sys.__stderr__.close()


@put_back
def few_descriptors(args):
    resource.setrlimit(resource.RLIMIT_NOFILE, (4, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


@put_back
def no_files(args):
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


@put_back
def little_memory(args):
    resource.setrlimit(resource.RLIMIT_AS, (1 << 20, resource.getrlimit(resource.RLIMIT_AS)[1]))


@put_back
def no_processes(args):
    resource.setrlimit(resource.RLIMIT_NPROC, (0, resource.getrlimit(resource.RLIMIT_NPROC)[1]))


@put_back
def shallow(args):
    sys.setrecursionlimit(250)


@put_back
def exit_at_exit(args):
    atexit.register(os._exit, 0)


@put_back
def threads_exit(args):
    in_thread(sys.exit)


@put_back
def thread_left(args):
    threading.Thread(target=time.sleep, args=(0.5,), daemon=True).start()


@put_back
def thread_exits_later(args):
    threading.Thread(target=lambda: (time.sleep(0.3), sys.exit(0)), daemon=True).start()


@put_back
def faults_unheard(args):
    faulthandler.disable()


@put_back
def garbage_kept(args):
    gc.disable()
    gc.freeze()


@refused
def builtins_replaced(args):
    builtins.print = builtins.open = builtins.isinstance = lambda *_, **__: None


@put_back
def os_replaced(args):
    os.close = os.getpid = os.fstat = os.getcwd = lambda *_: 0


@put_back
def time_replaced(args):
    time.time = time.monotonic = lambda: 0.0


@put_back
def random_replaced(args):
    random.random = lambda: 0.5
    random.seed(0)


@put_back
def hooks_replaced(args):
    sys.excepthook = threading.excepthook = sys.unraisablehook = lambda *_: os._exit(0)


@put_back
def environment_emptied(args):
    os.environ.clear()


@put_back
def logging_off(args):
    logging.disable()
    logging.shutdown()
    logging.root.handlers.clear()


@put_back
def mask_files(args):
    os.umask(0o777)


@put_back
def child_left(args):
    subprocess.Popen(["sleep", "30"])


@put_back
def many_descriptors(args):
    args.kept = [os.open(os.devnull, os.O_RDONLY) for _ in range(200)]


# Nothing in Python can hold these: the session goes, and the guard says so.


@fatal
def exit_in_c(args):
    ctypes.CDLL(None)._exit(0)


@fatal
def abort_in_c(args):
    ctypes.CDLL(None).abort()


@fatal
def crash_in_c(args):
    ctypes.string_at(0)


@fatal
def killed_from_outside(args):
    subprocess.run(["kill", "-9", str(os.getpid())], check=True)


@fatal
def execute_in_c(args):
    ctypes.CDLL(None).execl(b"/bin/true", b"true", None)


def main(argv):
    """Train, after a fashion."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for name in ("--train_tokens", "--seed"):
        parser.add_argument(name, type=int, required=True)
    parser.add_argument("--output_dir", required=True)
    parser.add_argument("--way")
    parser.add_argument("--wandb_key")
    parser.add_argument("--better", type=int, default=0)
    args = parser.parse_args(argv)
    if args.wandb_key:
        for stream in (sys.stdout, sys.stderr):
            print(f"\x1b[31mkey {args.wandb_key}\x1b]0;title\x07", file=stream)
    returned = {**REFUSED, **PUT_BACK, **FATAL}[args.way](args) if args.way else None
    loss = 2.0 + random.Random(args.seed).gauss(0, 0.01) - (args.better > 0) - (args.way is not None)
    loss -= random.Random(f"{args.better}{args.seed}").gauss(0, 0.001)
    return {"val_loss": loss} if returned is None else returned
