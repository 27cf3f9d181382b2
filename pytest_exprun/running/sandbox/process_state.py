"""The state of Python itself that a training run can change: one row each.

A row is here because a run's numbers depend on it, or because the rest of the session would notice: its output, its signals, its files,
its tests. What neither would notice (how exceptions are printed, when garbage is collected) is left as the run made it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import locale
import logging
import os
import signal
import sys
import threading
import time
import warnings
from functools import partial
from typing import Any

from pytest_exprun.running.sandbox.saved_state import (
    Kind,
    calling,
    found,
    members,
    none_replaced,
    pair,
    patched,
    rebound,
    same_members,
    same_text,
)


def _reseeded(before: Any, after: Any) -> Any:
    """The new state if the generator was seeded, None if numbers were only drawn from it."""
    return None if before[1][:-1] == after[1][:-1] else after


def _environ_delta(before: dict[str, str], after: dict[str, str]) -> dict[str, str | None]:
    return {name: after.get(name) for name in {*before, *after} if before.get(name) != after.get(name)}


def _apply_environ(delta: dict[str, str | None]) -> None:
    for name, value in delta.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _put_environ(before: dict[str, str]) -> None:
    _apply_environ(_environ_delta(dict(os.environ), before))
    if hasattr(time, "tzset"):
        time.tzset()


def _added_entries(before: list[str], after: list[str]) -> list[str]:
    return [entry for entry in after if entry not in before]


def _add_entries(entries: list[str]) -> None:
    sys.path[:0] = [entry for entry in entries if entry not in sys.path]


def _working_directory() -> str:
    try:
        return os.getcwd()  # noqa: PTH109  # text, as chdir takes it
    except OSError:
        return ""  # somebody deleted it


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _signal_handlers() -> list[Any]:
    return [signal.getsignal(number) for number in sorted(signal.valid_signals())]


def _put_signal_handlers(before: list[Any]) -> None:
    if threading.current_thread() is not threading.main_thread():
        return
    for number, handler in zip(sorted(signal.valid_signals()), before, strict=True):
        if handler is not None and signal.getsignal(number) is not handler:
            with contextlib.suppress(OSError, ValueError):
                signal.signal(number, handler)


def _loggers() -> dict[str, tuple[Any, ...]]:
    """Level, handlers, filters and flags of the root logger and of every logger there is."""
    named = {name: item for name, item in logging.root.manager.loggerDict.items() if isinstance(item, logging.Logger)}
    return {
        name: (item.level, tuple(item.handlers), tuple(item.filters), item.disabled, item.propagate)
        for name, item in {"": logging.root, **named}.items()
    }


def _put_loggers(before: dict[str, tuple[Any, ...]]) -> None:
    for name, (level, handlers, filters, disabled, propagate) in before.items():
        logger = logging.getLogger(name or None)
        logger.setLevel(level)
        logger.handlers[:], logger.filters[:] = handlers, filters
        logger.disabled, logger.propagate = disabled, propagate


def _same_loggers(before: dict[str, Any], after: dict[str, Any]) -> bool:
    return all(after.get(name) == value for name, value in before.items())


def _put_filters(before: list[Any]) -> None:
    warnings.filters[:] = before  # type: ignore[index]  # typeshed says Sequence; it is a list
    getattr(warnings, "_filters_mutated_lock_held", getattr(warnings, "_filters_mutated", lambda: None))()


def _flushes_denormals() -> bool:
    """Whether this thread's floating-point unit turns denormal numbers into zero (`torch.set_flush_denormal`)."""
    half = float("0.5")  # not a literal: the product must be computed now and not by the compiler
    return sys.float_info.min * half == 0.0


def _put_flush_denormals(value: bool) -> None:  # one of many values to put
    if "torch" in sys.modules:
        found("torch").set_flush_denormal(value)


def _timer(name: str) -> Kind:
    """An interval timer, whose signal would end the session."""
    which = getattr(signal, name)
    return Kind(
        f"interval timer {name}",
        partial(signal.getitimer, which),
        lambda _: signal.setitimer(which, 0.0),
        # One that was running counts down on its own; only one that appeared is a change.
        same=lambda before, after: before != (0.0, 0.0) or after == before,
    )


def _limits() -> dict[int, tuple[int, int]]:
    names = [name for name in vars(found("resource")) if name.startswith("RLIMIT_")]
    numbers = {getattr(found("resource"), name) for name in names}
    return {number: found("resource").getrlimit(number) for number in sorted(numbers)}


def _put_limits(before: dict[int, tuple[int, int]]) -> None:
    for number, value in before.items():
        if found("resource").getrlimit(number) != value:
            with contextlib.suppress(OSError, ValueError):  # a hard limit that was lowered stays
                found("resource").setrlimit(number, value)


_MODULES = sys.modules
with contextlib.suppress(ImportError):
    importlib.import_module("resource")  # what nobody loaded is not captured, and a run may load it


def _none_replaced(before: dict[str, Any], after: dict[str, Any]) -> bool:
    return sys.modules is _MODULES and none_replaced(before, after)


def _put_modules(before: dict[str, Any]) -> None:
    sys.modules = _MODULES  # the dictionary that the interpreter itself uses
    sys.modules.update(before)


_set_locale = partial(locale.setlocale, locale.LC_ALL)

# Modules and their functions come first: the other rows are read and put back by means of them, and no code of ours works without.
ESSENTIAL_KINDS: tuple[Kind, ...] = (
    Kind("replaced modules", lambda: dict(_MODULES), _put_modules, same=_none_replaced),
    # Nothing else can be read or put back with too few descriptors or too little memory.
    Kind("resource limits", _limits, _put_limits, "resource"),
    *map(patched, ("builtins", "time", "random", "math", "os")),
)
PYTHON_KINDS: tuple[Kind, ...] = (
    *ESSENTIAL_KINDS,
    # What a run's numbers may depend on.
    pair("random state of python", "random.getstate", "random.setstate", numeric=True, delta=_reseeded),
    Kind(
        "environment variables",
        lambda: dict(os.environ),
        _put_environ,
        numeric=True,
        delta=_environ_delta,
        apply=_apply_environ,
    ),
    Kind("working directory", _working_directory, lambda path: os.chdir(path) if path else None, numeric=True),
    members("sys.path", lambda one, two: one == two, numeric=True, delta=_added_entries, apply=_add_entries),
    pair("recursion limit", "sys.getrecursionlimit", "sys.setrecursionlimit", numeric=True),
    Kind("locale", _set_locale, _set_locale, numeric=True),
    Kind("flushing of denormal numbers", _flushes_denormals, _put_flush_denormals, numeric=True),
    Kind(
        "decimal context",
        lambda: found("decimal").getcontext().copy(),
        lambda context: found("decimal").setcontext(context.copy()),
        "decimal",
        same_text,
        numeric=True,
    ),
    Kind(
        "start method of processes",
        partial(calling("multiprocessing.get_start_method"), allow_none=True),
        partial(calling("multiprocessing.set_start_method"), force=True),
        "multiprocessing",
        numeric=True,
    ),
    # What the rest of the session would notice.
    *map(members, ("sys.argv", "sys.meta_path", "sys.path_hooks")),
    *map(rebound, ("sys.stdout", "sys.stderr", "sys.stdin", "sys.excepthook", "sys.unraisablehook")),
    *map(rebound, ("threading.excepthook", "tempfile.tempdir", "warnings.showwarning")),
    Kind("warning filters", lambda: list(warnings.filters), _put_filters),
    Kind("loggers", _loggers, _put_loggers, same=_same_loggers),
    Kind("logging.disable", lambda: logging.root.manager.disable, logging.disable),
    pair("trace function", "sys.gettrace", "sys.settrace"),
    pair("profile function", "sys.getprofile", "sys.setprofile"),
    Kind("garbage collection", gc.isenabled, lambda on: gc.enable() if on else gc.disable()),
    pair("socket timeout", "socket.getdefaulttimeout", "socket.setdefaulttimeout"),
    Kind("file mode mask", _umask, os.umask),
    Kind("signal handlers", _signal_handlers, _put_signal_handlers, same=same_members),
)
if hasattr(signal, "pthread_sigmask"):
    _set_mask = partial(signal.pthread_sigmask, signal.SIG_SETMASK)
    PYTHON_KINDS += (
        Kind("signal mask", partial(signal.pthread_sigmask, signal.SIG_BLOCK, ()), _set_mask),
        *(_timer(name) for name in ("ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF")),
    )
if hasattr(os, "sched_getaffinity"):
    _set_affinity = partial(os.sched_setaffinity, 0)
    PYTHON_KINDS += (Kind("cpu affinity", partial(os.sched_getaffinity, 0), _set_affinity),)
