"""Hears what a Python asks of its surroundings: files, folders, modules, variables, libraries, programs; and what it writes.

Used by `accesses` in this process, and by `started_python` in those that a run starts. It stands alone: such a Python may be another one,
without this package. Whatever goes wrong here must not touch the program.

What is heard has a letter: r read as data, s executed as a source, l listed, a asked for and absent, w written, b loaded as a library,
p named to a started program; t asked for and there; k a link whose target was read; m a module that is installed, or nowhere, by its
first name; e an environment variable, its name followed by the checksum of its value; n a connection to another machine: host, port,
address; u a script whose Python will tell nothing.
"""

# ruff: noqa: PTH100, PTH109, PTH118, PTH119, PTH120  # called for every open in a process: it must be quick
# ruff: noqa: SLF001  # what asks without being heard

from __future__ import annotations

import binascii
import contextlib
import functools
import importlib
import importlib.machinery
import os
import sys
from _imp import extension_suffixes
from _thread import _local

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    Found = list[tuple[str, Any]]
    Finder = Callable[[tuple[Any, ...], Any], Found]

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_SHELL_SIGNS = str.maketrans("\t\n;|&<>()'\"`=", " " * 13)
_STDLIB = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
_IMPORTS = "<frozen importlib"
_RUNNERS = ("<frozen runpy>", _STDLIB + "runpy.py", "<frozen zipimport>")
_READERS = ("linecache.py", "tokenize.py")
_SHOW_LINES = frozenset({"traceback.py", "warnings.py", "_py_warnings.py", "pdb.py", "bdb.py"})
_MAPPINGS = ("<frozen os>", "<frozen _collections_abc>", _STDLIB + "os.py", _STDLIB + "_collections_abc.py")
_PATHS = (
    *("<frozen genericpath>", "<frozen posixpath>", "<frozen os>"),
    *(_STDLIB + each for each in ("genericpath.py", "os.py", "pathlib", "posixpath.py")),
)
_SUPPORTS = (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks, os.supports_effective_ids)
_stat, _readlink, _REGULAR = os.stat, os.readlink, 0o100000  # without being heard
_PASSING = ("/dev/", "/run/", "/tmp/", "/var/")  # noqa: S108  # not used, only named
_TOKEN_FILE = ".exprun-owner"  # noqa: S105  # in a run's folder: see `run_directory`
_DEAF = frozenset("IES")  # flags of Python
_STREAM, _LOCAL = 1, ("127.", "::1", "::ffff:127.", "0.0.0.0", "::ffff:0.0.0.0", "localhost")  # noqa: S104  # compared only
_hosts: dict[str, str] = {}  # which one was last looked up, by port

# Variables that say who and where one is, what a terminal shows and where a program puts its files; of threads, those that executors set.
# They count where the project's own code asks for them.
_NAMES = (
    "CI COLORTERM COLUMNS CUDA_VISIBLE_DEVICES DISPLAY EDITOR FORCE_COLOR HOME HOST HOSTNAME LANG LANGUAGE LINES LOGNAME MAIL "
    "MKL_NUM_THREADS NO_COLOR NUMEXPR_NUM_THREADS OLDPWD OMP_NUM_THREADS OPENBLAS_NUM_THREADS PATH PWD PYTHONHOME PYTHONPATH "
    "PYTHONUNBUFFERED SHELL TEMP TERM TMP TMPDIR TMUX USER USERNAME VECLIB_MAXIMUM_THREADS VIRTUAL_ENV WAYLAND_DISPLAY"
)
_PERSONAL = frozenset(_NAMES.split())
_PREFIXES = (
    "BASH_FUNC CONDA_ COVERAGE_ COV_ EXPRUN_ GITHUB_ JPY_ KUBERNETES_ LC_ RUNNER_ SLURM_ SSH_ TERM_ VSCODE_ XDG_"
)
_PERSONAL_KINDS = tuple(_PREFIXES.split())
_NEVER = ("PYTEST_", "EXPRUN_ROOT", "SHLVL", "_EXPRUN")


def kinds_of_open(mode: object, flags: object) -> str:
    """Return what the arguments of an audit event `open` mean: r, w, or rw where what was there can be read and changed (`r+`)."""
    if isinstance(mode, str):
        writes, keeps = set(mode) & set("wax+"), not set(mode) & set("wx")
        return "r" if not writes else "rw" if "+" in mode and keeps else "w"
    if not isinstance(flags, int) or not flags & _WRITES:
        return "r"
    return "rw" if flags & os.O_RDWR and not flags & (os.O_TRUNC | os.O_EXCL) else "w"


def code_of(loader: Any, name: str) -> Any:
    """Compile the source of a module: a compiled file passes for current after an edit of the same second and size."""
    path = loader.get_filename(name)
    return loader.source_to_code(loader.get_data(path), path)


def _reader(frame: Any) -> str:
    """Tell why a file is opened for reading: as a source (s), as data (r), or to show a line of it in a message (nothing)."""
    file = frame.f_code.co_filename
    if file.startswith(_IMPORTS):
        # `pkgutil.get_data` asks the same loader for data.
        asker = frame.f_back.f_code
        return "s" if asker.co_filename.startswith(_IMPORTS) or asker is code_of.__code__ else "r"
    if file in _RUNNERS:
        return "s"
    if file.endswith(_READERS):
        while frame is not None and frame.f_code.co_filename.endswith(_READERS):
            frame = frame.f_back
        return "" if frame is None or os.path.basename(frame.f_code.co_filename) in _SHOW_LINES else "r"
    return "r"


def _opened(arguments: tuple[Any, ...], frame: Any) -> Found:
    kinds = kinds_of_open(arguments[1], arguments[2])
    return [(kinds.replace("r", _reader(frame)) if "r" in kinds else kinds, arguments[0])]


def _listed(arguments: tuple[Any, ...], frame: Any) -> Found:
    folder = arguments[0]
    if isinstance(folder, int):
        # What is opened or asked for by its name in an open folder (`os.fwalk`) is told by its bare name only: all of it counts.
        folder = _readlink(f"/proc/self/fd/{folder}")
        return [("l", folder), *_inside(folder)]
    # The import system lists every folder.
    return [] if frame.f_code.co_filename.startswith(_IMPORTS) else [("l", folder or ".")]


def _inside(folder: Any) -> Found:
    with os.scandir(folder) as entries:
        return [("t", entry.path) for entry in entries if entry.is_file()]


def _connected(arguments: tuple[Any, ...], _: Any) -> Found:
    """A database, and the file beside it in which SQLite keeps rows that are not in it yet."""
    name = os.fsdecode(arguments[0])
    name = name[5:].partition("?")[0] if name.startswith("file:") else name
    if not name or name.startswith(":memory:"):
        return []
    return [("rw", name), ("rw" if _is_file(name + "-wal") else "a", name + "-wal")]


def _told(kind: str, position: int) -> Finder:
    return lambda arguments, _: [(kind, arguments[position])] if arguments[position] else []


def _started(position: int, env: int | None = None, cwd: int | None = None) -> Finder:
    """A program: the files among its words; the first one after the name of a Python is a source."""

    def find(arguments: tuple[Any, ...], _: Any) -> Found:
        folder = os.fsdecode(arguments[cwd]) if cwd is not None and arguments[cwd] else os.getcwd()
        alone = _is_without_us(None if env is None else arguments[env])
        found, python, deaf = [], False, False
        for word in _words(arguments[position]):
            path = os.path.join(folder, word)
            if os.path.basename(word).startswith("python"):
                python, deaf = True, alone
            elif python and word[:1] == "-":
                deaf = deaf or (word[1:2] not in "-cmWX" and not _DEAF.isdisjoint(word))
            elif _is_file(path):
                found.append(("s" if python and word.endswith(".py") else "p", path))
                if python and deaf:
                    found.append(("u", path))
                python = False
        return found

    return find


def _is_without_us(environment: Any) -> bool:
    """Whether a program is given an environment without what makes its Pythons tell."""
    ours = {ears.folder for ears in _listening} - {b""}
    return bool(ours) and ours.isdisjoint(_path_of(_variables(environment)))


def _variables(environment: Any) -> dict[bytes, bytes]:
    """What a program is given, without a question that is heard; where it is nothing of its own, what this process has."""
    if environment is None or environment is os.environ:
        return dict(os.environ._data)  # type: ignore[attr-defined]  # asks without being heard
    return {os.fsencode(name): os.fsencode(value) for name, value in environment.items()}


def _path_of(variables: dict[bytes, bytes]) -> list[bytes]:
    return variables.get(b"PYTHONPATH", b"").split(os.fsencode(os.pathsep))


def _looked_up(arguments: tuple[Any, ...], _: Any) -> Found:
    if arguments[0]:
        _hosts[str(arguments[1])] = os.fsdecode(arguments[0])
    return []


def _asked(arguments: tuple[Any, ...], _: Any) -> Found:
    """A connection that leaves this machine. UDP makes none: it is how programs learn their own address."""
    if arguments[0].type != _STREAM or not isinstance(arguments[1], tuple):
        return []
    address, port = os.fsdecode(arguments[1][0]), str(arguments[1][1])
    if not address or address.startswith(_LOCAL):
        return []
    return [("n", f"{_hosts.get(port, address).replace(' ', '_')} {port} {address}")]


def _words(command: Any) -> Iterator[str]:
    """Yield everything in a command that could name a file, the program by its place on PATH."""
    parts = [command] if isinstance(command, (str, bytes, os.PathLike)) else list(command)
    texts = [os.fsdecode(part) for part in parts]
    words = [word for text in texts for word in dict.fromkeys([text, *text.translate(_SHELL_SIGNS).split()])]
    yield from words[:1000]
    if words and os.sep not in words[0]:
        path = os.fsdecode(os.environ._data.get(b"PATH", b""))  # type: ignore[attr-defined]  # asks without being heard
        yield from (os.path.join(folder, words[0]) for folder in path.split(os.pathsep) if folder)


def _is_file(name: str) -> bool:
    try:
        return _stat(name).st_mode & 0o170000 == _REGULAR
    except (OSError, ValueError):
        return False


_HEARD: dict[str, Finder] = {
    "open": _opened,
    "os.listdir": _listed,
    "os.scandir": _listed,
    "sqlite3.connect": _connected,
    "import": _told("b", 1),
    "ctypes.dlopen": _told("b", 0),
    "subprocess.Popen": _started(1, 3, 2),
    "os.system": _started(0),
    "os.exec": _started(1, 2),
    "os.posix_spawn": _started(1, 2),
    "os.spawn": _started(2, 3),
    "socket.getaddrinfo": _looked_up,
    "socket.connect": _asked,
    **{f"os.{name}": _told("w", 0) for name in ("mkdir", "remove", "rmdir")},
    **{f"os.{name}": _told("w", 1) for name in ("rename", "symlink")},
    "os.link": lambda arguments, _: [("t", arguments[0]), ("w", arguments[1])],
}


def passed_over(name: str, places: Iterable[str]) -> Found:
    """Files that would be taken in the place of a module, were they there; of one that is installed its name alone."""
    absent: Found = []
    for place in places:
        start = os.path.join(place or os.getcwd(), name)
        machine = any(_is_file(start + suffix) for suffix in extension_suffixes())
        if "site-packages" in start or start.startswith(_STDLIB):
            if machine or _is_file(start + ".py") or os.path.isdir(start):  # noqa: PTH112  # see above
                return [("m", name)]
            continue
        for file in (os.path.join(start, "__init__.py"), start + ".py"):
            if _is_file(file) or (machine and file == start + ".py"):
                return absent
            absent.append(("a", file))
    return [*absent, ("m", name)]


def _handing_on(real: Callable[..., Any], ears: Ears) -> Any:
    """A Python that is started with variables of its own tells what it hears if it is given ours."""

    def execute(this: Any, *arguments: Any) -> Any:
        *before, env = arguments[:7]  # the last of the first seven, in all versions of Python
        with contextlib.suppress(Exception):  # what is wrong with them is said by what takes them
            env = ears.with_ours(env)
        return real(this, *before, env, *arguments[7:])

    return execute


class Seeker:
    """Stands first among the finders of modules, finds none, and tells where each was looked for in vain."""

    def __init__(self, ears: Ears) -> None:
        self._ears = ears

    def find_spec(self, fullname: str, path: Any = None, _target: Any = None) -> Any:
        """Take in that a module is looked for; the one that starts programs is found, and then changed."""
        with contextlib.suppress(Exception):
            if fullname == "subprocess" and path is None:
                return self._changed(fullname)
            if fullname.partition(".")[0] not in sys.stdlib_module_names:
                for kind, name in passed_over(fullname.rpartition(".")[2], sys.path if path is None else path):
                    if kind == "a":
                        self._ears.file(kind, name, None)  # whoever asks: modules are everybody's
                    elif path is None:
                        self._ears.module(name, sys._getframe(1))
        return None

    def _changed(self, name: str) -> Any:
        spec: Any = importlib.machinery.PathFinder.find_spec(name)
        load = spec.loader.exec_module

        def exec_module(module: Any) -> None:
            load(module)
            self._ears.hand_on(module)

        spec.loader.exec_module = exec_module
        return spec


def checksum(value: str | bytes | None) -> str:
    """Tell values of a variable apart without showing them; None is one that is not set."""
    return "-" if value is None else str(binascii.crc32(os.fsencode(value)))


_listening: list[Ears] = []
_hooks: list[Any] = []


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    """Pass an audit event on. Called for everything that happens in the process: it must be quick.

    It cannot be taken away again, so that all ears share one.
    """
    if _listening and event in _HEARD:
        with contextlib.suppress(Exception):  # no frame: the interpreter itself opens a script
            frame = sys._getframe(1)
            for ears in tuple(_listening):
                ears.hear(event, arguments, frame)


class Ears:
    """Tells `tell(kind, name)` what this process asks for between `open` and `close`."""

    def __init__(self, tell: Callable[[str, str], None], own: tuple[str, ...] = ()) -> None:
        self.deaf = True
        self._tell, self._own = tell, own
        self._seen: set[Any] = set()
        self._replaced: list[Any] = []
        self._places: dict[str, bool] = {}
        self._asks = _local()
        self._seeker: Any = Seeker(self)
        self.root = ""  # of the project, with a separator at its end
        # Where a run puts what it needs only while it runs: links to its data too.
        self._passing = (*_PASSING, *(os.path.dirname(each.rstrip(os.sep)) + os.sep for each in own[:1]))

    def hear(self, event: str, arguments: tuple[Any, ...], frame: Any) -> None:
        """Take in an audit event of `_HEARD`, and who made it."""
        if frame.f_code is _inside.__code__:
            return  # of itself
        with contextlib.suppress(Exception):
            for kinds, name in _HEARD[event](arguments, frame):
                if kinds == "n":
                    self._tell(kinds, name)
                else:
                    self.file(kinds, name, frame)
            if event == "os.scandir" and self._is_own_file(frame.f_code.co_filename):
                for kinds, name in _inside(arguments[0] or "."):  # its entries tell their sizes without an event
                    self.file(kinds, name, frame)

    def file(self, kinds: str, path: Any, frame: Any) -> None:
        """Take in what somebody did to a path."""
        if not kinds or isinstance(path, int) or getattr(self._asks, "now", False):
            return
        name = os.path.abspath(os.fsdecode(path))
        if (
            name.startswith((*self._own, _STDLIB))
            or "site-packages" in name
            or (kinds[0] in "rlak" and self._is_ours(frame))
        ):
            return
        for kind in kinds:
            self._tell(kind, name)
        if kinds[0] not in "wk" and self._passes(name):
            self._asks.now = True  # of itself
            try:
                real = os.path.realpath(name)
            finally:
                self._asks.now = False
            if real != name:
                self._tell(kinds[0], real)

    def _passes(self, name: str) -> bool:
        """Whether a path lies where nothing stays: what a link leads to from there does."""
        if name.startswith(self._passing) and not (self.root and name.startswith(self.root)):
            return True
        return self._is_of_run(os.path.dirname(name))

    def _is_of_run(self, folder: str) -> bool:
        known = self._places.get(folder)
        if known is None:
            parent = os.path.dirname(folder)
            known = parent != folder and (_is_file(os.path.join(folder, _TOKEN_FILE)) or self._is_of_run(parent))
            self._places[folder] = known
        return known

    @property
    def folder(self) -> bytes:
        """Where the Pythons that this process starts find what makes them tell; empty if they are to tell nothing."""
        return os.fsencode(self._own[0].rstrip(os.sep)) if self.root and self._own and not self.deaf else b""

    def with_ours(self, environment: Any) -> Any:
        """Return variables for a program, with those that make Pythons tell what they hear; those of its own, if they do."""
        given = _variables(environment)
        path = _path_of(given)
        if not self.folder or (self.folder in path and b"EXPRUN_ROOT" in given):
            return environment
        path = path if self.folder in path else [self.folder, *filter(None, path)]
        ours = {b"PYTHONPATH": os.fsencode(os.pathsep).join(path), b"EXPRUN_ROOT": os.fsencode(self.root)}
        return {**given, **ours}

    def module(self, name: str, frame: Any) -> None:
        """Take in that the project's own code imports what is installed, or what is not there."""
        while frame.f_code.co_filename.startswith((_STDLIB, "<frozen", *self._own)):
            frame = frame.f_back
        if not self.deaf and "site-packages" not in frame.f_code.co_filename:
            self._tell("m", name)

    def variable(self, environ: Any, key: Any) -> None:
        """Take in a question for a variable."""
        if self.deaf:
            return
        with contextlib.suppress(Exception):
            value = environ._data.get(environ.encodekey(key))
            if (key, value) in self._seen:
                return
            name = os.fsdecode(key)
            if name.startswith(_NEVER) or name == "_":
                return
            if (name in _PERSONAL or name.startswith(_PERSONAL_KINDS)) and not self._is_own_code(sys._getframe(2)):
                return
            self._seen.add((key, value))
            self._tell("e", f"{name} {checksum(value)}")

    def _is_own_code(self, frame: Any) -> bool:
        """Whether the project itself asks: no library, and nobody on behalf of one."""
        while frame.f_code.co_filename in _MAPPINGS:
            frame = frame.f_back
        return self._is_own_file(frame.f_code.co_filename)

    def _is_own_file(self, file: str) -> bool:
        return not file.startswith((*self._own, _STDLIB, "<frozen")) and "site-packages" not in file

    def _is_ours(self, frame: Any) -> bool:
        """Whether this plugin asks, for itself."""
        while frame is not None and frame.f_code.co_filename.startswith((_STDLIB, "<frozen")):
            frame = frame.f_back
        return frame is not None and frame.f_code.co_filename.startswith(self._own)

    def open(self) -> None:
        """Listen, also to questions that make no event."""
        if _hear not in _hooks:
            _hooks.append(_hear)
            sys.addaudithook(_hear)
        self.deaf = False
        _listening.append(self)
        self._seen.clear()
        for name in ("stat", "lstat", "access"):
            self._replace(os, name, self._asking(getattr(os, name)))
        self._replace(os, "readlink", self._following(os.readlink))
        sys.meta_path.insert(0, self._seeker)
        self._replace(importlib, "import_module", self._importing(importlib.import_module))
        if "subprocess" in sys.modules:
            self.hand_on(sys.modules["subprocess"])
        environ = type(os.environ)
        asking, passing = environ.__getitem__, _local()

        def get(this: Any, key: Any) -> Any:
            # Whoever goes through all variables or copies them asks with the very names that he was given: for none of them.
            if getattr(passing, "names", {}).get(id(key)) is not key:
                self.variable(this, key)
            return asking(this, key)

        def each(this: Any) -> Iterator[Any]:
            passing.names = {}
            for name in iterating(this):
                passing.names[id(name)] = name
                yield name

        iterating = environ.__iter__
        self._replace(environ, "__getitem__", get)
        self._replace(environ, "__iter__", each)

    def hand_on(self, subprocess: Any) -> None:
        """Have what is started with variables of its own told ours."""
        self._replace(subprocess.Popen, "_execute_child", _handing_on(subprocess.Popen._execute_child, self))

    def _importing(self, real: Any) -> Any:
        @functools.wraps(real)
        def import_module(name: str, package: Any = None) -> Any:
            first = name.partition(".")[0]
            if first and first in sys.modules and first not in sys.stdlib_module_names:  # or else it is looked for
                with contextlib.suppress(Exception):
                    if "site-packages" in (getattr(sys.modules[first], "__file__", None) or ""):
                        self.module(first, sys._getframe(1))
            return real(name, package)

        return import_module

    def _asking(self, real: Any) -> Any:
        def ask(path: Any, *arguments: Any, **named: Any) -> Any:
            try:
                answer = real(path, *arguments, **named)
            except (FileNotFoundError, NotADirectoryError):
                self._absent(path, named, sys._getframe(1))
                raise
            if answer is False:
                self._absent(path, named, sys._getframe(1))
            elif not named.get("dir_fd"):
                self._there(path, answer, sys._getframe(1))
            return answer

        ask.__name__, ask.__doc__ = real.__name__, real.__doc__
        for known in _SUPPORTS:
            if real in known:
                known.add(ask)
        return ask

    def _absent(self, path: Any, named: Any, frame: Any) -> None:
        if self.deaf or named.get("dir_fd") is not None or frame.f_code.co_filename.endswith("linecache.py"):
            return
        with contextlib.suppress(Exception):
            self.file("a", path, frame)

    def _there(self, path: Any, answer: Any, frame: Any) -> None:
        """Take in that the project's own code asked for a file that is there; a library may ask for anybody's."""
        if self.deaf:
            return
        with contextlib.suppress(Exception):
            while frame.f_code.co_filename.startswith(_PATHS):
                frame = frame.f_back
            if self._is_own_code(frame) and (
                _is_file(path) if answer is True else answer.st_mode & 0o170000 == _REGULAR
            ):
                self.file("t", path, frame)

    def _following(self, real: Any) -> Any:
        def readlink(path: Any, *, dir_fd: Any = None) -> Any:
            target = real(path, dir_fd=dir_fd)
            if not self.deaf and dir_fd is None:
                with contextlib.suppress(Exception):
                    self.file("k", path, sys._getframe(1))
            return target

        return readlink

    def _replace(self, owner: Any, name: str, function: Any) -> None:
        self._replaced.append((owner, name, getattr(owner, name), function))
        setattr(owner, name, function)

    def close(self) -> None:
        """Be deaf; put back what was replaced, unless somebody has put something else there."""
        self.deaf = True
        _listening.remove(self)
        with contextlib.suppress(ValueError):
            sys.meta_path.remove(self._seeker)
        while self._replaced:
            owner, name, before, function = self._replaced.pop()
            if getattr(owner, name) is function:
                setattr(owner, name, before)
            for known in _SUPPORTS:
                known.discard(function)
