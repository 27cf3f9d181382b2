"""What the controller prints and writes, and the hooks that it calls, in pytest's own process or from workers of xdist."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest

from pytest_exprun.study.session import Session
from pytest_exprun.terms.errors import shown

if TYPE_CHECKING:
    from pytest_exprun.terms.outcome import RunResult
    from pytest_exprun.verdict.comparison import Comparison


class Voice:
    """Speaks past pytest's capture: lines, and one line that the next one overwrites. Mute without a terminal reporter."""

    def __init__(self, plugins: pytest.PytestPluginManager) -> None:
        self._plugins = plugins
        self._live_shown = False

    def say(self, line: str) -> None:
        """Print a line."""
        self._write(shown(line) + "\n")

    def live(self, line: str) -> None:
        """Print a line that the next one overwrites; nothing where there is no terminal."""
        terminal = self._plugins.getplugin("terminalreporter")
        if terminal is not None and terminal.isatty:
            # A line that wraps could not be erased.
            self._write(shown(line)[: terminal._tw.fullwidth - 1], live=True)  # noqa: SLF001  # no public width

    def erase(self) -> None:
        """Take the overwritten line away."""
        if self._live_shown:
            self._write("")

    def _write(self, text: str, *, live: bool = False) -> None:
        """Write; the capture is as before afterwards, the trainer's redirected standard output included."""
        terminal = self._plugins.getplugin("terminalreporter")
        if terminal is None:
            return
        capture = self._plugins.getplugin("capturemanager")
        stdout = sys.stdout
        try:
            with capture.global_and_fixture_disabled() if capture is not None else contextlib.nullcontext():
                terminal.ensure_newline()
                if terminal._tw.width_of_current_line and not self._live_shown:  # noqa: SLF001  # xdist's dots belong to no file
                    terminal.write("\n")
                terminal.write(("\r\x1b[2K" if self._live_shown else "") + text, flush=True)
        finally:
            sys.stdout = stdout
        self._live_shown = live


class Reporter:
    """Gathers what the session found out. Lives on the controller only, so that reports are written once."""

    def __init__(self, config: pytest.Config, session: Session) -> None:
        self._config, self.session = config, session
        self._voice = Voice(config.pluginmanager)
        self._earlier: list[Comparison] = []
        self._ended: set[str] = set()
        self._failed: set[str] = set()
        session.say, session.live = self._voice.say, self._voice.live
        session.markdown = self._markdown
        session.run_hook = self._run_finished

    def _markdown(self, comparison: Comparison) -> str | None:
        text: str | None = self._config.hook.pytest_exprun_markdown(config=self._config, comparison=comparison)
        return text

    def _run_finished(self, run: RunResult) -> None:
        self._config.hook.pytest_exprun_run_finished(config=self._config, run=run)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take in what an xdist worker found out; erase the live line of a run that failed."""
        self._voice.erase()
        if report.when == "call" or not report.passed:
            self._ended.add(report.nodeid)
        if report.failed:
            properties = dict(report.user_properties)
            self._failed.add(str(properties.get("exprun.name", "")))
        data: Mapping[str, Any] | None = getattr(report, "exprun", None)
        if data is not None:
            from pytest_exprun.verdict.comparison import Comparison

            self.session.receive(Comparison.from_json(data))

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Let a worker of xdist speak while it trains."""
        from pytest_exprun.study.relay import connect_node

        connect_node(node, self._config.pluginmanager.getplugin("dsession"), self._hear, self.session.untested)

    def _hear(self, kind: str, text: str) -> None:
        """Pass on what a worker says."""
        if kind == "run":
            from pytest_exprun.terms.outcome import RunResult

            self._run_finished(RunResult.from_json(json.loads(text)))
        else:
            (self._voice.live if kind == "live" else self._voice.say)(text)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take in what a worker left at its end; one that crashed left nothing."""
        from pytest_exprun.study.relay import KEY, take_leave

        left = getattr(node, "workeroutput", {}).get(KEY)
        if left is not None:
            take_leave(self.session, left)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the overview and call the report hook; a result that could not be saved fails the session."""
        ours = self.session
        if ours.arms and ours.writes_reports:
            self._earlier = ours.finish()
        if ours.comparisons:
            self._config.hook.pytest_exprun_report(
                config=self._config, comparisons=list(ours.comparisons.values()), paths=dict(ours.paths)
            )
        self._tell_unjudged()
        if ours.unsaved and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _tell_unjudged(self) -> None:
        """A session that means to run its tests is not green if a marked one neither ended nor was skipped."""
        option = self._config.option
        if self.session.settings.mode == "plan" or option.collectonly or option.setuponly:
            return
        for name in self.session.selected:
            if name not in self._ended:
                self.session.not_saved(f"{name} is marked @experiment, was selected, and was not judged")

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print one row an experiment; nothing in a session without experiments."""
        comparisons = list(self.session.comparisons.values())
        if not comparisons and not self.session.notices:
            return
        from pytest_exprun.report.terminal import summary_lines

        terminalreporter.section("experiments")
        width = terminalreporter._tw.fullwidth  # noqa: SLF001  # no public width
        ours = self.session
        for markup, line in summary_lines(comparisons, ours, width=width, earlier=self._earlier, others=ours.others):
            terminalreporter.write_line(line, **markup)
        if os.environ.get("GITHUB_ACTIONS") == "true":
            from pytest_exprun.report.overview import workflow_lines

            for line in workflow_lines(comparisons, self._failed):
                terminalreporter.write_line(line)
