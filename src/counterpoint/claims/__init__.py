"""The papers' claims as experiments: method, baseline that differs in one thing, verdict."""

from counterpoint.claims._claim import Claim, Pair, Part, exact
from counterpoint.claims._run import find, names, run, try_out
from counterpoint.claims._verdict import INTERVAL, RULE, Verdict, combine, effect, judge

__all__ = [
    "INTERVAL",
    "RULE",
    "Claim",
    "Pair",
    "Part",
    "Verdict",
    "combine",
    "effect",
    "exact",
    "find",
    "judge",
    "names",
    "run",
    "try_out",
]
