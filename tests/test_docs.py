"""The documentation is run: its code, its links, and that it names everything there is."""

from __future__ import annotations

import ast
import doctest
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from pytest_exprun import hookspec
from pytest_exprun.settings.declaration import KEYWORDS
from pytest_exprun.settings.settings import GATES, MODES, STALE, Settings

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
REFERENCE, GUIDE, README = DOCS / "reference.md", DOCS / "guide.md", ROOT / "README.md"
HOW_TESTED = {"runs", "compiles", "conftest", "file"}
PAGES = [README, ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
OPTIONS = re.compile(r"(<!-- options: [^\n]*-->\n).*?(<!-- end of options -->)", re.DOTALL)
INCLUDED = re.compile(r"(<!-- file: (\S+) -->\n```python\n).*?(```)", re.DOTALL)


def name_of(page: Path) -> str:
    """Return a page's name in test ids."""
    return page.relative_to(ROOT).as_posix()


# What is generated, and `python tests/test_docs.py`, which generates it.


def default_of(value: object) -> str:
    """Return a default as it would be written in the ini file."""
    text = " ".join(map(str, value)) if isinstance(value, tuple) else "" if value is None else str(value)
    return f"`{text.removesuffix('.0')}`" if text else "(empty)"


def options_tables() -> str:
    """Return the reference's tables of options, one for each thing that they are about."""
    lines = []
    for about, rows in Settings.groups().items():
        lines += [f"### {about.capitalize()}", "", "| option and ini key | default | what it is | allowed |"]
        lines.append("| --- | --- | --- | --- |")
        for row in rows:
            what, allowed = (part.replace("|", "\\|").replace("<", "&lt;") for part in (row.what, row.allowed))
            lines.append(f"| `{row.flag}` `{row.key}` | {default_of(row.default)} | {what} | {allowed} |")
        lines.append("")
    return "\n" + "\n".join(lines)


def generated(page: Path) -> str:
    """Return a page with its generated parts as they should be."""
    text = OPTIONS.sub(lambda found: found[1] + options_tables() + found[2], page.read_text(encoding="utf-8"))
    return INCLUDED.sub(lambda found: found[1] + (page.parent / found[2]).read_text(encoding="utf-8") + found[3], text)


@pytest.mark.parametrize("page", [REFERENCE, GUIDE], ids=name_of)
def test_generated_parts_are_up_to_date(page):
    """The table of options and the files shown are what they show (else run `python tests/test_docs.py`)."""
    assert page.read_text(encoding="utf-8") == generated(page)


# Code blocks.


@dataclass(frozen=True)
class Block:
    """A fenced block, the comment above it (`runs: passed=1`, `compiles`, `conftest`, `file: ...`), and where it stands."""

    page: Path
    line: int
    language: str
    comment: str
    text: str

    def __str__(self) -> str:
        return f"{name_of(self.page)}:{self.line}"


def blocks(*languages: str) -> list[Block]:
    """Return the fenced blocks of the written pages."""
    return [
        block
        for page in PAGES
        if page.parent.name != "research"
        for block in _blocks(page)
        if block.language in languages
    ]


def _blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for found in re.finditer(r"(?:<!-- ([^\n]*) -->\n)?^```(\w+)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        yield Block(page, text[: found.start()].count("\n") + 1, found[2], found[1] or "", found[3])


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_python_blocks_compile_and_say_how_they_are_tested(block):
    """Every Python block is Python; in the pages tested here it is run, or says that it is not."""
    if block.text.startswith(">>>"):
        examples = doctest.DocTestParser().get_doctest(block.text, {}, str(block), str(block.page), block.line)
        assert doctest.DocTestRunner(verbose=False).run(examples).failed == 0
    else:
        compile(block.text, str(block), "exec")
    assert block.page not in {README, GUIDE} or block.comment.partition(":")[0] in HOW_TESTED


def a_project(pytester: pytest.Pytester, page: Path) -> None:
    """Make the project that a page talks about: the toy trainer for the README, else the example."""
    if page == README:
        trainer = "toy"
        source = Path(__file__).with_name("toy.py")
    else:
        trainer = "train"
        source = DOCS / "examples" / "train.py"
    pytester.makepyfile(**{trainer: source.read_text(encoding="utf-8")})
    pytester.makeini(
        f"[pytest]\naddopts = --import-mode=importlib\nexprun_trainer = {trainer}:main\nexprun_plots = off\n"
    )


@pytest.mark.parametrize("block", [block for block in blocks("python") if block.comment.startswith("runs: ")], ids=str)
def test_experiment_files_run(block, pytester):
    """An experiment file in the documentation gives the outcomes that its comment promises."""
    promised = dict(re.findall(r"(\w+)=(\d+)", block.comment))
    tokens = promised.pop("tokens", "1000000")
    a_project(pytester, block.page)
    pytester.makepyfile(test_block=block.text)
    result = pytester.runpytest_inprocess("test_block.py", f"--exprun-tokens={tokens}")
    result.assert_outcomes(**{name: int(count) for name, count in promised.items()})


@pytest.mark.parametrize("block", [block for block in blocks("python") if block.comment == "conftest"], ids=str)
def test_hooks_run(block, pytester):
    """The hooks of the guide are called with what they use."""
    a_project(pytester, block.page)
    pytester.makeconftest(block.text)
    pytester.makepyfile(
        test_block='from pytest_exprun import experiment\n\n@experiment("--lr=0.2")\ndef test_rate(): ...\n'
    )
    result = pytester.runpytest_inprocess("test_block.py", "--exprun-tokens=20000", "-s")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*rate: WINNER, improved by*docs/research/experiment_rate_20K.md)"])


def test_the_example_runs(pytester):
    """The example project is complete: collected, trained and judged in a short form."""
    pytester.copy_example(str(DOCS / "examples"))
    result = pytester.runpytest_inprocess("experiments", "--exprun-tokens=20000", "--exprun-plots=off")
    outcomes = result.parseoutcomes()
    assert outcomes.get("passed", 0) + outcomes.get("failed", 0) == 4
    assert "error" not in outcomes
    assert "errors" not in outcomes


@pytest.mark.slow
def test_the_guide_shows_what_the_example_prints(pytester):
    """The rows of the guide's summaries are those of a real session, wall times aside."""
    pytester.copy_example(str(DOCS / "examples"))
    result = pytester.runpytest_inprocess("experiments")
    result.assert_outcomes(passed=3, failed=1)
    printed = set(map(_without_wall_time, result.outlines))
    shown = {
        row
        for block in blocks("console")
        if block.page == GUIDE
        for row in map(_without_wall_time, block.text.splitlines())
        if row
    }
    full = {row for row in shown if row[0] != "LOSER" or row[1].startswith("2.42")}
    assert full <= printed


def _without_wall_time(line: str) -> tuple[str, ...]:
    """Return verdict, means, sigmas, p and n of a row of the summary; nothing for another line."""
    found = re.search(r"\b(WINNER|NEUTRAL|LOSER)\s+(\S+\+-\S+)\s+(\S+\+-\S+)\s+(\S+)\s+(\S+)\s+(\d)\s", line)
    return found.groups() if found else ()


def test_commands_exist():
    """A command shown is a make target that exists, or one of a few programs."""
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    known = {"pytest", "exprun", "python", "pip", "cd", "cp", "git"}
    for block in blocks("console"):
        for command in re.findall(r"^\$ (?:[A-Z_]+=\S+ )*(\S+) ?([^\n#]*)", block.text, re.MULTILINE):
            if command[0] == "make":
                assert set(re.findall(r"(?<!\S)[a-z]+", command[1])) <= targets, f"{block}: make {command[1]}"
            else:
                assert command[0] in known, f"{block}: {command[0]}"


def test_subcommands_exist():
    """Every `exprun` subcommand that a page names is one."""
    from pytest_exprun.cli import build_parser

    there_are = next(iter(build_parser()._subparsers._group_actions)).choices
    named = {
        found for page in PAGES for found in re.findall(r"[`$] ?exprun ([a-z]+)", page.read_text(encoding="utf-8"))
    }
    assert named <= set(there_are)


# Everything is named, and everything named exists.


def documented() -> str:
    """Return the reference."""
    return REFERENCE.read_text(encoding="utf-8")


def attributes(kind: type) -> set[str]:
    """Return the public attributes of one of the result types."""
    return {name for name in [*vars(kind), *(field.name for field in fields(kind))] if not name.startswith("_")}


@pytest.mark.parametrize(
    "name",
    [
        *(f"`{row.key}`" for row in Settings.rows()),
        *(f"`{keyword}`" for keyword in KEYWORDS),
        *(f"`{value}`" for value in (*GATES, *MODES, *STALE)),
        *(f"`{fixture}`" for fixture in ("comparison", "baseline", "experiment")),
    ],
)
def test_every_name_is_documented(name):
    """Options, marker keywords, gates, modes and fixtures stand in the reference."""
    assert name in documented()


@pytest.mark.parametrize("hook", [name for name in vars(hookspec) if name.startswith("pytest_exprun_")])
def test_every_hook_is_documented_with_its_signature(hook):
    """A hook's parameters and types are those of its specification."""
    source = ast.parse(Path(hookspec.__file__).read_text(encoding="utf-8"))
    function = next(node for node in source.body if isinstance(node, ast.FunctionDef) and node.name == hook)
    signature = f"{hook}({ast.unparse(function.args)}) -> {ast.unparse(function.returns)}"
    assert f"`{signature}`".replace("|", "\\|") in documented()


def test_every_public_attribute_is_documented():
    """What a test may read of a comparison, an effect, an arm, a summary and a run stands in the reference."""
    from pytest_exprun.terms.outcome import Arm, Effect, RunResult, Summary
    from pytest_exprun.verdict.comparison import Comparison, Evidence
    from pytest_exprun.verdict.rules import Judgement

    spans = set(re.findall(r"`([^`]+)`", documented()))
    named = {re.split(r"[(\[]", span)[0].rpartition(".")[2] for span in spans}
    kinds = (Comparison, Evidence, Judgement, Effect, Arm, Summary, RunResult)
    internal = {"to_json", "from_json", "needs", "of", "json_lines", "conclusions"}
    missing = {f"{kind.__name__}.{name}" for kind in kinds for name in attributes(kind) - internal if name not in named}
    assert not missing


def test_every_output_for_programs_is_documented(pytester):
    """What a session writes into the JUnit XML and into a report's JSON is what the reference lists."""
    a_project(pytester, GUIDE)
    pytester.makepyfile('from pytest_exprun import experiment\n\n@experiment("--lr=0.101")\ndef test_rate(): ...\n')
    pytester.runpytest_inprocess("--exprun-tokens=20000", "--junitxml=junit.xml")
    written = re.findall(
        r'<property name="exprun\.([\w.]+)"', (pytester.path / "junit.xml").read_text(encoding="utf-8")
    )
    section = documented().partition("## JUnit properties")[2].partition("\n## ")[0]
    spans = set(re.findall(r"`([^`]+)`", section))
    names = {f"exprun.{name}" if "." not in name else f".{name.partition('.')[2]}" for name in written}
    assert names
    assert {name for name in names if name not in spans and f"exprun.<metric>{name}" not in spans} == set()
    report = json.loads((pytester.path / "docs/research/experiment_rate_20K.json").read_text(encoding="utf-8"))
    section = documented().partition("The JSON of a report")[2].partition("\nIn `exprun_store`")[0]
    assert set(report) | set(report["baseline"][0]) <= set(re.findall(r"`([^`]+)`", section))


def test_options_named_anywhere_exist():
    """No page names an option or ini key that does not exist."""
    known = {row.name for row in Settings.rows()}
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        named = {name.replace("-", "_") for name in re.findall(r"(?:--exprun-|\bexprun_)([a-z_-]*[a-z])", text)}
        named -= {hook.removeprefix("pytest_exprun_") for hook in vars(hookspec)}
        assert named <= known, name_of(page)


def messages() -> str:
    """Return every text constant of the package, one a line."""
    sources = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "pytest_exprun").rglob("*.py")]
    texts = [node.value for source in sources for node in ast.walk(source) if isinstance(node, ast.Constant)]
    return "\n".join(text for text in texts if isinstance(text, str))


def test_documented_errors_are_still_said():
    """Each message of the reference's tables of errors occurs in the package."""
    section = documented().partition("## Errors")[2]
    quoted = re.findall(r"^\| `([^`]+)`", section, re.MULTILINE)
    said = messages()
    assert len(quoted) > 30
    assert [message for message in quoted if message not in said] == []


# Links, and what must not be there.


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, made as code hosts make them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    """Relative links name files and headings that exist."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:", target):
            file, _, anchor = target.partition("#")
            found = (page.parent / file).resolve() if file else page
            assert found.exists(), target
            assert not anchor or anchor in anchors(found), target


def test_every_decision_and_page_is_listed():
    """The index of the documentation leads to every page."""
    text = (DOCS / "README.md").read_text(encoding="utf-8")
    pages = [
        page
        for page in DOCS.rglob("*.md")
        if page.parent.name not in {"research", "examples"} and page.name != "README.md"
    ]
    assert [name_of(page) for page in pages if page.relative_to(DOCS).as_posix() not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_path_of_anybodys_machine(page):
    """Documents name no folder of the machine they were written on."""
    assert not re.search(r"(?<![\w.])/(?:work|root|home|tmp|Users|mnt)/", page.read_text(encoding="utf-8"))


def test_the_first_command_selects_one_experiment(pytester):
    """`pytest experiments/ -k rope`, which the README starts with, means rope alone: no other name may contain it."""
    arguments = ("--rootdir", ROOT, "-c", ROOT / "pyproject.toml", ROOT / "experiments", "-p", "no:cacheprovider")
    result = pytester.runpytest_subprocess(*arguments, "-k", "rope", "--collect-only", "-q")
    assert [line.rpartition("/")[2] for line in result.outlines if "::" in line] == ["test_rope.py::test_rope"]


if __name__ == "__main__":
    for page in (REFERENCE, GUIDE):
        page.write_text(generated(page), encoding="utf-8")
    shipped = ROOT / "pytest_exprun" / "commands" / "setup" / "SKILL.md"
    shipped.write_bytes((ROOT / "docs" / "agent" / "SKILL.md").read_bytes())
