"""The session's summary, a finished run's line, and what a failed assertion shows."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from pytest_exprun.report.terminal import assertion_lines, live_line, run_line, run_names, summary_lines
from pytest_exprun.terms.model import Budget, RunSpec, Variant
from pytest_exprun.terms.outcome import CurvePoint
from pytest_exprun.verdict.compute.speedup import Speedup
from tests.report_toys import HOSTILE, LOSER, NEUTRAL, UNSURE, comparison, run

WIDE = """\
val_loss at 1M tokens; baseline: no flags, seeds 42, 137, 256, 512, 1024
name   verdict          baseline        experiment  sigma       p  n  wall %  Holm p
rope   WINNER   2.0000 +- 0.0158  1.9100 +- 0.0100   +5.7  <.0001  3    +5.0  .00043
small  NEUTRAL  2.0000 +- 0.0158  1.9920 +- 0.0163   +0.5  .00054  5    +5.0   .0022
worse  LOSER    2.0000 +- 0.0158  2.0600 +- 0.0095   -3.8  .00028  3    +5.0   .0022
this baseline has judged 3 experiments: about 0.093 false winners to expect"""


@dataclass
class Outlook:
    """How far a session is."""

    done: int = 3
    left: tuple[int, int] = (5, 5)
    seconds_a_run: float | None = 24.0


@dataclass
class Written:
    """What a session wrote."""

    paths: dict[str, Path] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
    anchor: list[str] = field(default_factory=list)


def three():
    """Return a comparison of each verdict, in no good order."""
    return [
        comparison(NEUTRAL, name="small", flags=("--small",)),
        comparison(LOSER, name="worse", flags=("--worse",)),
        comparison(),
    ]


def text(lines):
    """Return the lines' text."""
    return "\n".join(line for _, line in lines)


def test_one_row_an_experiment_best_first():
    """The summary is as written by hand. Holm's p is that of min(1, 4p) over the family."""
    assert text(summary_lines(three(), width=120)) == WIDE


def test_at_80_columns_everything_fits():
    """Two digits of the spread are enough where there is little room."""
    lines = text(summary_lines(three(), width=80))
    assert max(map(len, lines.splitlines())) <= 80
    assert "rope   WINNER   2.000+-.016  1.910+-.010   +5.7  <.0001  3    +5.0  .00043" in lines


LONG = ("modern_without_parallel_block", "modern_without_parallel_attention", "modern_without_any_attention")


def long_names():
    """Return comparisons whose names begin alike, with one of each verdict."""
    of = dict(zip(LONG, (UNSURE, NEUTRAL, LOSER), strict=True))
    return [comparison(values, name=name, flags=(f"--{name}",)) for name, values in of.items()]


def table_of(lines):
    """Return the table's lines, the header first."""
    every = text(lines).splitlines()
    first = next(at for at, line in enumerate(every) if line.startswith("name "))
    return every[first : first + 4]


@pytest.mark.parametrize("width", [32, 40, 48, 60, 72, 80, 100, 120, 160])
def test_a_table_of_long_names_fits_and_is_aligned(width):
    """A name is one cell of one row at any width: columns begin and end where the header's do, and no two names look alike."""
    header, *rows = table_of(summary_lines(long_names(), width=width))
    verdicts = [re.search(r"WINNER|NEUTRAL|LOSER", row) for row in rows]
    assert [found and found.start() for found in verdicts] == [header.index("verdict")] * 3
    assert len({row[: header.index("verdict")] for row in rows}) == 3
    assert max(map(len, [header, *rows])) <= width
    for column in ("sigma", "wall %"):
        end = header.find(column) + len(column)
        assert column not in header or all(row[end - 1].isdigit() and row[end : end + 1] in ("", " ") for row in rows)


def test_a_long_name_is_cut_out_of_its_middle_at_80_columns():
    """The baseline's mean moves above the table before a name is cut, and all other figures stay."""
    lines = summary_lines(long_names(), width=80)
    assert "the baseline's val_loss: 2.0000 +- 0.0158" in text(lines).splitlines()
    assert table_of(lines) == [
        "name                      verdict   experiment  sigma       p  n  wall %  Holm p",
        "modern_with..allel_block  WINNER   1.960+-.036   +2.5   .093?  3    +5.0     .37",
        "modern_with..l_attention  NEUTRAL  1.992+-.016   +0.5  .00054  5    +5.0   .0043",
        "modern_with..y_attention  LOSER    2.060+-.010   -3.8  .00028  3    +5.0   .0034",
    ]


def test_columns_give_way_to_names_in_a_fixed_order():
    """What says least goes first; verdict, sigma and p stay at any width."""
    headers = [table_of(summary_lines(long_names(), width=width))[0].split() for width in (160, 80, 72, 60, 48)]
    assert headers == [
        ["name", "verdict", "baseline", "experiment", "sigma", "p", "n", "wall", "%", "Holm", "p"],
        ["name", "verdict", "experiment", "sigma", "p", "n", "wall", "%", "Holm", "p"],
        ["name", "verdict", "experiment", "sigma", "p", "wall", "%", "Holm", "p"],
        ["name", "verdict", "experiment", "sigma", "p"],
        ["name", "verdict", "sigma", "p"],
    ]


def test_names_that_no_cut_tells_apart_are_told_below_the_table():
    """Each has a number, and the number its name."""
    names = [f"{'a' * 20}-{middle}-{'z' * 20}" for middle in "xy"]
    found = [comparison(name=name, flags=(f"--{name}",)) for name in names]
    lines = text(summary_lines(found, width=40)).splitlines()
    for number, name in enumerate(names, 1):
        label = f"aaaaaaaaaaaa..#{number}"
        assert sum(line.startswith(f"{label}  WINNER") for line in lines) == 1
        assert f"{label} is {name}" in lines


def test_the_order_of_arrival_does_not_matter():
    """Under xdist, workers finish in any order."""
    assert summary_lines(three()[::-1]) == summary_lines(three())


def test_a_session_without_experiments_is_silent():
    """Nothing is printed where there is nothing to say."""
    assert summary_lines([]) == []
    assert summary_lines([], Written()) == []


def test_the_verdict_is_a_word_and_a_colour():
    """Colour repeats what the word says."""
    markup = {line.split()[1]: colour for colour, line in summary_lines(three()) if line.split()[1].isupper()}
    assert markup == {"WINNER": {"green": True}, "NEUTRAL": {}, "LOSER": {"red": True}}


def test_a_winner_that_is_not_confirmed_stands_out():
    """A question mark in the row and a remark below it."""
    lines = text(summary_lines([comparison(UNSURE)]))
    assert ".093?" in lines
    assert "rope: WINNER, but not confirmed, p = .093 (level .0096)" in lines


def test_the_protocols_verdict_is_told_where_it_differs():
    """With rule tested, two_sigma's verdict stands beside it."""
    values = (1.92, 1.97, 1.99, 1.99, 1.98)
    assert "rope: NEUTRAL by rule tested, WINNER by the protocol's two_sigma" in text(
        summary_lines([comparison(values, rule="tested")])
    )


def test_a_diverged_seed_has_no_p_and_is_explained():
    """A dash where there is no test; the family still counts it."""
    lines = text(summary_lines([comparison((1.9, None, 1.92), name="nan", flags=("--nan",)), comparison()], width=120))
    assert "nan   LOSER    2.0000 +- 0.0158  1.9100 +- 0.0141   +5.7       -  3    +5.0       -" in lines
    assert "nan: 1 of 3 seeds diverged (137)" in lines
    # q = 4 * .0000354, times 2 for the family of two
    assert ".00028" in lines


def test_a_flag_without_effect_is_no_verdict():
    """Its row claims nothing, and it is not counted among the judged."""
    inert = comparison((2.00, 2.01, 2.02), name="noop", flags=("--noop",), points=0)
    lines = text(summary_lines([inert, comparison(points=0)], width=120))
    row = next(line for line in lines.splitlines() if line.startswith("noop"))
    assert row.split()[1:3] == ["no", "effect"]
    assert row.split()[3:6] == row.split()[6:9]
    assert row.split()[9:11] == ["0.0", "-"]
    assert "this baseline has judged 1 experiment:" in lines


def test_walls_that_cannot_be_compared_are_marked():
    """The percentage has a star, the star its reason."""
    lines = text(summary_lines([comparison(provenance={"cpu": "Other CPU"})]))
    assert "+5.0*" in lines
    assert "* rope: wall time is not comparable, cpu differs (Toy CPU and Other CPU)" in lines


def test_each_baseline_has_its_block():
    """Experiments on a control stand apart from those on the plain baseline."""
    on_rope = comparison(NEUTRAL, name="base", flags=("--rope_base=500",), control=Variant(("--rope",)))
    lines = text(summary_lines([on_rope, comparison()], width=120))
    assert lines.count("this baseline has judged 1 experiment:") == 2
    assert lines.index("baseline: no flags") < lines.index("baseline: --rope,")


def test_earlier_reports_count_for_the_same_baseline_only():
    """What the baseline judged in other sessions is part of the chance of a false winner, not of Holm's family."""
    earlier = [comparison(LOSER, name="old", flags=("--old",)), comparison(metric="accuracy"), comparison()]
    lines = text(summary_lines([comparison()], earlier=earlier))
    assert "this baseline has judged 2 experiments: about 0.062 false winners to expect" in lines
    assert "old" not in lines


def test_another_scale_is_marked():
    """A smoke run is no finding."""
    lines = text(summary_lines([comparison(budget=Budget(20_000))]))
    assert "val_loss at 20K tokens" in lines
    assert "not the standard scale (1M tokens)" in lines


def test_where_the_reports_lie():
    """One report is named, several by their folder; notices are repeated."""
    one = Written({"rope": Path("docs/research/experiment_rope_1M.md")}, ["disk full"])
    assert text(summary_lines([comparison()], one)).endswith(
        "note: disk full\nreport: docs/research/experiment_rope_1M.md"
    )
    two = Written({"a": Path("out/a.md"), "b": Path("out/b.md")})
    assert text(summary_lines([comparison()], two)).endswith("2 reports in out")


def test_the_ledger_is_the_last_line():
    """Where something was judged; what else the baseline was asked is counted."""
    anchored = Written(anchor=["ledger: 2 lines, head abc"])
    assert text(summary_lines([comparison()], anchored)).endswith("ledger: 2 lines, head abc")
    assert text(summary_lines([], anchored)) == ""
    lines = text(summary_lines([comparison()], others=lambda *_: [("two_sigma", 2.0)]))
    assert "this baseline has judged 2 experiments: about 0.062 false winners to expect" in lines


def test_a_finished_run_is_one_line():
    """Name, seed, value, time, runs done and time left."""
    result = run(Variant(("--rope",)), 137, 1.70612)
    line = run_line(run_names([result.spec.variant])["rope"], result, "val_loss", Outlook())
    assert line == "rope         seed 137    val_loss 1.7061   31.5 s   3/8 runs, about 2 min left"


def test_the_lines_of_a_session_are_aligned():
    """As wide as the longest name of what is declared, within bounds."""
    arms = [Variant(), Variant(("--schedule=constant",)), Variant(("--" + "very_long_" * 4,))]
    widths = [set(map(len, run_names(arms[: n + 1]).values())) for n in range(3)]
    assert widths == [{12}, {17}, {22}]


def test_arms_that_differ_at_the_end_have_names_that_differ():
    """The line of a run says which arm it belongs to, however long its flags are."""
    arms = [Variant((f"--parallel_block_with_attention_{end}",)) for end in ("first", "last")]
    assert list(run_names(arms).values()) == [
        "baseline              ",
        "parallel_b..tion_first",
        "parallel_b..ntion_last",
    ]


def test_a_range_of_runs_left():
    """Seeds 512 and 1024 are trained only if needed."""
    line = run_line("baseline", run(Variant(), 42, 1.9), "val_loss", Outlook(left=(3, 5), seconds_a_run=30.0))
    assert line.endswith("3/6 to 8 runs, about 2 min left")
    assert line.startswith("baseline seed 42 ")


@pytest.mark.parametrize(
    ("outlook", "end"), [(Outlook(left=(0, 0)), "3/3 runs"), (Outlook(seconds_a_run=None), "3/8 runs")]
)
def test_no_time_left_is_shown_where_there_is_none(outlook, end):
    """The last run, and a first one whose time is unknown."""
    assert run_line("baseline", run(Variant(), 42, 1.9), "val_loss", outlook).endswith(end)


def test_a_refreshed_run_shows_the_record_it_replaces():
    """The old value stands at the end; a diverged one says so."""
    line = run_line("baseline", run(Variant(), 42, None), "val_loss", None, run(Variant(), 42, 1.9))
    assert "val_loss diverged" in line
    assert line.endswith("(was 1.9000)")


def test_the_live_line():
    """While a run trains: seed, step, share of the budget, value."""
    spec = RunSpec(Variant(("--rope",)), 42, Budget(1000))
    assert (
        live_line("rope   ", spec, CurvePoint(5, {"tokens": 250.0, "val_loss": 3.5}))
        == "rope  seed 42  step 5  25 %  val_loss 3.5000"
    )
    assert live_line("rope", spec, CurvePoint(5, {"train_loss": 3.5})) == "rope  seed 42  step 5"


def test_a_failed_assertion_shows_verdict_numbers_and_seeds():
    """The first line is the verdict with its numbers; constants are left out of the table."""
    lines = assertion_lines(comparison(UNSURE))
    assert lines[0] == "WINNER rope: val_loss 2.0000 -> 1.9600, improved by 2.53 baseline sigmas (bar: 2)"
    assert lines[1] == "not confirmed, p = .093"
    row = "val_loss 2.0000 +- 0.0158 1.9600 +- 0.0361 -2.0 % +2.5 -1.44 -0.1192 to +0.0392"
    assert " ".join(lines[4].split()) == row
    assert lines[-1] == "seed 256   2.0200 -> 1.9900  -0.0300"
    assert not any(line.startswith("params") for line in lines)


def test_hostile_text_cannot_reach_the_terminal():
    """Names, flags and conditions come out as visible codes."""
    hostile = comparison(name=HOSTILE, flags=(f"--{HOSTILE}",), provenance={"cpu": HOSTILE})
    every = text(summary_lines([hostile])) + "\n".join(assertion_lines(hostile))
    arm = Variant((f"--{HOSTILE}",))
    every += run_line(run_names([arm])[arm.slug], run(arm, 42, 1.0), HOSTILE)
    assert every.replace("\n", "").isprintable()


def test_a_speedup_is_said_below_the_table():
    """And whether the change is better only by computing more."""
    found = replace(comparison(), speedup=Speedup(0.8, 0.7, 0.9, better=True))
    lines = [text for _, text in summary_lines([found])]
    assert "rope: 0.80 times as fast to the same loss (95 % interval 0.70 to 0.90)" in lines
    assert "rope: better at equal tokens only by computing more: with that much compute the control is better" in lines


def test_what_was_stopped_says_so_below_the_table():
    """One seed has no spread, and its row no p."""
    stopped = comparison((2.02,), futility="seeds")
    lines = text(summary_lines([stopped])).splitlines()
    row = next(line for line in lines if line.startswith("rope "))
    assert re.match(r"rope +NEUTRAL .* 2\.0200 +-1\.3 +- +1 ", row)
    assert f"rope: {stopped.reason}" in lines


def test_what_the_protocol_has_not_decided_is_told():
    """Where another rule needs fewer seeds."""
    found = comparison((1.970, 1.9705, 1.971), rule="tested", min_effect=1.0)
    assert (
        "rope: WINNER by rule tested, undecided by the protocol's two_sigma"
        in text(summary_lines([found])).splitlines()
    )
