"""Numbers, foreign text, tables and file names as they appear in every kind of report.

One format a kind of number, one escape a kind of output, one layout a kind of table.
"""

from __future__ import annotations

import math
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from pytest_exprun.terms.errors import visible
from pytest_exprun.terms.model import Budget, Experiment, Variant
from pytest_exprun.terms.outcome import Summary
from pytest_exprun.verdict import stats

INDEX = "README.md"
"""The list of all experiments, under the name that code hosts show for a folder."""
DASH = "-"
NAME = "name"
"""The column of a text table whose cells may be cut."""
_GAP = 2
_CUT, _NUMBER = "..", "..#"
_LEAST_NAME = 4
_LEAST_PLACES = 4
_MOST_PLACES = 12
_SMALLEST_P = 1e-4
_NUMERIC = re.compile(r"[-+<.]?[.\d]|-$|diverged$|not run$")


def plain(text: object) -> str:
    r"""Return foreign text as one inert line for a terminal, for XML, and as the first step for anything else.

    Line breaks become spaces; every other character that does not print (escapes, NUL, bidirectional and zero-width controls, lone
    surrogates) becomes a visible `\x1b`-like code, so neither a terminal nor an XML parser ever sees it.
    """
    return visible(" ".join(str(text).split()))


def shell_word(token: str) -> str:
    """Quote one argument for a shell; one with characters that do not print as `$'..'`, byte by byte, so that it stays exact."""
    if token.isprintable():
        return shlex.quote(token)
    shown = ("\\" + char if char in "\\'" else char if char.isprintable() else _bytes(char) for char in token)
    return f"$'{''.join(shown)}'"


def _bytes(char: str) -> str:
    """Return a character as its bytes on a command line."""
    error = "surrogateescape" if "\udc80" <= char <= "\udcff" else "surrogatepass"
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", error))


def markdown(text: object) -> str:
    r"""Return foreign text for a Markdown paragraph or table cell, in which it can start no markup, HTML, link or row.

    Underscores inside a word are left alone: `val_loss` is no emphasis, and reports are read as plain text too.
    """
    return _escaped(plain(text))


@lru_cache(maxsize=1024)
def _escaped(line: str) -> str:
    """Escape one line; names of metrics and machines come again in every report."""
    line = re.sub(r"([\\`*\[\]|~$])|(?<![^\W_])_|_(?![^\W_])", lambda found: "\\" + found[0], line)
    line = re.sub(r"&(?=[#\w])", "&amp;", line)
    line = re.sub(r"<(?!\s)", "&lt;", line)
    # Bare addresses become links in GitHub's dialect, and a leading list, heading or rule mark would start a block,
    # as trailing hashes would end a heading.
    line = re.sub(r"(?i)\b(https?|ftp)://", r"\1&#58;//", line)
    line = re.sub(r"(?i)\bwww\.", r"www&#46;", line)
    line = re.sub(r"(?:^|(?<=\s))#+$", r"\\\g<0>", line.replace("@", "&#64;"))
    return re.sub(r"^(\d*)([-+=#.)](?![^\s#=-])|>)", r"\1\\\2", line)


def code(text: object, *, cell: bool = False) -> str:
    """Return foreign text as a Markdown code span; in a table cell the pipe needs an escape of its own."""
    content = visible(str(text)) or " "
    fence = "`" * (max((len(run) for run in re.findall("`+", content)), default=0) + 1)
    pad = " " if content[0] in "` " or content[-1] in "` " else ""
    span = f"{fence}{pad}{content}{pad}{fence}"
    return span.replace("|", r"\|") if cell else span


def code_block(lines: Iterable[str]) -> list[str]:
    """Return lines as a fenced block whose fence no line can close."""
    content = [visible(line) for line in lines]
    longest = max((len(run) for line in content for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}sh", *content, fence]


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a Markdown table, columns of numbers right-aligned. Cells must be escaped already."""
    body = list(rows)
    marks = ["---:" if body and all(_NUMERIC.match(row[at]) for row in body) else "---" for at in range(len(header))]
    return ["| " + " | ".join(cells) + " |" for cells in (header, marks, *body)]


def places(summaries: Iterable[Summary]) -> int:
    """Return the decimals that show four of the value's digits and two of the smallest spread's, at least for numbers near 1."""
    needed = 0
    for summary in summaries:
        largest = max(abs(summary.min), abs(summary.max))
        needed = max(needed, _decimals(largest, _LEAST_PLACES + (largest >= 1)))
        needed = max(needed, _decimals(summary.std or 0.0, 2))
    return min(needed, _MOST_PLACES)


def _decimals(value: float, digits: int) -> int:
    """Return the decimals after which `value` shows that many significant digits."""
    return max(0, digits - 1 - math.floor(math.log10(value))) if value > 0 and math.isfinite(value) else 0


def number(value: float | None, decimals: int) -> str:
    """Return a fixed-point number, very large ones with an exponent; undefined and not finite is a dash."""
    if value is None or not math.isfinite(value):
        return DASH
    text = f"{value:.{decimals}f}" if abs(value) < 1e12 else f"{value:.4e}"  # noqa: PLR2004  # past this, digits mislead
    return text.removeprefix("-") if float(text) == 0 else text


def signed(value: float | None, decimals: int) -> str:
    """Return a number with its sign, zero without one."""
    text = number(value, decimals)
    return f"+{text}" if value is not None and value > 0 and text != DASH and float(text) > 0 else text


def cohens_d(d: float) -> str:
    """Return an effect size to two decimals, or as many more as tell which of the protocol's words it has: .4996 must not read as .50."""
    shown = (signed(d, digits) for digits in range(2, 17))
    return next((text for text in shown if stats.effect_class(float(text)) == stats.effect_class(d)), signed(d, 17))


def percent(value: float | None) -> str:
    """Return a change such as `+4.1 %`."""
    text = signed(value, 1 if value is None or abs(value) >= 1 else 2)
    return text if text == DASH else f"{text} %"


def p_value(p: float | None, bar: float | None = None) -> str:
    """Return p to two digits without the leading zero (`.0042`); as many more as show on which side of `bar` it lies."""
    if p is None or not math.isfinite(p):
        return DASH
    if p < _SMALLEST_P:
        return "<.0001"
    styles = (".2f" if p >= 0.1 else ".2g", *(f".{digits}g" for digits in range(3, 18)))  # noqa: PLR2004  # .30, not .3
    shown = (format(p, style) for style in styles)
    text = next(text for text in shown if bar is None or (float(text) <= bar) == (p <= bar))
    return "1" if float(text) == 1 else text.removeprefix("0")


def level(alpha: float) -> str:
    """Return a significance level as it was set, without the leading zero: `.0196`."""
    return f"{alpha:g}".removeprefix("0")


def p_sentence(p: float | None, bar: float | None = None) -> str:
    """Return `p = .0042`, `p < .0001`, or that there is none."""
    text = p_value(p, bar)
    if text == DASH:
        return "no p"
    return f"p < {text[1:]}" if text.startswith("<") else f"p = {text}"


def mean_and_spread(summary: Summary | None, decimals: int, sign: str = "±") -> str:
    """Return `1.9260 ± 0.0170`; a single seed has no spread."""
    if summary is None or summary.std is None:
        return DASH if summary is None else number(summary.mean, decimals)
    return f"{number(summary.mean, decimals)} {sign} {number(summary.std, decimals)}"


def duration(seconds: float | None) -> str:
    """Return `34.1 s`, `12 min 5 s` or `3 h 20 min`."""
    if seconds is None or not math.isfinite(seconds) or seconds < 0:
        return DASH
    if seconds < 100:  # noqa: PLR2004  # a minute and a half reads best in seconds
        return f"{seconds:.1f} s" if seconds >= 1 or seconds == 0 else f"{seconds:.3f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"  # noqa: PLR2004


def experiment_stem(declaration: Experiment) -> str:
    """Return the file name of an experiment's report without its ending: `experiment_rope_1M`."""
    return f"experiment_{declaration.name}_{declaration.budget.suffix}"


def baseline_stem(control: Variant, budget: Budget) -> str:
    """Return the file name of a baseline's report without its ending: `baseline_variance_1M`, `baseline_variance_rope_1M`."""
    arm = f"{control.label}_" if control.identity else ""
    return f"baseline_variance_{arm}{budget.suffix}"


# Tables of text, for a terminal: made to fit its width by cutting names and leaving columns out.


Cells = Mapping[str, str]
"""A row: column to cell."""


def aligned(rows: Sequence[Sequence[str]], texts: int = 1) -> list[str]:
    """Join the cells of each row: the first `texts` columns to the left, the others, numbers, to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        (" " * _GAP)
        .join(
            cell.ljust(size) if at < texts else cell.rjust(size)
            for at, (cell, size) in enumerate(zip(row, widths, strict=True))
        )
        .rstrip()
        for row in rows
    ]


def room_for_names(rows: Sequence[Cells], width: int) -> int:
    """Return how much of a width the other columns leave for a name."""
    others = [max(len(row[column]) for row in rows) for column in rows[0] if column != NAME]
    return width - sum(others) - _GAP * len(others)


def fits(rows: Sequence[Cells], width: int) -> bool:
    """Whether no row is wider than that, every name in full."""
    return max(len(row[NAME]) for row in rows) <= room_for_names(rows, width)


def narrowed(rows: Sequence[Cells], width: int, giving_way: Iterable[tuple[str, int]]) -> list[Cells]:
    """Return rows that fit a width: with fewer columns, and with names cut where they are still too long.

    `giving_way` are columns to leave out, first to last, each only while a name would get less than so much room.
    """
    longest, found = max(len(row[NAME]) for row in rows), list(rows)
    for column, least in giving_way:
        if room_for_names(found, width) < min(longest, least):
            found = [{name: cell for name, cell in row.items() if name != column} for row in found]
    names = shortened((row[NAME] for row in found), room_for_names(found, width))
    return [{**row, NAME: names[row[NAME]]} for row in found]


def shortened(names: Iterable[str], width: int) -> dict[str, str]:
    """Return each name as it fits a width, a long one cut out of its middle: `modern_with..parallel_block`. Different names stay different.

    All are cut at one place, the nearest to the middle that keeps them apart; where no place does, those that look alike get a number.
    """
    every = list(dict.fromkeys(names))
    kept = max(width, _LEAST_NAME) - len(_CUT)
    for head in sorted(range(kept + 1), key=lambda head: abs(2 * head - kept)):
        cut = {name: _without_middle(name, head, kept - head) for name in every}
        if len(set(cut.values())) == len(every):
            return cut
    tail = kept // 2
    return _numbered({name: _without_middle(name, kept - tail, tail) for name in every}, kept + len(_CUT))


def is_numbered(name: str) -> bool:
    """Whether a name was cut so short that it says less than which one it is."""
    return _NUMBER in name


def _without_middle(name: str, head: int, tail: int) -> str:
    return name if len(name) <= head + len(_CUT) + tail else name[:head] + _CUT + name[len(name) - tail :]


def _numbered(cut: Mapping[str, str], width: int) -> dict[str, str]:
    """Number the names that look alike, in their order."""
    count = Counter(cut.values())
    ends = {name: f"{_NUMBER}{number}" for number, name in enumerate((one for one in cut if count[cut[one]] > 1), 1)}
    return {**cut, **{name: name[: max(0, width - len(end))] + end for name, end in ends.items()}}
