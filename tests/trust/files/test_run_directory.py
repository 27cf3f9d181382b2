"""The directory of a run goes after it, and takes nothing else along."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from pytest_exprun.terms.errors import StoreError
from pytest_exprun.trust.files.run_directory import TOKEN_FILE, remove_owned, run_directory


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
