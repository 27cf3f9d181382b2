"""The examples with software that nobody here wrote, as a reader would run them: `make integrations`."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent.parent / "docs" / "examples"

pytestmark = pytest.mark.skipif(
    "EXPRUN_INTEGRATIONS" not in os.environ, reason="trains for minutes with software of its own: make integrations"
)


@pytest.mark.parametrize(
    ("name", "needs", "verdicts"),
    [
        ("sklearn", ["sklearn"], ["hidden", "WINNER"]),
        ("torchrun", ["torch"], ["momentum", "WINNER"]),
        ("huggingface", ["torch", "transformers", "accelerate"], ["rate", "WINNER"]),
    ],
)
def test_an_example_reaches_its_verdict(tmp_path, name, needs, verdicts):
    """The experiment file is short, its tests pass, and a second session trains nothing."""
    for module in needs:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    folder = tmp_path / name
    shutil.copytree(EXAMPLES / name, folder)
    for path in folder.glob("experiments/*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) < 15
    first = run(folder)
    assert first.returncode == 0, first.stdout
    assert any(line.split()[:2] == verdicts for line in first.stdout.splitlines()), first.stdout
    second = run(folder, "--exprun-mode=frozen")
    assert second.returncode == 0, second.stdout


def run(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in an example's folder, with this interpreter's programs first on the path."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        [sys.executable, "-m", "pytest", "experiments", "-p", "no:cacheprovider", *args],
        cwd=folder,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,
    )
