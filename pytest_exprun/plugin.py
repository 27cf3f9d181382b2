"""The pytest side: options, marker, fixtures, gates. What is printed and written is the reporter's.

Loading it imports the standard library and the settings, nothing else: everything heavy waits for the first marked test.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_exprun import hookspec
from pytest_exprun.reporter import Reporter
from pytest_exprun.settings.settings import Settings
from pytest_exprun.study.session import Session
from pytest_exprun.terms.errors import DeclarationError, ExprunError, SettingsError, shown
from pytest_exprun.terms.secrets import conceal, conceal_all

if TYPE_CHECKING:
    from pytest_exprun.terms.model import Experiment  # noqa: F401  # named in the stash keys
    from pytest_exprun.terms.outcome import Arm
    from pytest_exprun.verdict.comparison import Comparison

FIXTURES = ("comparison", "baseline", "experiment")
MARKER = (
    "experiment(*flags, name=None, baseline=None, metric=None, higher_is_better=None, seeds=None, rule=None, min_effect=None, "
    'futility=None, gate="not_loser", confirm=False, speedup=False, ref=None, patch=None, against=None): train with these flags, '
    "compare with the baseline seed by seed, and judge"
)
SHOWN_LINES = 20
"""Lines of a marked test's captured output that are shown when it fails."""
SESSION = pytest.StashKey[Session]()
DECLARED = pytest.StashKey["Experiment"]()
GATED = pytest.StashKey[bool]()
COMPARISON = pytest.StashKey["Comparison"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add one option and one ini key for each row of the settings."""
    for about, rows in Settings.groups().items():
        group = parser.getgroup(f"exprun: {about}")
        for row in rows:
            group.addoption(row.flag, dest=row.key, metavar=row.name.upper(), help=row.help)
            parser.addini(row.key, row.help, default=None)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the hooks that others may implement."""
    pluginmanager.add_hookspecs(hookspec)


def pytest_configure(config: pytest.Config) -> None:
    """Read the settings; on the controller also register who prints and writes."""
    config.addinivalue_line("markers", MARKER)
    try:
        settings = Settings.read({row.name: _given(config, row.key) for row in Settings.rows()}, config.rootpath)
    except SettingsError as error:
        raise pytest.UsageError(str(error)) from None
    is_worker = hasattr(config, "workerinput")
    session = Session(settings, writes_reports=not is_worker and settings.mode != "plan")
    config.stash[SESSION] = session
    if is_worker:
        from pytest_exprun.study.relay import connect_worker

        connect_worker(session, config.workerinput)  # type: ignore[attr-defined]  # set by xdist
    # Capture is off here: this descriptor still reaches the user when a run in this process hangs for good, or ends it.
    session.stderr = os.dup(2)
    config.add_cleanup(lambda: os.close(session.stderr or 0))
    if settings.mode == "plan" and getattr(config.option, "dist", "no") != "no":
        config.option.dist, config.option.tx = "no", []  # a plan runs no tests, so it needs no workers
    if not is_worker:
        config.pluginmanager.register(Reporter(config, session), "exprun-reporter")


def _given(config: pytest.Config, key: str) -> object:
    """Return what the command line says, or else the ini file."""
    value = config.getoption(key)
    return config.getini(key) if value is None else value


# Collection: a marker becomes an Experiment, and every misuse is one line.


@pytest.hookimpl(wrapper=True)
def pytest_pycollect_makeitem(collector: pytest.Collector) -> Generator[None, Any, Any]:
    """Declare the experiments of the tests that were just made."""
    found = yield
    for item in found if isinstance(found, list) else [found]:
        if isinstance(item, pytest.Function):
            mark = item.get_closest_marker("experiment")
            if mark is not None:
                _declare(item, mark, collector)
    return found


def _declare(item: pytest.Function, mark: pytest.Mark, collector: pytest.Collector) -> None:
    from pytest_exprun.settings.declaration import Marked, declare

    session = item.config.stash[SESSION]
    callspec = getattr(item, "callspec", None)
    module = item.getparent(pytest.Module)
    marked = Marked(
        args=mark.args,
        kwargs=mark.kwargs,
        params=callspec.params if callspec else {},
        function=item.originalname,
        param_id=callspec.id if callspec else "",
        nodeid=item.nodeid,
        doc=item.function.__doc__ or (module.obj.__doc__ if module is not None else None) or "",
    )
    try:
        experiment = declare(marked, session.settings)
        if marked.states:
            experiment = session.diffs.on_states(experiment, marked.states)
        item.stash[DECLARED] = session.register.add(marked, experiment)
    except DeclarationError as error:
        raise collector.CollectError(str(error)) from None
    except ExprunError as error:
        raise collector.CollectError(str(marked.error(str(error)))) from None
    # What the test asks for itself: a fixture of its conftest that asks for `comparison` to log it asserts nothing.
    asked = set(item._fixtureinfo.argnames) - set(marked.params)  # noqa: SLF001  # no public way to a test's own arguments
    item.stash[GATED] = "gate" in mark.kwargs or not set(FIXTURES) & asked
    if item.stash[GATED] and "comparison" not in item.fixturenames:
        item.fixturenames.append("comparison")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None]:
    """On a worker of xdist, leave the controller what only the whole session can use; everywhere note how the session ended."""
    output: dict[str, object] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        from pytest_exprun.study.relay import KEY, farewell

        output[KEY] = farewell(session.config.stash[SESSION])
    try:
        yield
    finally:
        session.config.stash[SESSION].ended(int(session.exitstatus))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Tell the study what is selected, in the order of the tests; and everybody which states of the code are compared."""
    ours = session.config.stash[SESSION]
    if ours.untested and not hasattr(session.config, "workerinput"):
        from pytest_exprun.report.terminal import diff_lines

        for line in diff_lines(ours.untested):
            ours.say(line)
    selected = dict.fromkeys(item.stash[DECLARED].comparison_id for item in session.items if DECLARED in item.stash)
    if selected:
        ours.study.declared = [ours.register.by_id[identity] for identity in selected]
        ours.selected = [item.nodeid for item in session.items if DECLARED in item.stash]


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """In plan mode print what would be trained instead of running any test."""
    ours = session.config.stash[SESSION]
    if ours.settings.mode != "plan" or session.config.option.collectonly:
        return None
    if session.testsfailed and not session.config.option.continue_on_collection_errors:
        raise session.Interrupted(
            f"{session.testsfailed} error{'s' if session.testsfailed != 1 else ''} during collection"
        )
    try:
        session.testsfailed += ours.plan()
    except ExprunError as error:
        raise pytest.UsageError(str(error)) from None
    return True


# Fixtures: the only place where anything is trained.


@pytest.fixture
def comparison(request: pytest.FixtureRequest) -> Comparison:
    """The marked test's experiment against its control, judged; trains what is missing."""
    return _comparison(request.node)


@pytest.fixture
def baseline(request: pytest.FixtureRequest) -> Arm:
    """The control arm of a marked test's comparison; in a test without mark the default baseline."""
    if DECLARED in request.node.stash:
        return _comparison(request.node).baseline
    from pytest_exprun.terms.model import Experiment

    session = request.config.stash[SESSION]
    settings = session.settings
    asked = Experiment(
        name="baseline",
        variant=settings.default_control,
        control=settings.default_control,
        common_args=settings.args,
        metric=settings.metric,
        budget=settings.budget,
    )
    with _as_plain_failure():
        return session.study.arm(settings.default_control, settings.seeds_of_baselines, asked)


@pytest.fixture
def experiment(request: pytest.FixtureRequest) -> Arm:
    """The experiment arm of a marked test's comparison."""
    return _comparison(request.node).experiment


def _comparison(item: pytest.Item) -> Comparison:
    """Return a test's comparison; whatever forbids it is an error of the test's setup, without a traceback of ours."""
    declared = item.stash.get(DECLARED, None)
    if declared is None:
        pytest.fail(
            f'{item.nodeid} asks for an experiment but is not marked with one: add @experiment("--flag") to the test',
            pytrace=False,
        )
    if COMPARISON not in item.stash:
        from pytest_exprun.report.certainty import no_effect
        from pytest_exprun.verdict.comparison import has_no_effect

        study = item.config.stash[SESSION].study
        with _as_plain_failure():
            if nothing := study.differs_in_nothing(declared):
                item.config.stash[SESSION].say(f"{declared.name}: nothing to compare: {nothing}")
                pytest.skip(f"{declared.name}: {nothing}")
            found = study.compare(declared)
        if declared.diff is None and has_no_effect(found) and declared.gate != "identical":
            pytest.fail(shown(no_effect(found)), pytrace=False)
        item.stash[COMPARISON] = found
        from pytest_exprun.report.values import properties

        item.user_properties.extend(properties(found))
    return item.stash[COMPARISON]


@contextmanager
def _as_plain_failure() -> Iterator[None]:
    """Turn our errors into pytest's, without a traceback of ours."""
    try:
        yield
    except ExprunError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None


def _ending(text: str) -> str:
    """Return the end of what eight runs may have printed."""
    lines = text.splitlines(keepends=True)
    left_out = len(lines) - SHOWN_LINES
    return (
        text if left_out <= 0 else f"[{left_out} lines left out; -s shows all of them]\n{''.join(lines[-SHOWN_LINES:])}"
    )


# The call: assertions get the verdict as their first line, then the gate judges where one was declared or no fixture was asked for.


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Refuse a marked test that no fixture can reach: it would pass without having been trained."""
    if item.get_closest_marker("experiment") is not None and DECLARED not in item.stash:
        pytest.fail(
            f"{item.nodeid} is marked @experiment but is no plain test function, so it cannot be judged", pytrace=False
        )


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
    """Run the test's body, then its gate."""
    found = pyfuncitem.stash.get(COMPARISON, None)
    try:
        result = yield
    except AssertionError as error:
        if found is not None:
            error.args = (f"{shown(found.headline())}\n{conceal(str(error))}",)
        raise
    found = pyfuncitem.stash.get(COMPARISON, None)  # the body may have asked for it by name
    if found is None and DECLARED in pyfuncitem.stash:
        pytest.fail(
            f"{pyfuncitem.nodeid} was not judged: its comparison, baseline or experiment is not this plugin's fixture; rename that one",
            pytrace=False,
        )
    if found is not None and pyfuncitem.stash[GATED]:
        _judge_gate(pyfuncitem, found)
    return result


def _judge_gate(item: pytest.Item, found: Comparison) -> None:
    with _as_plain_failure():
        gate = item.config.stash[SESSION].study.gate(found, item.stash[DECLARED].gate)
    if not gate.passed:
        pytest.fail(shown(f"{found.headline()}\ngate {gate.name}: {gate.reason}"), pytrace=False)


# Experiments that no test declares: items of their own, beside the tests or in place of them.


class UntestedItem(pytest.Item):
    """Judges one state of the code against another, or flags that were typed."""

    def setup(self) -> None:
        """Compare; train what is missing."""
        with self._told():
            _comparison(self)

    def runtest(self) -> None:
        """Judge the gate."""
        with self._told():
            _judge_gate(self, self.stash[COMPARISON])

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Say at once why it fails, and of which state: there is no code of a test to show."""
        try:
            yield
        except pytest.fail.Exception as error:
            told = f"{self.stash[DECLARED].name}: {error.msg}"
            self.config.stash[SESSION].say(told)
            raise pytest.fail.Exception(told, pytrace=False) from None

    def reportinfo(self) -> tuple[Path, None, str]:
        """Say where it is: nowhere in the code."""
        return self.config.rootpath, None, self.name


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Pin the states of the code that are compared, before anything else takes time."""
    try:
        _ = session.config.stash[SESSION].untested
    except ExprunError as error:
        raise pytest.UsageError(str(error)) from None


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """Collect no tests where states of the code, or flags, are tried in their place."""
    settings = config.stash[SESSION].settings
    return True if settings.tried or settings.flags else None


def pytest_collection_modifyitems(session: pytest.Session, items: list[pytest.Item]) -> None:
    """Add an item for each experiment that no test declares."""
    ours = session.config.stash[SESSION]
    ours.untested = [ours.register.adopt(experiment) for experiment in ours.untested]
    for experiment in ours.untested:
        against = f"against {experiment.control.tree} " if experiment.diff else ""
        item = UntestedItem.from_parent(session, name=f"{experiment.name} {against}{experiment.what}")
        item.stash[DECLARED] = experiment
        items.append(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put the comparison's table under a failure, and from an xdist worker the comparison itself on the report."""
    report = yield
    report.sections = conceal_all(report.sections)  # what a trainer printed in this process
    if DECLARED in item.stash:
        report.sections = [(title, _ending(text)) for title, text in report.sections]
    found = item.stash.get(COMPARISON, None)
    if found is not None and (call.when == "call" or report.failed):
        if report.failed:
            from pytest_exprun.report.terminal import assertion_lines

            report.sections.append(("experiment", "\n".join(assertion_lines(found))))
        if hasattr(item.config, "workerinput"):
            report.exprun = found.to_json()  # type: ignore[attr-defined]
    return report
