"""Thirty ideas on the reference trainer, a third of them without effect by construction, as flags and as edits.

They were written down before any of them was trained. What was known of this setting then is the loss of some seeds of the control.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
TRAINER, OPTIMIZER, DATA = "train_llm.py", "experiments/llm/optim.py", "experiments/llm/data.py"
SOURCES = (
    TRAINER,
    *(f"experiments/llm/{name}.py" for name in ("__init__", "data", "functional", "fused", "optim", "proof")),
)
NULL, HELP, HARM = "without effect", "meant to help", "meant to harm"


class DoesNotApplyError(Exception):
    """Two edits touch the same text."""


@dataclass(frozen=True)
class Edit:
    """A change of one file: every `old` becomes `new`."""

    path: str
    old: str
    new: str


@dataclass(frozen=True)
class Idea:
    """A change on the control: flags, or edits.

    Attributes:
        kind: without effect by construction, meant to help, or meant to harm.
        what: one line for people.
    """

    name: str
    kind: str
    what: str
    flags: tuple[str, ...] = ()
    edits: tuple[Edit, ...] = field(default=(), repr=False)


def flag(kind: str, what: str, *flags: str) -> Idea:
    """Return an idea that is flags."""
    name = "-".join(flags).replace("--", "").replace("=", "-").replace("_", "-").replace(".", "")
    return Idea(name, kind, what, flags)


def diff(name: str, kind: str, what: str, *edits: tuple[str, str, str]) -> Idea:
    """Return an idea that is edits of (file, old, new)."""
    return Idea(name, kind, what, edits=tuple(Edit(*each) for each in edits))


def sources(edits: tuple[Edit, ...] = ()) -> dict[str, str]:
    """Return the trainer's files with edits made, by path.

    Raises:
        DoesNotApplyError: a text to be changed is not there (any more).
    """
    found = {path: (ROOT / path).read_text(encoding="utf-8") for path in SOURCES}
    for each in edits:
        if each.old not in found[each.path]:
            raise DoesNotApplyError(f"{each.path} has no {each.old!r}")
        found[each.path] = found[each.path].replace(each.old, each.new)
    return found


_WITHOUT_EFFECT = [
    diff("rename", NULL, "a local variable has another name", (TRAINER, "following", "next_bytes")),
    flag(NULL, "a default of the recipe, given by hand", "--grad_clip=1"),
    flag(NULL, "the plain functions for the fused ones: sums in another order", "--no_fused"),
    flag(NULL, "a bound on the logits that none comes near: other rounding", "--softcap=100000"),
    diff(
        "two-steps",
        NULL,
        "Muon's momentum as a product and a sum: other rounding",
        (
            OPTIMIZER,
            "self.momentum.lerp_(self.gradient, 1 - momentum)",
            "self.momentum.mul_(momentum).add_(self.gradient, alpha=1 - momentum)",
        ),
    ),
    diff(
        "colon", NULL, "streams are derived from seed:name, not seed/name", (DATA, "{seed}/{stream}", "{seed}:{stream}")
    ),
    diff("digits", NULL, "streams are derived from other digits of the hash", (DATA, "digest[:6]", "digest[6:12]")),
    diff("order", NULL, "the stream of the data has another name", (DATA, 'seed, "data"', 'seed, "order"')),
    diff(
        "stack",
        NULL,
        "the list of blocks has another name, and so do its weights' streams",
        (TRAINER, "self.blocks", "self.stack"),
    ),
    diff(
        "one-draw-more",
        NULL,
        "a number is drawn and not used before the order begins",
        (DATA, "    position = int(", "    torch.randint(windows, (), generator=generator)\n    position = int("),
    ),
]
_MEANT_TO_HELP = [
    flag(HELP, "an embedding of the token added to the values", "--value_embed"),
    flag(HELP, "a bound on the logits", "--softcap=15"),
    flag(HELP, "an output layer of its own", "--no_weight_tying"),
    flag(HELP, "a fifth more of each learning rate", "--lr_scale=1.2"),
    flag(HELP, "half as much again for the matrices", "--muon_lr=0.03"),
    flag(HELP, "shorter rotary wavelengths: the context is 64", "--rope_base=1000"),
    flag(HELP, "a shorter warm-up", "--warmup=0.04"),
    flag(HELP, "weights averaged over the last twentieth", "--ema=0.05"),
    flag(HELP, "a trapezoid in place of the straight line", "--schedule=trapezoid"),
    diff(
        "momentum",
        HELP,
        "a shorter memory of Muon, 0.9: the run is short",
        (OPTIMIZER, "momentum: float = 0.95", "momentum: float = 0.9"),
    ),
    diff(
        "beta2",
        HELP,
        "a longer memory of squares in Adam, 0.98",
        (OPTIMIZER, "beta2: float = 0.95", "beta2: float = 0.98"),
    ),
    diff(
        "wider",
        HELP,
        "matrices start twice as wide",
        (TRAINER, "else 0.5 * parameter.shape", "else 1.0 * parameter.shape"),
    ),
    diff("smaller", HELP, "embeddings start at half the width", (TRAINER, "else 0.02\n", "else 0.01\n")),
]
_MEANT_TO_HARM = [
    flag(HARM, "dropout in a run of one pass over the data", "--dropout=0.1"),
    flag(HARM, "half of each learning rate", "--lr_scale=0.5"),
    flag(HARM, "no norm before the output layer", "--no_final_norm"),
    flag(HARM, "keys from their own position only", "--no_key_shift"),
    flag(HARM, "learned gains again: LayerNorm", "--no_rmsnorm"),
    diff(
        "forgetful",
        HARM,
        "a short memory of squares in Adam, 0.8",
        (OPTIMIZER, "beta2: float = 0.95", "beta2: float = 0.8"),
    ),
    diff(
        "not-zero",
        HARM,
        "projections start at random, not at zero",
        (TRAINER, "std = 0.0 if kind in", "std = 0.1 if kind in"),
    ),
]

IDEAS = tuple(random.Random(13).sample(written := [*_WITHOUT_EFFECT, *_MEANT_TO_HELP, *_MEANT_TO_HARM], len(written)))
"""In the order in which they are tried."""
