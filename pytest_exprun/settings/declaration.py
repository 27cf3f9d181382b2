"""From a marker's arguments to an `Experiment`. Every misuse is one line that says what is allowed. Knows no pytest."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from string import Formatter
from typing import Any

from pytest_exprun.settings.settings import CONFIRMED_GATE, GATES, GATES_OF_HARM, RULES, Settings, why_not_stopped
from pytest_exprun.terms.errors import DeclarationError, RefusedError, meant
from pytest_exprun.terms.model import FIRST_LOOK, SEED_BY_SEED, SEEDS, Diff, Experiment, Tree, Variant, sets, slugify
from pytest_exprun.terms.secrets import conceal, concealed

STATES = ("ref", "patch", "against")
"""Keywords that put an arm on another state of the code."""
KEYWORDS = (
    "name",
    "baseline",
    "metric",
    "higher_is_better",
    "seeds",
    "rule",
    "min_effect",
    "futility",
    "gate",
    "confirm",
    "speedup",
    *STATES,
)
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
MAX_TOKEN = 1_000


@dataclass(frozen=True)
class Marked:
    """One marked test: the marker's arguments, the test's parameters and where it stands."""

    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    params: Mapping[str, Any] = field(default_factory=dict)
    function: str = "test"
    param_id: str = ""
    nodeid: str = ""
    doc: str = ""

    @cached_property
    def states(self) -> dict[str, str]:
        """What `ref`, `patch` and `against` name, with the test's parameters filled in.

        Raises:
            DeclarationError: none of them is a text, or two say where the experiment's files come from.
        """
        given = {name: self.kwargs[name] for name in STATES if self.kwargs.get(name) is not None}
        if "ref" in given and "patch" in given:
            raise self.error("ref and patch both say where the experiment's files come from: leave one out")
        for name, value in given.items():
            if not isinstance(value, str) or not value.strip():
                what = "a file with a diff" if name == "patch" else "a branch, a tag or a commit"
                raise self.error(f"{name}={value!r}: allowed is {what}")
        return {name: _token(self, value, f"{name}={value!r}") for name, value in given.items()}

    def error(self, problem: str) -> DeclarationError:
        """Return a misuse as one line."""
        shown = ", ".join([*map(repr, self.args), *(f"{name}={value!r}" for name, value in self.kwargs.items())])
        return DeclarationError(f"@experiment({shown:.200}) on {self.nodeid or self.function}: {problem}")


class Typed(Marked):
    """Flags that were typed, in place of a marked test."""

    def error(self, problem: str) -> DeclarationError:
        """Return a misuse as one line."""
        return DeclarationError(f"exprun run -- {shlex.join(self.args)}: {problem}")


def declare_flags(settings: Settings) -> Experiment:
    """Return the experiment of the settings' own flags.

    Raises:
        DeclarationError: any misuse of them.
    """
    flags = [each.replace("{", "{{").replace("}", "}}") for each in settings.flags]
    typed = Typed(flags, {"gate": settings.against_gate}, function=Variant(settings.flags).slug)
    return declare(typed, settings)


def declare(marked: Marked, settings: Settings) -> Experiment:
    """Return the declared experiment.

    Raises:
        DeclarationError: any misuse of the marker.
    """
    # Known from here on: arguments and parameters are repeated in what is said of them.
    concealed([each for each in (*marked.args, *_words(marked)) if isinstance(each, str)], settings.root)
    _check_keywords(marked)
    tokens = [_token(marked, token, f"flag {token!r}") for token in _flags(marked)]
    change = concealed(tokens, settings.root)
    control = _control(marked, settings)
    metric = _metric(marked, settings)
    rule, min_effect = _one_of(marked, "rule", settings.rule, tuple(RULES)), _min_effect(marked, settings)
    experiment = Experiment(
        name=_name(marked),
        variant=Variant((*control.flags, *change)),
        control=control,
        common_args=settings.args,
        metric=metric,
        directions=_directions(marked, settings, metric),
        budget=settings.budget,
        seeds=_seeds(marked, settings),
        rule=rule,
        min_effect=min_effect,
        gate=(gate := _one_of(marked, "gate", "not_loser", GATES)),
        futility=_futility(marked, settings, gate, rule, min_effect),
        baseline_seeds=settings.seeds_of_baselines,
        confirm=_boolean(marked, "confirm", default=settings.confirm == "winners") or gate == CONFIRMED_GATE,
        speedup=_boolean(marked, "speedup", default=False),
        prediction=conceal(" ".join(marked.doc.split())),
        nodeids=(conceal(marked.nodeid),) if marked.nodeid else (),
    )
    if experiment.variant.identity == control.identity and not marked.states:
        raise marked.error(f"the experiment equals its control ({control}): there is nothing to compare")
    return experiment


def declare_baseline(settings: Settings, seeds: Sequence[int], further_seeds: Sequence[int]) -> Experiment:
    """Return a declaration whose both arms are the default baseline, with the project's metric, budget and arguments.

    Raises:
        RefusedError: nobody says which direction of the metric is better.
    """
    return Experiment(
        name="aa",
        variant=settings.default_control,
        control=settings.default_control,
        common_args=settings.args,
        metric=settings.metric,
        directions=settings.directions(
            settings.metric, None, "name it in exprun_higher_is_better or exprun_lower_is_better"
        ),
        budget=settings.budget,
        seeds=tuple(further_seeds),
        rule=settings.rule,
        min_effect=settings.min_effect,
        futility=0.0 if isinstance(settings.futility, str) else settings.futility,
        baseline_seeds=tuple(seeds),
    )


def declare_diff(settings: Settings, name: str, control: Tree, tree: Tree, diff: Diff) -> Experiment:
    """Return a declaration whose two arms differ in the project's files and in nothing else.

    Raises:
        RefusedError: nobody says which direction of the metric is better.
    """
    alike = declare_baseline(settings, settings.seeds_of_baselines, SEEDS)
    flags = settings.baseline
    return replace(
        alike,
        name=slugify(conceal(name)) or "diff",
        variant=Variant(flags, tree),
        control=Variant(flags, control),
        gate=settings.against_gate,
        futility=settings.stops(settings.against_gate, settings.rule, settings.min_effect),
        confirm=settings.confirm == "winners" or settings.against_gate == CONFIRMED_GATE,
        diff=diff,
    )


def _words(marked: Marked) -> list[str]:
    """Return what else of a marker and its test may hold secrets, as words."""
    given = marked.kwargs.get("baseline", ())
    words = given.split() if isinstance(given, str) else given if isinstance(given, list | tuple) else ()
    return [*words, *(f"{name}={value}" for name, value in marked.params.items() if isinstance(value, str))]


def _check_keywords(marked: Marked) -> None:
    for keyword in marked.kwargs:
        if keyword not in KEYWORDS:
            raise marked.error(f"unknown keyword {keyword!r}; {meant(keyword, KEYWORDS)}")


def _flags(marked: Marked) -> Sequence[Any]:
    if not marked.args and marked.states:
        return ()
    if not marked.args:
        raise marked.error(
            'no flags; write the flags of the change, one token each, for instance @experiment("--rope")'
        )
    first = marked.args[0]
    if not isinstance(first, str) or not first.startswith("--"):
        fix = (
            f'; did you mean "--{first}"?'
            if isinstance(first, str) and re.fullmatch(r"-?[a-z][\w-]*(=.*)?", first)
            else ""
        )
        raise marked.error(f"flags start with --, as on the trainer's command line; found {first!r}{fix}")
    return marked.args


def _token(marked: Marked, token: Any, what: str) -> str:
    """Return one argv token with the test's parameters filled in."""
    if not isinstance(token, str):
        raise marked.error(
            f"{what} is {type(token).__name__}; each flag is one text token, for instance '--lr_scale=0.5'"
        )
    try:
        names = [name for _, name, _, _ in Formatter().parse(token) if name is not None]
        for name in names:
            if re.split(r"[.\[]", name)[0] not in marked.params:
                known = ", ".join(f"{{{name}}}" for name in marked.params) or "none"
                raise marked.error(f"{what}: the test has no parameter {{{name}}}; it has: {known}")
        text = token.format(**marked.params)
    except (ValueError, IndexError, KeyError, AttributeError) as error:
        raise marked.error(f"{what}: {error}; a literal brace is written twice") from None
    if "\0" in text or len(text) > MAX_TOKEN:
        raise marked.error(f"{what} has a NUL character or more than {MAX_TOKEN} characters")
    if sets(text):
        raise marked.error(
            f"{text.partition('=')[0]} is reserved: the plugin sets --seed, --output_dir and the budget "
            "(--train_tokens, --train_steps or --train_seconds) itself"
        )
    return text


def _control(marked: Marked, settings: Settings) -> Variant:
    """Return the control: `baseline=` as one text or a sequence of tokens, else the default baseline."""
    given = marked.kwargs.get("baseline")
    if given is None:
        return settings.default_control
    try:
        words = shlex.split(given) if isinstance(given, str) else given
    except ValueError as error:
        raise marked.error(f"baseline={given!r}: {error}") from None
    if not isinstance(words, list | tuple):
        raise marked.error(f"baseline={given!r}: the control's flags, as text or as a list of tokens")
    tokens = tuple(_token(marked, word, f"baseline flag {word!r}") for word in words)
    if tokens and not tokens[0].startswith("--"):
        raise marked.error(f"baseline={given!r}: flags start with --, as on the trainer's command line")
    return Variant(concealed(tokens, settings.root))


def _metric(marked: Marked, settings: Settings) -> str:
    metric = marked.kwargs.get("metric", settings.metric)
    if not isinstance(metric, str) or not metric:
        raise marked.error(f"metric={metric!r}: allowed is a metric's name, for instance 'val_loss'")
    return metric


def _one_of(marked: Marked, keyword: str, default: str, allowed: Sequence[str]) -> str:
    value = marked.kwargs.get(keyword, default)
    if value not in allowed:
        raise marked.error(f"{keyword}={value!r}: allowed is {', '.join(allowed)}")
    return str(value)


def _boolean(marked: Marked, keyword: str, *, default: bool) -> bool:
    given = marked.kwargs.get(keyword, default)
    if not isinstance(given, bool):
        raise marked.error(f"{keyword}={given!r}: allowed is True or False")
    return given


def _min_effect(marked: Marked, settings: Settings) -> float:
    value = marked.kwargs.get("min_effect", settings.min_effect)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise marked.error(f"min_effect={value!r}: allowed is a number of at least 0, in baseline sigmas")
    rule = marked.kwargs.get("rule", settings.rule)
    if "min_effect" in marked.kwargs and RULES[rule] is not None:
        others = " or ".join(repr(name) for name, bar in RULES.items() if bar is None)
        raise marked.error(
            f"min_effect={value!r}: rule {rule} has a fixed bar of {RULES[rule]:g}; "
            f"allowed with rule={others} only (or the ini key exprun_rule)"
        )
    return float(value)


def _futility(marked: Marked, settings: Settings, gate: str, rule: str, min_effect: float) -> float | str:
    given = marked.kwargs.get("futility")
    try:
        if given is None:
            return settings.stops(gate, rule, min_effect)
    except RefusedError as error:
        raise marked.error(str(error)) from None
    if given not in ("never", SEED_BY_SEED):
        raise marked.error(
            f"futility={given!r}: allowed is 'never' or {SEED_BY_SEED!r} (a number, for rule tested, is the ini key exprun_futility)"
        )
    if given == SEED_BY_SEED and gate in GATES_OF_HARM:
        raise marked.error(
            f"futility={given!r}: gate {gate!r} wants all seeds, as one that is stopped early proves nothing of harm"
        )
    if given == SEED_BY_SEED and (why_not := why_not_stopped(rule, min_effect)):
        raise marked.error(f"futility={why_not}")
    return 0.0 if given == "never" else SEED_BY_SEED


def _seeds(marked: Marked, settings: Settings) -> tuple[int, ...]:
    default = settings.seeds_of_baselines[: len(Experiment.seeds)]
    given = marked.kwargs.get("seeds", default)
    if (
        not isinstance(given, list | tuple)
        or any(isinstance(seed, bool) or not isinstance(seed, int) or seed < 0 for seed in given)
        or len(set(given)) != len(given)
        or len(given) < FIRST_LOOK
    ):
        raise marked.error(
            f"seeds={given!r}: allowed is a list of at least {FIRST_LOOK} different whole numbers; the first three are the first look"
        )
    return tuple(given)


def _directions(marked: Marked, settings: Settings, metric: str) -> tuple[tuple[str, bool], ...]:
    """Return metric -> whether less is better, as declared in the settings and on the marker."""
    more = marked.kwargs.get("higher_is_better")
    if more is not None and not isinstance(more, bool):
        raise marked.error(f"higher_is_better={more!r}: allowed is True or False")
    fix = "add higher_is_better=True or False (or the ini key exprun_higher_is_better)"
    try:
        return settings.directions(metric, None if more is None else not more, fix)
    except RefusedError as error:
        raise marked.error(str(error)) from None


def _name(marked: Marked) -> str:
    given = marked.kwargs.get("name")
    if given is not None:
        if not isinstance(given, str) or not NAME.fullmatch(given):
            raise marked.error(f"name={given!r}: allowed is [a-z0-9][a-z0-9._-]{{0,63}}, for instance 'rope'")
        return given
    text = marked.function.removeprefix("test_") + (f"-{marked.param_id}" if marked.param_id else "")
    return slugify(conceal(text)) or "experiment"


def apart(experiment: Experiment) -> Experiment:
    """Return a diff by a name that its tree makes its own."""
    tree = experiment.variant.tree
    return replace(experiment, name=f"{experiment.name[:56]}-{tree.id[:7]}") if tree else experiment


@dataclass
class Register:
    """The experiments of a session by name and by comparison; the first test of a comparison names it."""

    by_id: dict[str, Experiment] = field(default_factory=dict)
    _names: dict[str, str] = field(default_factory=dict)
    _controls: dict[str, Variant] = field(default_factory=dict)

    def add(self, marked: Marked, experiment: Experiment) -> Experiment:
        """Return the registered experiment for this test, with the test's own gate.

        Raises:
            DeclarationError: the name, or the control's label, belongs to another comparison already.
        """
        known = self.by_id.get(experiment.comparison_id)
        if known is not None:
            nodeids = tuple(dict.fromkeys([*known.nodeids, *experiment.nodeids]))
            self.by_id[experiment.comparison_id] = replace(known, nodeids=nodeids)
            return replace(experiment, name=known.name, prediction=known.prediction, nodeids=nodeids)
        taken = self._names.get(experiment.name)
        if taken is not None:
            other = self.by_id[taken]
            raise marked.error(
                f"the name {experiment.name!r} belongs to another comparison already ({other.nodeids[0]}: {other.variant} against "
                f"{other.control}); rename the test or give name='...'"
            )
        known_as = self._controls.setdefault(experiment.control.label, experiment.control)
        if known_as.identity != experiment.control.identity:
            raise marked.error(
                f"the controls '{known_as}' and '{experiment.control}' would share one report name; spell them apart"
            )
        self._names[experiment.name] = experiment.comparison_id
        self.by_id[experiment.comparison_id] = experiment
        return experiment

    def adopt(self, experiment: Experiment) -> Experiment:
        """Take in what no test declares; return it, by a name of its own where a test has that name."""
        if self._names.get(experiment.name, experiment.comparison_id) != experiment.comparison_id:
            experiment = apart(experiment)
        self.by_id[experiment.comparison_id] = experiment
        return experiment
