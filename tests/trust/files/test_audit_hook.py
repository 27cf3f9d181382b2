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

    def __init__(self):
        self.told = []
        self.ears = Ears(lambda kind, name: self.told.append((kind, name)))

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
            (["{}/b.py"], {}, ["b.py"]),
            (["{}/b.py"], {"PYTHONPATH": "elsewhere"}, ["b.py"]),
            (["{}/b.py"], {"PYTHONPATH": "more:ours"}, []),
        ],
    )
    @pytest.mark.parametrize("how", ["subprocess", "posix_spawn"])
    def test_a_python_that_will_tell_nothing(self, listener, tmp_path, monkeypatch, how, case):
        """By its flags, or because it is not given what makes it tell."""
        words, environment, silent = case
        monkeypatch.setenv("PYTHONPATH", "ours:theirs")
        for name in ("a.sh", "b.py"):
            (tmp_path / name).touch()
        argv = [sys.executable, *(word.format(tmp_path) for word in words)]
        if how == "subprocess":
            subprocess.run(argv, env=environment, check=True)
        else:
            os.waitpid(os.posix_spawn(argv[0], argv, dict(os.environ) if environment is None else environment), 0)
        assert dict.fromkeys(listener.names("u", tmp_path)) == dict.fromkeys(("u", name) for name in silent)


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
