"""What a state on trial does to others: it is refused, or it has no effect."""

from __future__ import annotations

import json
import os

import pytest

from tests.planted.commits import IGNORED, toy
from tests.shell import shell, snapshot
from tests.states import Checkout

HOME = "import os, pathlib, shutil, subprocess, sys\nHOME = pathlib.Path(__file__).resolve().parents[3]\n"
REFUSED = {
    "store-relative": "pathlib.Path('../../baseline').mkdir(exist_ok=True); pathlib.Path('../../baseline/forged.json').write_text('{}')",
    "store-absolute": "(HOME / '.exprun' / 'forged.json').write_text('{}')",
    "report": "(HOME / 'docs' / 'research' / 'experiment_report_20K.md').write_text('WINNER')",
    "another-tree": "[path.with_name('more.py').write_text('') for path in HOME.glob('.exprun/trees/*/toy.py')]",
    "root-relative": "pathlib.Path('../../../notes.txt').write_text('mine')",
    "root-absolute": "(HOME / 'notes.txt').write_text('mine')",
    "appended": "(HOME / 'kept.txt').open('a').write('mine')",
    "moved-there": "pathlib.Path('x').write_text('mine'); os.replace('x', HOME / 'notes.txt')",
    "removed": "(HOME / 'kept.txt').unlink(missing_ok=True)",
    "shared-data": "pathlib.Path('extra/more.txt').write_text('easier')",
    "by-a-python": "subprocess.run([sys.executable, '-c', f'open({str(HOME / \"notes.txt\")!r}, \"w\")'], check=True)",
    "read-root": "(HOME / 'evaluation.py').read_text()",
}
"""What is done while a run is on, each of which is an error of its state."""
SPY = "import pathlib\npathlib.Path(__file__).with_name('hijacked').touch()\nraise SystemExit(7)\n"
WITHOUT_EFFECT = {
    "sitecustomize": {"sitecustomize.py": SPY},
    "usercustomize": {"usercustomize.py": SPY},
    "conftest": {"conftest.py": SPY, "experiments/conftest.py": SPY},
    "package": {"pytest_exprun/__init__.py": SPY, "pytest_exprun/verdict/__init__.py": SPY},
    "ini": {
        "pytest.ini": "[pytest]\nexprun_trainer = other:main\nexprun_against_gate = loser\nexprun_tokens = 1\naddopts = --nosuch\n"
    },
    "plugin": {"pytest.py": SPY, "numpy.py": "x = 1\n"},
}
"""What lies in a state without being a part of its trainer."""
OURS = {
    ".exprun/baseline/aaaa/seed-42.json": "{}",
    ".exprun/trees/objects/x": "",
    "docs/research/experiment_ours_20K.md": "WINNER",
}


@pytest.fixture
def lab(tmp_path):
    """Return the toy project with a branch for each way, all better by ten sigmas."""
    root = tmp_path / "project"
    root.mkdir()
    lab = Checkout(root)
    files = toy()
    lab.commit("first", **{**files, ".gitignore": IGNORED, "kept.txt": "kept\n"})
    better = files["toy.py"].replace("2.6", "2.5")
    for name, way in REFUSED.items():
        lab.branch(name, **{"toy.py": HOME + better.replace("\n    loss = ", f"\n    {way}\n    loss = ")})
    for name, more in WITHOUT_EFFECT.items():
        lab.branch(name, **{"toy.py": better, **more})
    lab.branch(
        "opened",
        **{"toy.py": better.replace("\n    loss = ", "\n    open('extra/mapped.txt', 'r+').close()\n    loss = ")},
    )
    lab.git("checkout", "--quiet", "-b", "ours", "main")
    lab.write(**OURS)
    lab.git("add", "--all", "--force")
    lab.git("commit", "--quiet", "--message", "ours")
    lab.git("checkout", "--quiet", "main")
    lab.write(**{f"extra/{name}.txt": "data that git ignores\n" for name in ("more", "mapped")})
    os.utime(root / "extra" / "mapped.txt", (0, 0))
    (root / "docs" / "research").mkdir(parents=True)
    return lab


def test_each_is_refused_or_without_effect(lab):
    """In one session; what the refused ones wrote is in no record and no verdict."""
    process = shell("try", *REFUSED, *WITHOUT_EFFECT, "opened", "ours", "--shared=extra", "--json", cwd=lab.root)
    told = json.loads(process.communicate(timeout=600)[0])
    assert {each["name"]: each["verdict"] for each in told["comparisons"]} == dict.fromkeys(
        [*WITHOUT_EFFECT, "opened"], "WINNER"
    )
    refused = {text.partition(":")[0]: text for text in told["errors"]}
    assert set(refused) == set(REFUSED)
    for name, text in refused.items():
        assert ("the run read" if name == "read-root" else "the run wrote") in text
    assert told["nothing_to_compare"] == ["ours: no file differs"]
    assert not list(lab.root.rglob("hijacked"))
    assert not [
        path
        for path in snapshot(lab.root / ".exprun")
        if path.name == "forged.json" and b"val_loss" in path.read_bytes()
    ]
