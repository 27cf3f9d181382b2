"""Which places on disk a run can depend on."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

import pytest_exprun
from pytest_exprun.settings.settings import Settings
from pytest_exprun.trust.files.places import Own, counts
from pytest_exprun.trust.files.run_directory import run_directory


@pytest.fixture(autouse=True)
def somewhere(monkeypatch, tmp_path):
    """Live in another home, with temporary files in one place."""
    assert tmp_path
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setattr("tempfile.tempdir", "/scratch/tmp")


@pytest.mark.parametrize(
    "name",
    [
        "/work/p/a.txt",
        "/work/p/.data/a.txt",
        "/work/p/.cache/hf/a.txt",
        "/work/p/.env",
        "/data/a.txt",
        "/mnt/data/.hidden/a.txt",
        "/home/me/data/a.txt",
        "/home/me/.cache/huggingface/datasets/a.arrow",
        "/home/me/.keras/datasets/mnist.npz",
        "/opt/ml/input/a.txt",
    ],
)
def test_data_count(name):
    """Hidden or not, in the project or elsewhere."""
    assert counts(name, "/work/p")


@pytest.mark.parametrize(
    "name",
    [
        "/work/p/.git/HEAD",
        "/work/p/.git",
        "/work/p/a/__pycache__/a.pyc",
        "/work/p/lib/site-packages/a.py",
        "/work/p/.pytest_cache/x",
        "/usr/share/zoneinfo/UTC",
        "/proc/cpuinfo",
        "/dev/urandom",
        "/etc/passwd",
        "/scratch/tmp/a.txt",
        "/home/me/.netrc",
        "/home/me/.config/matplotlib/matplotlibrc",
        "/home/me/.cache/matplotlib/fontlist.json",
        "/home/me/.cache/huggingface/token",
        os.__file__,
        sys.prefix + "/etc/x",
        pytest_exprun.__file__,
    ],
)
def test_what_no_result_depends_on(name):
    """Tools, system, interpreter, temporary files, who one is, and this plugin."""
    assert not counts(name, "/work/p")


@pytest.mark.parametrize("root", ["/usr/src/app", "/scratch/tmp/p", "/home/me/.config/p"])
def test_a_project_may_lie_anywhere(root):
    """Below its root everything counts."""
    assert counts(f"{root}/a.txt", root)


def test_virtual_environments(tmp_path):
    """Whatever their name."""
    (tmp_path / "env" / "lib").mkdir(parents=True)
    (tmp_path / "env" / "pyvenv.cfg").touch()
    assert not counts(f"{tmp_path}/env/lib/a.txt", str(tmp_path))
    assert counts(f"{tmp_path}/other/lib/a.txt", str(tmp_path))


def test_what_the_plugin_and_runs_write_is_no_input(tmp_path):
    """Store, reports, the folders of runs, also after they are gone; a pretrained model in the checkpoint folder is one."""
    own = Own(Settings(root=tmp_path))
    with run_directory(tmp_path / "checkpoints", "exp") as path:
        assert path / "model.pt" in own
    assert path / "model.pt" in own
    assert tmp_path / ".exprun" / "a.json" in own
    assert tmp_path / "docs" / "research" / "a.md" in own
    assert tmp_path / "checkpoints" in own
    assert tmp_path / "checkpoints" / "pretrained" / "x.pt" not in own
    assert Path(tmp_path, "data") not in own
