"""Durable steps on files: complete before it has its name, never replaced, and no further than the disk can."""

from __future__ import annotations

import errno
import os
import time

import pytest

from pytest_exprun.terms.errors import StoreError
from pytest_exprun.trust.store import records
from pytest_exprun.trust.store.filesystem import FileSystem, listed
from pytest_exprun.trust.store.store import NotReproducible, Store
from tests.stored import KEY, ROPE, Failing, files, make_run


class Short(FileSystem):
    """A file system that writes and reads one byte at a time."""

    def call(self, name, *arguments):
        """Shorten reads and writes."""
        if name == "write":
            return super().call(name, arguments[0], arguments[1][:1])
        return super().call(name, arguments[0], 7) if name == "read" else super().call(name, *arguments)


class TestReading:
    """What stands in a record's place may be anything."""

    def test_what_is_no_file_has_no_bytes(self, tmp_path):
        """None where there is nothing of that name, also below a file; nothing of a folder."""
        (tmp_path / "file").write_bytes(b"12345")
        read = FileSystem().read
        assert read(tmp_path / "file", 100) == b"12345"
        assert read(tmp_path / "missing", 100) is read(tmp_path / "file" / "x", 100) is None
        assert read(tmp_path, 100) == b""

    def test_a_folder_that_cannot_be_listed_is_empty(self, tmp_path):
        """Entries come by name, whatever order the system gives."""
        for name in ("b", "c", "a"):
            (tmp_path / name).touch()
        assert [path.name for path in listed(tmp_path)] == ["a", "b", "c"]
        assert listed(tmp_path / "missing") == listed(tmp_path / "a") == []

    def test_a_size_bomb_is_refused_without_reading_it_all(self, store, monkeypatch):
        """A sparse file of 4 GB is set aside after the first megabytes."""
        read, call = [], FileSystem.call

        def counting(self, name, *arguments):
            found = call(self, name, *arguments)
            read.extend([len(found)] if name == "read" else [])
            return found

        monkeypatch.setattr(FileSystem, "call", counting)
        path = store.path(ROPE.slug, KEY, 42)
        path.parent.mkdir(parents=True)
        with path.open("wb") as stream:
            stream.truncate(4 << 30)
        assert store.load(ROPE.slug, KEY, 42) is None
        assert records.MAX_RECORD_BYTES < sum(read) < 2 * records.MAX_RECORD_BYTES
        assert "longer than" in store.notices[0]

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
    def test_a_fifo_in_a_records_place_does_not_hang(self, store):
        """A special file is no record."""
        path = store.path(ROPE.slug, KEY, 42)
        path.parent.mkdir(parents=True)
        os.mkfifo(path)
        assert store.load(ROPE.slug, KEY, 42) is None


class Recorder(FileSystem):
    """A file system that notes which files and folders it made durable, by name, and when a file got its name."""

    def __init__(self):
        self.steps, self.names = [], {}

    def call(self, name, *arguments):
        """Note links, renames and fsyncs."""
        found = super().call(name, *arguments)
        if name == "open":
            self.names[found] = arguments[0].name
        elif name == "fsync":
            self.steps.append(f"sync {self.names[arguments[0]].partition('-')[0]}")
        elif name in {"link", "rename", "mkdir"}:
            self.steps.append(f"{name} {arguments[-1].name}")
        return found


class TestDurable:
    """In which order things are done, and what is never done."""

    def test_a_file_is_durable_before_it_has_its_name(self, tmp_path):
        """Then its folder's entry is; the temporary name is gone."""
        fs = Recorder()
        fs.make_folder(tmp_path / "folder")
        fs.steps.clear()
        assert fs.publish(tmp_path / "folder" / "record", b"1", tmp_path)
        assert fs.steps == ["sync record", "link record", "sync folder"]
        assert files(tmp_path) == {"folder/record": b"1"}

    def test_a_name_never_changes_its_content(self, tmp_path):
        """False, and nothing is left of the second one, with links and without."""
        path = tmp_path / "record"
        assert FileSystem().publish(path, b"1", tmp_path)
        for fs in (FileSystem(), Failing("link", errno.EPERM)):
            assert not fs.publish(path, b"2", tmp_path)
        assert files(tmp_path) == {"record": b"1"}

    @pytest.mark.parametrize("operation", ["write", "fsync", "link"])
    def test_what_failed_has_no_name_and_leaves_nothing(self, tmp_path, operation):
        """The error is the system's own."""
        with pytest.raises(OSError, match=os.strerror(errno.EIO)):
            Failing(operation, errno.EIO).publish(tmp_path / "record", b"1", tmp_path)
        assert files(tmp_path) == {}

    def test_a_new_folder_is_durable_in_its_parent(self, tmp_path):
        """Each of those that were missing, outermost first; one that is there costs nothing."""
        fs = Recorder()
        fs.make_folder(tmp_path / "a" / "b")
        assert fs.steps[0] == "mkdir a"
        assert fs.steps[2:] == ["mkdir b", "sync a"]
        fs.steps.clear()
        fs.make_folder(tmp_path / "a" / "b")
        assert fs.steps == []

    def test_a_file_in_the_way_of_a_folder_is_said(self, tmp_path):
        """It is left alone."""
        (tmp_path / "a").write_bytes(b"mine")
        with pytest.raises(NotADirectoryError, match="a file is in the way"):
            FileSystem().make_folder(tmp_path / "a" / "b")
        assert files(tmp_path) == {"a": b"mine"}

    def test_a_move_is_durable_where_it_came_from_and_where_it_went(self, tmp_path):
        """Neither two nor none after a power cut."""
        fs = Recorder()
        for name in ("old", "new"):
            (tmp_path / name).mkdir()
        (tmp_path / "old" / "x").write_bytes(b"1")
        fs.move(tmp_path / "old" / "x", tmp_path / "new" / "y")
        assert fs.steps == ["rename y", "sync new", "sync old"]
        assert files(tmp_path) == {"new/y": b"1"}


class TestBadDisks:
    """Full, slow, or without links."""

    @pytest.mark.parametrize("after", range(6))
    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
    def test_a_disk_that_fails_later(self, tmp_path, after, number):
        """The disk fills up after some operations: a save that returns has stored, one that raises has not lied."""
        for operation in ("open", "write", "fsync", "close", "link", "mkdir"):
            store = Store(tmp_path / operation, fs=Failing(operation, number, after))
            try:
                store.save(make_run(), ROPE.slug, KEY)
            except StoreError:
                assert Store(store.root).load(ROPE.slug, KEY, 42) in (None, make_run())
            else:
                assert Store(store.root).load(ROPE.slug, KEY, 42) == make_run()

    @pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.EMLINK])
    def test_without_links_a_rename_publishes(self, tmp_path, number):
        """File systems without hard links store too, and still keep the first record."""
        store = Store(tmp_path, fs=Failing("link", number))
        store.check_writable()
        store.save(make_run(), ROPE.slug, KEY)
        assert store.load(ROPE.slug, KEY, 42) == make_run()
        with pytest.raises(NotReproducible):
            store.save(make_run(loss=1.6), ROPE.slug, KEY)

    @pytest.mark.parametrize("operation", ["open", "fsync"])
    def test_a_folder_that_cannot_be_synced(self, tmp_path, operation):
        """Where fsync of a folder is not supported, saving goes on; a disk that fails is no such place."""
        Failing(operation, errno.EINVAL).sync_folder(tmp_path)
        with pytest.raises(OSError, match=os.strerror(errno.EIO)):
            Failing(operation, errno.EIO).sync_folder(tmp_path)

    def test_short_writes_and_reads_are_continued(self, tmp_path):
        """A system that writes a byte at a time still gives whole records."""
        store = Store(tmp_path, fs=Short())
        store.save(make_run(), ROPE.slug, KEY)
        assert store.load(ROPE.slug, KEY, 42) == make_run()


def test_orphans_are_removed_after_a_day(store):
    """Temporary files of killed sessions go when they are a day old, not before."""
    old, young = store.root / "tmp" / "old", store.root / "tmp" / "young"
    for path in (old, young):
        path.write_text("", encoding="utf-8")
    os.utime(old, (time.time() - 90_000,) * 2)
    Store(store.root).check_writable()
    assert not old.exists()
    assert young.exists()
