"""Who may import whom, held by reading the imports; and that loading the plugin stays cheap."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "pytest_exprun"
MODULES = {
    path.relative_to(PACKAGE).with_suffix("").as_posix().replace("/", "."): path for path in PACKAGE.rglob("*.py")
}
HEAVY = {"numpy", "scipy", "torch", "matplotlib", "ray"}
SHELL = {"plugin", "hookspec", "reporter", "__init__", "commands.trial"}
DOORS = "doors"
_TRUST = ("terms", "settings", "trust.files", "trust.identity", "trust.store", "trust.ledger", "trust.trees")
_JUDGED = ("terms", "settings", "verdict.compute", "verdict", "verdict.sessions")
_RUNNING = ("running.options", "running.sandbox", "running.training", "running.executors")
_REPORT = ("report", "report.sessions")
_STUDY = ("study", "study.arms")
BELOW = {
    "terms": (),
    "settings": ("terms",),
    "verdict.compute": ("terms", "settings"),
    "verdict": ("terms", "settings", "verdict.compute"),
    "verdict.sessions": ("terms", "settings", "verdict.compute", "verdict"),
    "report": _JUDGED,
    "report.sessions": (*_JUDGED, "report"),
    "trust.files": _TRUST[:2],
    "trust.identity": _TRUST[:3],
    "trust.store": _TRUST[:4],
    "trust.ledger": _TRUST[:5],
    "trust.trees": _TRUST[:6],
    "running.options": _TRUST,
    "running.sandbox": (*_TRUST, *_RUNNING[:1]),
    "running.training": (*_TRUST, *_RUNNING[:2]),
    "running.executors": (*_TRUST, *_RUNNING[:3]),
    "study.arms": (*_TRUST, *_RUNNING, *_JUDGED, "report"),
    "study": (*_TRUST, *_RUNNING, *_JUDGED, *_REPORT, "study.arms"),
    "commands.setup": (*_TRUST, *_RUNNING),
    "commands": (*_TRUST, *_RUNNING, *_JUDGED, "report", *_STUDY, "commands.setup"),
    "commands.ideas": (*_TRUST, *_RUNNING, *_JUDGED, *_REPORT, *_STUDY, "commands"),
    DOORS: (*_TRUST, *_RUNNING, *_JUDGED, *_REPORT, *_STUDY, "commands", "commands.ideas"),
}
"""The plan of the house: room -> rooms that it may import from, besides itself. What judges and shows never sees what trusts and runs."""
MOST_FILES = 10


def is_for_types(node: ast.AST) -> bool:
    """Whether it is `if TYPE_CHECKING:`."""
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def imports(path: Path, *, top_level_only: bool = False, for_types: bool = False) -> set[str]:
    """Return the names of all imported modules; those under TYPE_CHECKING are no imports at run time and are left out unless asked for."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {inner for node in ast.walk(tree) if is_for_types(node) for inner in ast.walk(node)}
    nodes = tree.body if top_level_only else [node for node in ast.walk(tree) if for_types or node not in typing_only]
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            if node.module.startswith("pytest_exprun"):
                names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def ours(path: Path, *, for_types: bool = False) -> set[str]:
    """Return the package's own modules that one imports."""
    found = imports(path, for_types=for_types)
    return {name.removeprefix("pytest_exprun.") for name in found if name.startswith("pytest_exprun.")} & set(MODULES)


def room(module: str) -> str:
    """Return the folder that a module lies in; the doors are the modules at the top."""
    return module.rpartition(".")[0] or DOORS


def breaches(module: str, imported: set[str]) -> list[str]:
    """Return the imports that the plan does not allow."""
    allowed = {room(module), *BELOW[room(module)]}
    return sorted(f"{module} imports {name}" for name in imported if room(name) not in allowed)


@pytest.mark.parametrize("name", sorted(each for each in MODULES if not each.endswith("__init__")))
def test_rooms(name):
    """A module imports from its own room and from those below it, for type checkers too."""
    assert breaches(name, ours(MODULES[name], for_types=True)) == []


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("terms.model", "verdict.stats"),
        ("verdict.rules", "trust.store.store"),
        ("verdict.comparison", "verdict.sessions.chance"),
        ("report.text", "running.training.results"),
        ("running.sandbox.guard", "report.text"),
        ("running.training.trainers", "running.executors.contract"),
        ("trust.identity.key", "trust.store.store"),
        ("study.study", "commands.why"),
        ("commands.why", "plugin"),
    ],
)
def test_the_plan_can_be_broken(module, imported):
    """Each of these arrows points up or across the wall, and is found."""
    assert {module, imported} <= set(MODULES)
    assert breaches(module, {imported}) == [f"{module} imports {imported}"]


def test_no_two_modules_import_each_other():
    """Not directly, and not in a longer circle; imports for type checkers count."""
    arrows = {name: ours(path, for_types=True) - {name} for name, path in MODULES.items()}
    while leaves := [name for name, targets in arrows.items() if not targets & set(arrows)]:
        for name in leaves:
            del arrows[name]
    assert not arrows


@pytest.mark.parametrize("folder", sorted({room(name) for name in MODULES} - {DOORS}))
def test_rooms_are_small_and_introduce_themselves(folder):
    """At most ten files a room, and an `__init__` that is one docstring."""
    place = PACKAGE / folder.replace(".", "/")
    assert len([path for path in place.glob("*.py") if path.name != "__init__.py"]) <= MOST_FILES
    tree = ast.parse((place / "__init__.py").read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    assert len(tree.body) == 1


def test_the_picture_is_true():
    """The picture in CONTRIBUTING.md names every module on the line of its room, and no other."""
    page = (PACKAGE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    drawn, place = set(), ""
    for line in page.partition("```text\npytest_exprun/\n")[2].partition("```")[0].splitlines():
        indent, folder = len(line) - len(line.lstrip()), line.split()[0] if line.strip() else ""
        if folder.endswith("/"):
            place = f"{place.partition('.')[0]}.{folder[:-1]}" if indent > 2 else folder[:-1]
        names = re.split(r"[\s;]+", line.rpartition(":")[2] if place else line.partition("   ")[0])
        drawn |= {f"{place}.{name}".lstrip(".") for name in names if name}
    drawn -= {name for name in drawn if name.rpartition(".")[2] not in {each.rpartition(".")[2] for each in MODULES}}
    assert drawn == {name for name in MODULES if not name.endswith("__init__")}


def test_every_module_has_its_tests():
    """tests/verdict/test_rules.py is where the tests of pytest_exprun/verdict/rules.py are."""
    modules = [name for name in MODULES if not name.endswith("__init__")]
    places = {name: Path(__file__).parent / room(name).replace(".", "/").replace(DOORS, "") for name in modules}
    missing = [name for name in modules if not (places[name] / f"test_{name.rpartition('.')[2]}.py").is_file()]
    assert missing == []


@pytest.mark.parametrize("name", sorted(MODULES))
def test_pytest_is_seen_by_the_shell_only(name):
    """Only the shell imports pytest, and the command that starts a session; nobody imports plugin."""
    found = {each.partition(".")[0] for each in imports(MODULES[name])}
    assert name in SHELL or not found & {"pytest", "_pytest"}
    assert "plugin" not in ours(MODULES[name])


@pytest.mark.parametrize("name", sorted(each for each in MODULES if room(each) in {"terms", "settings"}))
def test_words_and_settings_import_only_the_standard_library(name):
    """What all use stands on nothing else; iniconfig, which comes with pytest, is read where a project is."""
    foreign = {each.partition(".")[0] for each in imports(MODULES[name])} - set(sys.stdlib_module_names)
    assert foreign <= {"pytest_exprun", *(["iniconfig"] if name == "settings.project" else [])}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_heavy_libraries_are_imported_where_they_are_used(name):
    """No module imports numpy, scipy, torch or matplotlib at its top."""
    assert not {each.partition(".")[0] for each in imports(MODULES[name], top_level_only=True)} & HEAVY


@pytest.mark.parametrize("name", sorted(MODULES))
def test_the_reference_trainer_is_only_a_default(name):
    """The package never imports train_llm: it is the default of an ini key and nothing more."""
    assert "train_llm" not in imports(MODULES[name])


def test_the_trainer_does_not_know_the_plugin():
    """train_llm.py never imports pytest_exprun."""
    assert not {name for name in imports(PACKAGE.parent / "train_llm.py") if name.startswith("pytest_exprun")}


PROBE = """
import sys, pytest
class Probe:
    def pytest_unconfigure(self):
        print("LOADED", sorted({{"numpy", "scipy", "torch", "train_llm"}} & set(sys.modules)))
{extra}
sys.exit(pytest.main(["--co", "-q", "-p", "pytest_exprun.plugin", "-p", "no:cacheprovider"], plugins=[Probe()]))
"""


@pytest.mark.parametrize(("extra", "loaded"), [("", "LOADED []"), ("import numpy", "LOADED ['numpy']")])
def test_an_empty_session_loads_nothing_heavy(tmp_path, extra, loaded):
    """numpy, scipy and torch stay out of a session without experiments; the second row proves that the first can fail."""
    (tmp_path / "test_plain.py").write_text("def test_plain(): ...\n", encoding="utf-8")
    script = tmp_path / "probe.py"
    script.write_text(PROBE.format(extra=extra), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert loaded in done.stdout, done.stdout + done.stderr


def test_a_stored_session_loads_no_torch_and_no_trainer(toy_project):
    """Judging stored runs imports neither the trainer nor scipy.stats, which alone takes longer than the rest."""
    toy_project.write('@experiment("--rope")\ndef test_rope(): ...')
    (toy_project.pytester.path / "conftest.py").write_text(
        "import sys\ndef pytest_unconfigure():\n"
        "    print('LOADED', sorted({'toy', 'torch', 'scipy.stats', 'matplotlib'} & set(sys.modules)))\n",
        encoding="utf-8",
    )
    toy_project.run().assert_outcomes(passed=1)
    result = toy_project.run_fresh("-s")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*LOADED []*"])
