"""Each kind of Python's own state that a run changes is put back."""

from __future__ import annotations

import os

import pytest

from tests.leaks import Rows, check_stays, check_undone, space

LEAKS: Rows = {
    "python random state": ("random.seed(0)", "random.getstate()"),
    "python random draws": ("[random.random() for _ in range(999)]", "random.getstate()"),
    "flush denormals": ("torch.set_flush_denormal(True)", "(sys.float_info.min * float('0.5')).hex()"),
    "working directory": ("os.chdir('/')", "os.getcwd()"),
    "file mode mask": ("os.umask(os.umask(0) ^ 0o055)", "(lambda mask: (mask, os.umask(mask)))(os.umask(0o022))[0]"),
    "new environment variable": ("os.environ['LEAK'] = '1'", "dict(os.environ)"),
    "removed environment variable": ("os.environ.pop('PATH')", "dict(os.environ)"),
    "changed environment variable": ("os.environ['PATH'] = '/nowhere'", "os.environ['PATH']"),
    "time zone": ("os.environ['TZ'] = 'NOWHERE-7:13'; time.tzset()", "time.strftime('%z', time.localtime(0))"),
    "argv": ("sys.argv[:] = ['train']", "list(sys.argv)"),
    "path": ("sys.path.insert(0, '/leak')", "list(sys.path)"),
    "replaced path": ("sys.path = []", "list(sys.path)"),
    "import finders": ("sys.meta_path.append(object())", "list(sys.meta_path)"),
    "path hooks": ("sys.path_hooks.append(print)", "list(sys.path_hooks)"),
    "replaced module": ("sys.modules['json'] = random", "sys.modules['json'].__name__"),
    "removed module": ("del sys.modules['json']", "'json' in sys.modules"),
    "stdout": ("sys.stdout = io.StringIO()", "id(sys.stdout)"),
    "stderr": ("sys.stderr = io.StringIO()", "id(sys.stderr)"),
    "excepthook": ("sys.excepthook = print", "sys.excepthook"),
    "unraisablehook": ("sys.unraisablehook = print", "sys.unraisablehook"),
    "thread excepthook": ("threading.excepthook = print", "threading.excepthook"),
    "trace function": ("sys.setprofile(lambda *a: None)", "sys.getprofile()"),
    "recursion limit": ("sys.setrecursionlimit(4321)", "sys.getrecursionlimit()"),
    "root logger level": ("logging.root.setLevel(1)", "logging.root.level"),
    "root logger handlers": ("logging.root.addHandler(logging.NullHandler())", "list(logging.root.handlers)"),
    "logging config": ("logging.basicConfig(force=True, level=1)", "list(logging.root.handlers)"),
    "logging disabled": ("logging.disable(50)", "logging.root.manager.disable"),
    "named logger": ("logging.getLogger('matplotlib').setLevel(1)", "logging.getLogger('matplotlib').level"),
    "warning filters": ("warnings.simplefilter('ignore')", "list(warnings.filters)"),
    "showwarning": ("warnings.showwarning = print", "warnings.showwarning"),
    "signal handler": ("signal.signal(signal.SIGTERM, print)", "signal.getsignal(signal.SIGTERM)"),
    "ignored interrupt": ("signal.signal(signal.SIGINT, signal.SIG_IGN)", "signal.getsignal(signal.SIGINT)"),
    "alarm": ("signal.setitimer(signal.ITIMER_REAL, 999)", "signal.getitimer(signal.ITIMER_REAL)"),
    "signal mask": (
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])",
        "signal.pthread_sigmask(signal.SIG_BLOCK, [])",
    ),
    "garbage collection off": ("gc.disable()", "gc.isenabled()"),
    "locale": (
        "locale.setlocale(locale.LC_ALL, 'C' if locale.setlocale(locale.LC_ALL) != 'C' else 'C.UTF-8')",
        "locale.setlocale(locale.LC_ALL)",
    ),
    "decimal precision": ("decimal.getcontext().prec = 3", "decimal.getcontext().prec"),
    "socket timeout": ("socket.setdefaulttimeout(1)", "socket.getdefaulttimeout()"),
    "start method": (
        "multiprocessing.set_start_method('spawn', force=True)",
        "multiprocessing.get_start_method(allow_none=True)",
    ),
    "temporary folder": ("tempfile.tempdir = '/leak'", "tempfile.tempdir"),
    "patched clock": ("time.time = lambda: 0", "time.time"),
    "patched sleep": ("time.sleep = print", "time.sleep"),
    "patched random": ("random.random = lambda: 4", "random.random"),
    "patched print": ("builtins.print = max", "builtins.print"),
    "patched open": ("builtins.open = max", "builtins.open"),
}
if len(os.sched_getaffinity(0)) > 1:  # one core cannot be taken away
    LEAKS["cpu affinity"] = ("os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})", "os.sched_getaffinity(0)")


@pytest.fixture(scope="module")
def trainer():
    """Return the namespace of an adversarial trainer."""
    pytest.importorskip("torch")
    return space("import torch")


@pytest.mark.parametrize("kind", LEAKS)
def test_a_leak_is_undone(kind, trainer):
    """After the run the probe gives what it gave before, and nothing is reported as left."""
    check_undone(LEAKS[kind], trainer)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="unguarded leaks stay in a fork")
@pytest.mark.parametrize("kind", LEAKS)
def test_without_the_guard_it_stays(kind, trainer):
    """The row is no empty promise: in a fork without the guard the probe changes."""
    check_stays(LEAKS[kind], trainer)
