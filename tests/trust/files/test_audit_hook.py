"""What a process is heard asking for, and that those who ask get the same answers as without us."""

from __future__ import annotations

import importlib
import importlib.util
import io
import linecache
import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import traceback
import warnings

import pytest

from pytest_exprun.trust.files.audit_hook import Ears, checksum


class Listener:
    """Ears that are open, and what they have told."""

    def __init__(self, *own):
        self.told = []
        self.ears = Ears(lambda kind, name: self.told.append((kind, name)), own)

    def names(self, kinds, folder):
        """Return what was told of a folder, by the letters of kinds."""
        return [
            (kind, os.path.relpath(name, folder))
            for kind, name in self.told
            if kind in kinds and name.startswith(str(folder))
        ]

    @property
    def variables(self):
        """Names of the variables that were asked for."""
        return [name.rpartition(" ")[0] for kind, name in self.told if kind == "e"]


@pytest.fixture
def listener():
    """Return open ears."""
    found = Listener()
    found.ears.open()
    yield found
    found.ears.close()


class TestVariables:
    """Every way to ask os.environ, and those that ask for none."""

    @pytest.mark.parametrize(
        "ask",
        [
            lambda: os.environ["ASKED"],
            lambda: os.environ.get("ASKED"),
            lambda: os.getenv("ASKED"),
            lambda: "ASKED" in os.environ,
            lambda: os.environ.setdefault("ASKED", "1"),
            lambda: os.environ.pop("ASKED"),
            lambda: os.environb[b"ASKED"],
        ],
    )
    def test_a_question_is_heard(self, listener, monkeypatch, ask):
        """With the checksum of the value, never the value."""
        monkeypatch.setenv("ASKED", "hunter2")
        ask()
        assert ("e", f"ASKED {checksum('hunter2')}") in listener.told
        assert "hunter2" not in str(listener.told)

    def test_one_that_is_not_set(self, listener):
        """Its absence is an answer too."""
        assert os.environ.get("NOT_SET") is None
        assert listener.told == [("e", "NOT_SET -")]

    @pytest.mark.parametrize(
        "copy",
        [
            lambda: dict(os.environ),
            os.environ.copy,
            lambda: {**os.environ},
            lambda: list(os.environ.items()),
            lambda: list(os.environ.values()),
        ],
    )
    def test_who_copies_them_all_asks_for_none(self, listener, monkeypatch, copy):
        """A process is started with a copy; a question afterwards is heard."""
        monkeypatch.setenv("ASKED", "1")
        listener.told.clear()
        assert copy()
        assert listener.variables == []
        assert os.environ["ASKED"] == "1"
        assert listener.variables == ["ASKED"]

    def test_who_one_is_counts_only_for_the_projects_own_code(self, listener):
        """tempfile asks for TMPDIR and expanduser for HOME: no result depends on it. The project may mean something by it."""
        tempfile._candidate_tempdir_list()
        os.path.expanduser("~")  # noqa: PTH111  # what libraries call
        shutil.get_terminal_size()
        assert listener.variables == []
        os.environ.get("HOME")
        assert listener.variables == ["HOME"]

    def test_pytests_own_variables_never_count(self, listener):
        """The name of the present test is in them."""
        assert os.environ["PYTEST_CURRENT_TEST"]
        assert listener.variables == []


class TestAbsent:
    """Whether a file is there, which makes no event."""

    @pytest.mark.parametrize(
        "ask",
        [
            lambda path: path.exists(),
            lambda path: path.is_file(),
            lambda path: path.is_dir(),
            lambda path: path.is_symlink(),
            os.path.exists,
            os.path.isdir,
            os.path.lexists,
            lambda path: os.access(path, os.R_OK),
            lambda path: list(path.parent.glob("gone")),
        ],
    )
    def test_a_question_is_heard(self, listener, tmp_path, ask):
        """However it is asked; what is there is not told."""
        assert not ask(tmp_path / "gone")
        assert ("a", "gone") in listener.names("a", tmp_path) or listener.names("l", tmp_path) == [("l", ".")]
        assert tmp_path.exists()
        assert ("a", ".") not in listener.names("a", tmp_path)

    def test_answers_are_as_without_us(self, listener, tmp_path):
        """Errors, keywords, descriptors; and what is known of the functions."""
        with pytest.raises(FileNotFoundError):
            os.stat("gone", dir_fd=os.open(tmp_path, os.O_RDONLY))  # see above
        assert listener.names("a", tmp_path) == []
        assert os.stat(tmp_path, follow_symlinks=False).st_ino == tmp_path.lstat().st_ino  # noqa: PTH116
        assert os.stat in os.supports_dir_fd
        assert os.stat in os.supports_fd
        assert os.access in os.supports_effective_ids
        assert os.stat.__name__ == "stat"


class TestThere:
    """Files that are there and are only asked for, and links."""

    @pytest.mark.parametrize(
        "ask",
        [
            lambda path: path.exists(),
            lambda path: path.is_file(),
            os.path.exists,
            os.path.getmtime,
            os.path.getsize,
            lambda path: os.access(path, os.R_OK),
        ],
    )
    def test_the_projects_own_question_is_heard(self, listener, tmp_path, ask):
        """It may go, or change: a flag file, a source that is compiled if it is newer."""
        path = tmp_path / "flag"
        path.touch()
        ask(path)
        assert ("t", "flag") in listener.names("t", tmp_path)

    def test_a_librarys_question_and_a_folder_are_not(self, listener, tmp_path):
        """inspect asks for the source of whatever it meets."""
        (tmp_path / "flag").touch()
        assert shutil.which("flag", path=str(tmp_path)) is None
        assert tmp_path.exists()
        assert listener.names("t", tmp_path) == []

    def test_a_link_that_is_followed(self, listener, tmp_path):
        """Opening what lies behind it tells nothing of the link."""
        (tmp_path / "link").symlink_to("target")
        assert (tmp_path / "link").resolve() == tmp_path / "target"
        assert (tmp_path / "link").readlink().name == "target"
        assert listener.names("k", tmp_path)[0] == ("k", "link")


class TestInstalled:
    """What the project's own code imports of what is installed, for its version."""

    def test_a_computed_import_tells_the_first_name(self, listener):
        """Also of what is in memory already; of the standard library nothing."""
        importlib.import_module("_pytest.config")
        importlib.import_module("json.tool")
        assert [name for kind, name in listener.told if kind == "m"] == ["_pytest"]

    def test_a_module_that_is_not_there_is_told(self, listener):
        """It may be installed later."""
        with pytest.raises(ImportError):
            importlib.import_module("no_such_module.of_mine")
        assert ("m", "no_such_module") in listener.told


class TestPassing:
    """Folders in which nothing stays: a run's own, and temporary ones."""

    @pytest.mark.parametrize("linked", ["file", "folder"])
    def test_what_a_link_leads_to_is_told_too(self, listener, tmp_path, linked):
        """What is named there is gone in the next session."""
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "a.txt").write_text("1", encoding="utf-8")
        listener.ears.root = f"{tmp_path}{os.sep}"
        run = tmp_path / "run" / "stage"
        run.mkdir(parents=True)
        way = ("all", "a.txt") if linked == "folder" else ("a.txt",)
        (run / way[0]).symlink_to(tmp_path / "data" / ("" if linked == "folder" else "a.txt"))
        run.joinpath(*way).read_bytes()
        assert listener.names("r", tmp_path) == [("r", "/".join(["run", "stage", *way]))]
        (tmp_path / "run" / ".exprun-owner").touch()
        listener.ears._places.clear()
        listener.told.clear()
        run.joinpath(*way).read_bytes()
        assert ("r", "data/a.txt") in listener.names("r", tmp_path)


class TestModules:
    """Where a module is looked for in vain."""

    @pytest.fixture
    def places(self, tmp_path, monkeypatch):
        """Return two folders, first on the import path."""
        for each in ("one", "two"):
            (tmp_path / each).mkdir()
        monkeypatch.syspath_prepend(tmp_path / "two")
        monkeypatch.syspath_prepend(tmp_path / "one")
        return tmp_path

    @pytest.mark.parametrize("ask", [importlib.import_module, importlib.util.find_spec])
    def test_a_module_of_the_second_place(self, listener, places, ask):
        """A file of the first place, or a package beside it, would be taken instead."""
        (places / "two" / "looked_for.py").touch()
        ask("looked_for")
        absent = ["one/looked_for/__init__.py", "one/looked_for.py", "two/looked_for/__init__.py"]
        assert listener.names("a", places) == [("a", each) for each in absent]
        sys.modules.pop("looked_for", None)

    def test_a_module_that_is_nowhere(self, listener, places):
        """It may appear."""
        with pytest.raises(ImportError):
            importlib.import_module("looked_" + "for")
        assert ("a", "two/looked_for.py") in listener.names("a", places)

    def test_a_module_of_a_package(self, listener, places):
        """It is looked for in its package."""
        (places / "two" / "pack").mkdir()
        (places / "two" / "pack" / "__init__.py").touch()
        with pytest.raises(ImportError):
            importlib.import_module("pack.part")
        assert ("a", "two/pack/part.py") in listener.names("a", places)
        assert ("a", "one/part.py") not in listener.names("a", places)
        del sys.modules["pack"]

    def test_an_installed_module_is_nobodys_question(self, listener, places):
        """Nor is one of Python's own: both are imported by hundreds."""
        importlib.util.find_spec("pluggy")
        importlib.util.find_spec("textwrap")
        assert listener.names("a", places) == []


def test_all_ears_share_one_hook(monkeypatch, tmp_path):
    """The interpreter never lets go of one, and every event of the process pays for each."""
    added = []
    monkeypatch.setattr(sys, "addaudithook", added.append)
    several = [Listener() for _ in range(3)]
    for each in several:
        each.ears.open()
    (tmp_path / "a").touch()
    for each in several:
        each.ears.close()
        assert each.names("w", tmp_path) == [("w", "a")]
    assert len(added) <= 1


def test_everything_is_put_back():
    """What asks for files, modules and variables is what it was."""
    finders = list(sys.meta_path)
    before = os.stat, os.lstat, os.access, type(os.environ).__getitem__, type(os.environ).__iter__, len(os.supports_fd)
    ears = Ears(lambda *_: None)
    ears.open()
    assert os.stat is not before[0]
    ears.close()
    assert sys.meta_path == finders
    assert before == (
        os.stat,
        os.lstat,
        os.access,
        type(os.environ).__getitem__,
        type(os.environ).__iter__,
        len(os.supports_fd),
    )


SHOWN = {
    "traceback": lambda file: traceback.format_list([traceback.FrameSummary(file, 1, "f", lookup_line=True)]),
    "warnings": lambda file: warnings.formatwarning("x", UserWarning, file, 1),
    "logging": lambda file: logging.Formatter().formatException((ValueError, ValueError(), None)) or file,
}


class TestReading:
    """Who opens a file tells what it is to him."""

    @pytest.mark.parametrize("who", SHOWN)
    def test_a_line_that_is_shown_in_a_message_is_nobodys_input(self, listener, tmp_path, who):
        """A trainer that warns does not depend on its comments."""
        (tmp_path / "a.py").write_text("x = 1\n", encoding="utf-8")
        linecache.clearcache()
        SHOWN[who](str(tmp_path / "a.py"))
        assert listener.names("r", tmp_path) == []

    def test_a_line_that_the_program_reads_is_data(self, listener, tmp_path):
        """linecache, and inspect through it."""
        (tmp_path / "a.py").write_text("x = 1\n", encoding="utf-8")
        linecache.clearcache()
        assert linecache.getline(str(tmp_path / "a.py"), 1)
        assert listener.names("r", tmp_path) == [("r", "a.py")]

    @pytest.mark.usefixtures("listener")
    def test_odd_arguments_are_no_error(self):
        """Descriptors, objects, nothing."""
        os.fdopen(os.dup(0), "rb").close()
        os.listdir()  # noqa: PTH208  # without an argument
        sys.audit("open", object(), "r", 0)
        sys.audit("open")
        assert io.StringIO("x").read() == "x"


WRITE = "import os\nopen(__file__[:-4] + 'path', 'w').write(os.environ.get('PYTHONPATH', ''))\n"


@pytest.fixture
def told(tmp_path, monkeypatch):
    """Return open ears of a process whose Pythons are made to tell, with a script and something to run beside."""
    monkeypatch.setenv("PYTHONPATH", "/ours:theirs")
    (tmp_path / "a.sh").touch()
    (tmp_path / "b.py").write_text(WRITE, encoding="utf-8")
    found = Listener("/ours/")
    found.ears.root = f"{tmp_path}{os.sep}"
    found.ears.open()
    yield found
    found.ears.close()


def start(how, words, environment):
    """Start a Python, with variables of its own or with those of this process."""
    argv = [sys.executable, *words]
    if how == "subprocess":
        subprocess.run(argv, env=environment, check=True)
    else:
        os.waitpid(os.posix_spawn(argv[0], argv, os.environ if environment is None else environment), 0)


def silent_ones(listener, folder):
    """Name the scripts below a folder whose Python tells nothing."""
    return sorted({name for _, name in listener.names("u", folder)})


class TestPrograms:
    """Files among the words of a started program."""

    @pytest.mark.parametrize(
        ("command", "heard"),
        [
            (["sh", "{}/a.sh"], [("p", "a.sh")]),
            ("cat {}/a.sh | grep x", [("p", "a.sh")]),
            (["sh", "-c", "true;sh '{}/a.sh'"], [("p", "a.sh")]),
            (["true", "--config={}/a.sh"], [("p", "a.sh")]),
            ([sys.executable, "-c", "pass", "{}/a.sh"], [("p", "a.sh")]),
            ([sys.executable, "{}/b.py", "{}/c.py"], [("s", "b.py"), ("p", "c.py")]),
        ],
    )
    def test_they_are_told(self, listener, tmp_path, command, heard):
        """By their bytes; the script of a Python as a source."""
        for name in ("a.sh", "b.py", "c.py"):
            (tmp_path / name).write_text("", encoding="utf-8")
        words = [word.format(tmp_path) for word in command] if isinstance(command, list) else command.format(tmp_path)
        subprocess.run(
            words, shell=isinstance(words, str), check=False, stdout=subprocess.DEVNULL
        )  # what trainers write
        assert list(dict.fromkeys(listener.names("sp", tmp_path))) == heard

    def test_from_its_own_folder(self, listener, tmp_path):
        """Words are looked up where the program is started."""
        (tmp_path / "a.sh").touch()
        subprocess.run(["sh", "a.sh"], cwd=tmp_path, check=True)
        assert listener.names("p", tmp_path) == [("p", "a.sh")]

    @pytest.mark.parametrize(
        "case",
        [
            (["{}/b.py", "-I"], None, []),
            (["-u", "-X", "utf8", "-W", "ignore::ImportWarning", "{}/b.py"], None, []),
            (["-I", "{}/b.py"], None, ["b.py"]),
            (["-uE", "{}/b.py"], None, ["b.py"]),
            (["-S", "-c", "pass", "{}/a.sh"], None, ["a.sh"]),
            (["-I", "{}/b.py"], {}, ["b.py"]),
        ],
    )
    @pytest.mark.parametrize("how", ["subprocess", "posix_spawn"])
    def test_a_python_that_will_tell_nothing_by_its_flags(self, told, tmp_path, how, case):
        """Whatever it is given."""
        words, environment, silent = case
        start(how, [word.format(tmp_path) for word in words], environment)
        assert silent_ones(told, tmp_path) == silent

    @pytest.mark.parametrize(
        "case",
        [
            ({}, ["b.py"]),
            ({"PYTHONPATH": "elsewhere"}, ["b.py"]),
            ({b"PYTHONPATH": b"elsewhere"}, ["b.py"]),
            ({"PYTHONPATH": "more:/ours"}, []),
        ],
    )
    @pytest.mark.parametrize("how", ["subprocess", "posix_spawn"])
    def test_a_python_that_is_not_given_what_makes_it_tell(self, told, tmp_path, how, case):
        """By subprocess it is given that, and so it is none that tells nothing; who asks the system himself is not."""
        environment, silent = case
        start(how, [f"{tmp_path}/b.py"], environment)
        assert silent_ones(told, tmp_path) == (silent if how == "posix_spawn" else [])
        given = (tmp_path / "path").read_text(encoding="utf-8").split(os.pathsep)
        assert ("/ours" in given) == (how == "subprocess" or not silent)

    @pytest.mark.parametrize("how", ["subprocess", "posix_spawn"])
    def test_a_path_that_the_process_replaces(self, told, tmp_path, monkeypatch, how):
        """Its own variables are no others: the same holds for what it starts with them."""
        monkeypatch.setenv("PYTHONPATH", "elsewhere")
        start(how, [f"{tmp_path}/b.py"], None)
        assert silent_ones(told, tmp_path) == (["b.py"] if how == "posix_spawn" else [])
        assert (tmp_path / "path").read_text(encoding="utf-8") == (
            "" if how == "posix_spawn" else "/ours:"
        ) + "elsewhere"

    def test_nobody_is_silent_where_nobody_is_to_tell(self, listener, tmp_path):
        """As outside runs."""
        (tmp_path / "b.py").touch()
        start("subprocess", [f"{tmp_path}/b.py"], {})
        assert silent_ones(listener, tmp_path) == []
        assert listener.ears.with_ours({"A": "1"}) == {"A": "1"}


class TestNetwork:
    """Connections that leave this machine."""

    @pytest.fixture
    def connect(self):
        """Return a way to begin a connection, without waiting for it: nobody has an address of 192.0.2."""

        def begin(address, kind=socket.SOCK_STREAM, family=socket.AF_INET):
            with socket.socket(family, kind) as made:
                made.settimeout(0)
                made.connect_ex(address)

        return begin

    @pytest.fixture
    def asked(self, listener):
        """Return a way to see what was told."""
        return lambda: [name for kind, name in listener.told if kind == "n"]

    def test_one_is_told_by_name_where_it_was_looked_up(self, connect, asked):
        """By the port; else by its address."""
        connect(("192.0.2.1", 4431))
        sys.audit("socket.getaddrinfo", "data example", 4432, 0, 0, 0)
        connect(("192.0.2.1", 4432))
        assert asked() == ["192.0.2.1 4431 192.0.2.1", "data_example 4432 192.0.2.1"]

    def test_what_stays_here_is_not(self, connect, asked, tmp_path):
        """Workers and their meeting points talk like that; UDP connects to nobody."""
        for name in ("127.0.0.1", "127.0.1.1", "0.0.0.0", "localhost", ""):  # noqa: S104  # no server
            connect((name, 4433))
        connect(("192.0.2.1", 53), kind=socket.SOCK_DGRAM)
        connect(str(tmp_path / "none"), family=socket.AF_UNIX)
        assert asked() == []
