"""A run leaves the process as it found it, starts as in a fresh one, and its directory goes without taking anything else along."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pytest_exprun.running.sandbox import isolation
from pytest_exprun.running.sandbox.isolation import TOKEN_FILE, preserved_process_state, remove_owned, run_directory
from pytest_exprun.terms.errors import StoreError

ROOT = Path(__file__).parents[3]

# name: (what an adversarial trainer does, what must be as before). The probe stands for itself: it knows nothing of our own bookkeeping.
LEAKS = {
    "python random state": ("random.seed(0)", "random.getstate()"),
    "python random draws": ("[random.random() for _ in range(999)]", "random.getstate()"),
    "numpy random state": ("np.random.seed(0)", "np.random.get_state()[1].tobytes(), np.random.get_state()[2:]"),
    "numpy error handling": ("np.seterr(all='raise')", "np.geterr()"),
    "numpy error callback": ("np.seterrcall(print)", "np.geterrcall()"),
    "numpy buffer size": ("np.setbufsize(4096)", "np.getbufsize()"),
    "numpy print options": ("np.set_printoptions(precision=2)", "np.get_printoptions()"),
    "numpy function": ("np.random.rand = lambda: 4", "np.random.rand"),
    "numpy mean": ("np.mean = max", "np.mean"),
    "torch random state": ("torch.manual_seed(0)", "torch.get_rng_state().numpy().tobytes()"),
    "torch threads": ("torch.set_num_threads(torch.get_num_threads() + 1)", "torch.get_num_threads()"),
    "torch default dtype": ("torch.set_default_dtype(torch.float64)", "torch.get_default_dtype()"),
    "torch default device": ("torch.set_default_device('meta')", "torch.empty(1).device.type"),
    "torch gradient mode": ("torch.set_grad_enabled(False)", "torch.is_grad_enabled()"),
    "torch deterministic": (
        "torch.use_deterministic_algorithms(True, warn_only=True)",
        "torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()",
    ),
    "torch memory filling": (
        "torch.utils.deterministic.fill_uninitialized_memory = False",
        "torch.utils.deterministic.fill_uninitialized_memory",
    ),
    "cudnn benchmark": ("torch.backends.cudnn.benchmark = True", "torch.backends.cudnn.benchmark"),
    "cudnn deterministic": ("torch.backends.cudnn.deterministic = True", "torch.backends.cudnn.deterministic"),
    "cudnn off": ("torch.backends.cudnn.enabled = False", "torch.backends.cudnn.enabled"),
    "tf32": ("torch.backends.cuda.matmul.allow_tf32 = True", "torch.backends.cuda.matmul.allow_tf32"),
    "matmul precision": ("torch.set_float32_matmul_precision('medium')", "torch.get_float32_matmul_precision()"),
    "mkldnn": ("torch.backends.mkldnn.enabled = False", "torch.backends.mkldnn.enabled"),
    "flash attention": ("torch.backends.cuda.enable_flash_sdp(False)", "torch.backends.cuda.flash_sdp_enabled()"),
    "efficient attention": (
        "torch.backends.cuda.enable_mem_efficient_sdp(False)",
        "torch.backends.cuda.mem_efficient_sdp_enabled()",
    ),
    "plain attention": ("torch.backends.cuda.enable_math_sdp(False)", "torch.backends.cuda.math_sdp_enabled()"),
    "autocast": ("torch.set_autocast_enabled('cpu', True)", "torch.is_autocast_enabled('cpu')"),
    "autocast dtype": ("torch.set_autocast_dtype('cpu', torch.float16)", "torch.get_autocast_dtype('cpu')"),
    "anomaly detection": ("torch.autograd.set_detect_anomaly(True)", "torch.is_anomaly_enabled()"),
    "torch print options": ("torch.set_printoptions(precision=2)", "torch._tensor_str.PRINT_OPTS.precision"),
    "torch warnings": ("torch.set_warn_always(True)", "torch.is_warn_always_enabled()"),
    "flush denormals": ("torch.set_flush_denormal(True)", "(sys.float_info.min * float('0.5')).hex()"),
    "hook on all modules": (
        "torch.nn.modules.module.register_module_forward_hook(lambda *a: None)",
        "len(torch.nn.modules.module._global_forward_hooks)",
    ),
    "patched functional": ("torch.nn.functional.gelu = torch.relu", "torch.nn.functional.gelu"),
    "patched tensor method": ("torch.Tensor.backward = print", "torch.Tensor.backward"),
    "patched layer": ("torch.nn.Linear.forward = print", "torch.nn.Linear.forward"),
    "patched module": ("torch.nn.Module.train = print", "torch.nn.Module.train"),
    "patched optimizer": ("torch.optim.AdamW = torch.optim.SGD", "torch.optim.AdamW"),
    "patched torch": ("torch.save = print", "torch.save"),
    "matplotlib parameters": ("matplotlib.rcParams['figure.dpi'] = 33", "matplotlib.rcParams['figure.dpi']"),
    "matplotlib backend": ("matplotlib.use('svg')", "dict.__getitem__(matplotlib.rcParams, 'backend')"),
    "matplotlib figures": (
        "import matplotlib.pyplot; matplotlib.use('agg'); matplotlib.pyplot.figure()",
        "len(matplotlib.pyplot.get_fignums())",
    ),
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
    "switch interval": ("sys.setswitchinterval(0.5)", "sys.getswitchinterval()"),
    "int digits": ("sys.set_int_max_str_digits(9999)", "sys.get_int_max_str_digits()"),
    "root logger level": ("logging.root.setLevel(1)", "logging.root.level"),
    "root logger handlers": ("logging.root.addHandler(logging.NullHandler())", "list(logging.root.handlers)"),
    "logging config": ("logging.basicConfig(force=True, level=1)", "list(logging.root.handlers)"),
    "logging disabled": ("logging.disable(50)", "logging.root.manager.disable"),
    "named logger": ("logging.getLogger('matplotlib').setLevel(1)", "logging.getLogger('matplotlib').level"),
    "logger class": ("logging.setLoggerClass(type('L', (logging.Logger,), {}))", "logging.getLoggerClass()"),
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
    "garbage collection threshold": ("gc.set_threshold(9)", "gc.get_threshold()"),
    "garbage collection callback": ("gc.callbacks.append(print)", "len(gc.callbacks)"),
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
    "file limit": (
        "resource.setrlimit(resource.RLIMIT_NOFILE, (99, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))",
        "resource.getrlimit(resource.RLIMIT_NOFILE)",
    ),
    "patched clock": ("time.time = lambda: 0", "time.time"),
    "patched sleep": ("time.sleep = print", "time.sleep"),
    "patched random": ("random.random = lambda: 4", "random.random"),
    "patched print": ("builtins.print = max", "builtins.print"),
    "patched open": ("builtins.open = max", "builtins.open"),
}
if len(os.sched_getaffinity(0)) > 1:  # one core cannot be taken away
    LEAKS["cpu affinity"] = ("os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})", "os.sched_getaffinity(0)")
REPORTED = {
    "open file": ("kept = open(__file__)", "open "),
    "open pipe": ("kept = os.pipe()", "open pipe"),
    "running thread": (
        "e = threading.Event(); t = threading.Thread(target=e.wait, name='leaky'); t.start()",
        "thread 'leaky'",
    ),
    "child process": ("kept = subprocess.Popen(['sleep', '600'])", "child process"),
}


@pytest.fixture(scope="module")
def space():
    """Return a namespace as an adversarial trainer would import it."""
    pytest.importorskip("torch")
    names = (
        "builtins decimal gc io locale logging multiprocessing os random resource signal socket subprocess sys tempfile"
    )
    space = {"__file__": __file__}
    code = f"import {', '.join(names.split())}, threading, time, warnings, matplotlib, torch\nimport numpy as np"
    exec(code, space)  # noqa: S102  # the rows of the tables are source
    return space


def run(code, space):
    """Run a row's source."""
    exec(code, space)  # noqa: S102  # see above


def ask(probe, space):
    """Evaluate a row's probe."""
    return eval(probe, space)  # noqa: S307  # see above


class TestLeaks:
    """Each kind of state is put back, or named."""

    @pytest.mark.parametrize("kind", LEAKS)
    def test_a_leak_is_undone(self, kind, space):
        """After the run the probe gives what it gave before, and nothing is reported as left."""
        leak, probe = LEAKS[kind]
        if "matplotlib.pyplot" in leak:
            import matplotlib.pyplot  # noqa: F401, ICN001  # the probe asks it
        before = ask(probe, space)
        with preserved_process_state() as report:
            run(leak, space)
        after = ask(probe, space)
        assert after == before
        assert report.leaks == []

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="unguarded leaks stay in a fork")
    @pytest.mark.parametrize("kind", LEAKS)
    def test_without_the_guard_it_stays(self, kind, space):
        """The row is no empty promise: in a fork without the guard the probe changes."""
        leak, probe = LEAKS[kind]
        child = os.fork()
        if child == 0:
            changed = 2
            try:
                if "matplotlib.pyplot" in leak:
                    import matplotlib.pyplot  # noqa: F401, ICN001  # the probe asks it
                before = ask(probe, space)
                run(leak, space)
                changed = int(ask(probe, space) != before)
            finally:
                os._exit(changed)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1

    @pytest.mark.parametrize("kind", REPORTED)
    def test_what_cannot_be_undone_is_named(self, kind, space):
        """Open files, threads and children stay, and the report says which."""
        leak, words = REPORTED[kind]
        left = dict(space)
        with preserved_process_state() as report:
            run(leak, left)
        for made in (left.get("kept"), left.get("t")):
            if isinstance(made, tuple):
                for descriptor in made:
                    os.close(descriptor)
            elif isinstance(made, subprocess.Popen):
                made.kill()
                made.wait()
            elif isinstance(made, threading.Thread):
                left["e"].set()
                made.join()
            elif made is not None:
                made.close()
        assert any(words in text for text in report.leaks), report.leaks
        assert report.children == ([left["kept"].pid] if kind == "child process" else [])

    def test_what_is_closed_again_is_not_named(self):
        """A run that tidies up after itself is reported clean, also where only a reference cycle held a file."""
        with preserved_process_state() as report:
            with open(__file__, encoding="utf-8"):  # noqa: PTH123  # what trainers write
                pass
            ring = {"file": os.fdopen(os.dup(0), "rb", closefd=True)}
            ring["self"] = ring
            ring.pop("file").close()
            worker = threading.Thread(target=time.sleep, args=(0,))
            worker.start()
            worker.join()
        assert report.leaks == []

    def test_everything_is_restored_when_the_run_raises(self):
        """An exception passes through unchanged, after the state is back."""
        before = Path.cwd()

        def train():
            os.chdir("/")
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError), preserved_process_state():
            train()
        assert Path.cwd() == before

    def test_a_deleted_working_directory(self, tmp_path, monkeypatch):
        """A session whose directory is gone can still run and be restored."""
        folder = tmp_path / "gone"
        folder.mkdir()
        monkeypatch.chdir(folder)
        folder.rmdir()
        with preserved_process_state():
            os.chdir("/")

    def test_a_state_that_cannot_be_read_does_not_keep_the_others_back(self, monkeypatch):
        """A library that breaks is named; what comes after it is restored all the same."""

        def broken():
            raise RuntimeError("no state")

        kinds = isolation.KINDS
        first = type(kinds[0])("broken library", lambda: 1, lambda _: None)
        before = isolation.capture((first, *kinds))
        second = type(kinds[0])("broken library", broken, lambda _: None)
        monkeypatch.setenv("LEAK", "1")
        report = isolation.restore(before, (second, *kinds))
        assert "broken library" in report.leaks[0]
        assert "LEAK" not in os.environ

    def test_at_least_forty_kinds(self):
        """The promise of docs/trust.md."""
        assert len(LEAKS) + len(REPORTED) >= 40


TRAINER = """
import os, random, sys
import numpy as np
import torch

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
os.environ["TRAINER_MODE"] = "fast"
np.random.seed(7)  # at import, on purpose


def main(seed, leak=False):
    random.seed(seed)
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=random.random())
    for _ in range(5):
        loss = (model(torch.randn(16, 4)) - torch.as_tensor(np.random.rand(16, 1))).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    result = [loss.item().hex(), torch.get_num_threads(), os.environ["TRAINER_MODE"], str(torch.get_default_dtype())]
    if leak:
        torch.set_default_dtype(torch.float32)
        torch.set_num_threads(2)
        torch.use_deterministic_algorithms(True)
        torch.nn.Tanh.forward = lambda self, x: x
        torch.tanh = torch.sin
        np.random.seed(0)
        os.environ["TRAINER_MODE"] = "broken"
        random.random = lambda: 0.5
        torch.set_grad_enabled(False)
    return result
"""


@pytest.fixture
def trainer_folder(tmp_path):
    """Return a folder with a trainer that sets things while it is imported, and leaks."""
    (tmp_path / "leaky_trainer.py").write_text(TRAINER, encoding="utf-8")
    return tmp_path


SHUFFLED = """
import json, random, sys
sys.path.insert(0, sys.argv[1])
from pytest_exprun.running.sandbox.isolation import preserved_process_state
def run(seed, leak):
    with preserved_process_state():
        import leaky_trainer
        return leaky_trainer.main(seed, leak)
seeds = [seed for seed in json.loads(sys.argv[2]) for _ in range(int(sys.argv[3]))]
random.Random(1).shuffle(seeds)
results = {}
for number, seed in enumerate(seeds):
    results.setdefault(seed, set()).add(tuple(run(seed, leak=number % 3 > 0)))
print(json.dumps({seed: sorted(found) for seed, found in results.items()}))
"""


def python(code, *arguments):
    """Run source in a fresh process; return what it printed, as JSON."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


def fresh(folder, seed):
    """Train one seed in a process of its own, without this plugin."""
    code = "import json, sys; sys.path.insert(0, sys.argv[1]); import leaky_trainer as t; print(json.dumps(t.main(int(sys.argv[2]))))"
    return python(code, folder, seed)


def test_runs_in_one_process_equal_fresh_processes(trainer_folder):
    """A hundred shuffled runs of one process, two in three of them leaking, equal fresh processes bit for bit."""
    seeds = [42, 137]
    found = python(SHUFFLED, trainer_folder, json.dumps(seeds), 50)
    assert {seed: [fresh(trainer_folder, seed)] for seed in seeds} == {int(seed): runs for seed, runs in found.items()}


@pytest.mark.slow
def test_runs_in_one_process_equal_fresh_processes_for_many_seeds(trainer_folder):
    """The same with twenty seeds, five runs each."""
    seeds = list(range(20))
    found = python(SHUFFLED, trainer_folder, json.dumps(seeds), 5)
    assert {seed: [fresh(trainer_folder, seed)] for seed in seeds} == {int(seed): runs for seed, runs in found.items()}


def test_without_the_guard_they_do_not(trainer_folder):
    """The proof can fail: the same runs without isolation give several results for one seed."""
    unguarded = SHUFFLED.replace("with preserved_process_state():", "if True:").replace(
        "leak=number % 3 > 0", "leak=False"
    )
    found = python(unguarded, trainer_folder, "[42]", 10)
    assert len(found["42"]) > 1


def test_generators_start_as_the_system_seeds_them():
    """A trainer that forgets to seed is not made to look reproducible by the plugin."""
    np, torch = pytest.importorskip("numpy"), pytest.importorskip("torch")
    drawn = []
    for _ in range(3):
        with preserved_process_state():
            drawn.append((random.random(), np.random.rand(), torch.rand(1).item()))
    assert all(len(set(column)) == 3 for column in zip(*drawn, strict=True))


def test_a_stale_compiled_file_is_not_executed(tmp_path, monkeypatch):
    """An edit within the same second that keeps the size passes Python's own check; a run executes the source all the same."""
    path = tmp_path / "quick_edit.py"
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    for guarded, value in ((False, 1), (True, 2)):
        path.write_text(f"X = {value}\n", encoding="utf-8")
        os.utime(path, (1_000_000_000, 1_000_000_000))
        with preserved_process_state() if guarded else contextlib.nullcontext():
            found = __import__("quick_edit").X
        del sys.modules["quick_edit"]
    assert found == 2
    assert __import__("quick_edit").X == 1, "without the guard Python takes the compiled file, so the proof could fail"
    del sys.modules["quick_edit"]


class TestRunDirectory:
    """Where a run writes, and what is deleted afterwards."""

    def test_it_is_made_and_removed(self, tmp_path):
        """The name is the run's with eight hex digits; after the run nothing is left, the root neither if it was made for it."""
        with run_directory(tmp_path / "checkpoints", "exp_1M_seed42") as path:
            assert path.name.startswith("exp_1M_seed42-")
            assert len(path.name) == len("exp_1M_seed42-") + 8
            (path / "model" / "deep").mkdir(parents=True)
            (path / "model" / "deep" / "w.pt").write_bytes(b"w")
        assert list(tmp_path.iterdir()) == []

    def test_neighbours_stay(self, tmp_path):
        """Another run's directory and the user's files are left alone."""
        (tmp_path / "exp_1M_seed42-mine").mkdir()
        with run_directory(tmp_path, "exp_1M_seed42"):
            pass
        assert [path.name for path in tmp_path.iterdir()] == ["exp_1M_seed42-mine"]

    def test_a_directory_without_our_token_stays(self, tmp_path):
        """A run that replaced its directory by another keeps it."""
        with run_directory(tmp_path, "exp") as path:
            (path / TOKEN_FILE).unlink()
            (path / "precious").write_text("", encoding="utf-8")
        assert (path / "precious").exists()

    @pytest.mark.parametrize("token", ["", "0" * 32, "another run's"])
    def test_another_token_is_not_ours(self, tmp_path, token):
        """A directory that holds some other token stays."""
        with run_directory(tmp_path, "exp") as path:
            (path / TOKEN_FILE).write_text(token, encoding="utf-8")
        assert path.exists()

    def test_a_link_in_its_place_is_not_followed(self, tmp_path):
        """A run that puts a link where its directory was: the target stays, token and all."""
        target = tmp_path / "target"
        target.mkdir()
        (target / "precious").write_text("", encoding="utf-8")
        with run_directory(tmp_path / "c", "exp") as path:
            (target / TOKEN_FILE).write_text((path / TOKEN_FILE).read_text(encoding="utf-8"), encoding="utf-8")
            (path / TOKEN_FILE).unlink()
            path.rmdir()
            path.symlink_to(target)
        assert (target / "precious").exists()

    def test_links_inside_are_removed_not_followed(self, tmp_path):
        """Links to files and folders go; what they point to stays."""
        target = tmp_path / "target"
        target.mkdir()
        (target / "precious").write_text("kept", encoding="utf-8")
        with run_directory(tmp_path / "c", "exp") as path:
            (path / "folder").symlink_to(target)
            (path / "file").symlink_to(target / "precious")
            (path / "loop").symlink_to(path)
            (path / "dangling").symlink_to(tmp_path / "nothing")
            os.link(target / "precious", path / "hard")
        assert not path.exists()
        assert (target / "precious").read_text(encoding="utf-8") == "kept"

    def test_a_mount_inside_keeps_everything(self, tmp_path, monkeypatch):
        """Where another file system is mounted inside, nothing is deleted."""
        with run_directory(tmp_path, "exp") as path:
            (path / "mnt").mkdir()
            (path / "mnt" / "precious").write_text("", encoding="utf-8")
            real = os.path.ismount
            monkeypatch.setattr(os.path, "ismount", lambda name: Path(name).name == "mnt" or real(name))
        assert (path / "mnt" / "precious").exists()

    def test_a_thousand_random_trees(self, tmp_path):
        """Random trees full of links into a folder outside: all trees go, the folder outside is untouched."""
        rng = random.Random(0)
        outside = tmp_path / "outside"
        (outside / "deep").mkdir(parents=True)
        for number in range(5):
            (outside / "deep" / f"{number}.txt").write_text(str(number), encoding="utf-8")
        before = {path: path.read_bytes() for path in outside.rglob("*.txt")}
        targets = [outside, outside / "deep", *before, tmp_path, Path("/"), Path("..")]
        for _ in range(1000):
            with run_directory(tmp_path / "c", "exp") as root:
                folders = [root]
                for number in range(rng.randrange(1, 9)):
                    path = rng.choice(folders) / f"n{number}"
                    kind = rng.random()
                    if kind < 0.5:
                        path.symlink_to(rng.choice([*targets, *folders]))
                    elif kind < 0.8:
                        path.mkdir()
                        folders.append(path)
                    else:
                        os.link(rng.choice(list(before)), path)
            assert not root.exists()
        assert {path: path.read_bytes() for path in outside.rglob("*.txt")} == before

    def test_a_root_that_cannot_be_written(self, tmp_path):
        """One line with the folder and the setting."""
        (tmp_path / "c").write_text("", encoding="utf-8")
        with (
            pytest.raises(StoreError, match=r"checkpoint folder .* exprun_checkpoint_dir"),
            run_directory(tmp_path / "c", "x"),
        ):
            pass

    def test_a_run_that_raises_leaves_no_directory(self, tmp_path):
        """Clean-up does not depend on success."""
        with pytest.raises(KeyboardInterrupt), run_directory(tmp_path / "c", "x"):
            raise KeyboardInterrupt
        assert not (tmp_path / "c").exists()

    def test_what_is_gone_already(self, tmp_path):
        """A run that removes its own directory is no error."""
        with run_directory(tmp_path, "x") as path:
            (path / TOKEN_FILE).unlink()
            path.rmdir()
        assert not path.exists()
        assert remove_owned(path, "token")


def test_signals_still_end_a_guarded_run():
    """Ctrl-C in a run passes through the guard."""
    with pytest.raises(KeyboardInterrupt), preserved_process_state():
        signal.raise_signal(signal.SIGINT)


def test_run_directory_survives_another_session_that_removes_the_empty_root(tmp_path, monkeypatch):
    """Between making the root and the folder in it, another session may find the root empty and remove it."""
    root, mkdir, removed = tmp_path / "checkpoints", Path.mkdir, []

    def racing(self, *args, **kwargs):
        mkdir(self, *args, **kwargs)
        if self == root and not removed:
            removed.append(self.rmdir())

    monkeypatch.setattr(Path, "mkdir", racing)
    with run_directory(root, "exp_1M_seed42") as path:
        assert path.is_dir()
    assert removed
