"""Preference losses as statements of logic about a model, and statements as losses.

A prediction "the model deems y a valid answer to x" is a proposition whose probability is the
model's ``P(y | x)``; propositions are independent. A structure says in which truth assignments a
preference is met (check), missed (cross), counted both ways, or does not count; its loss is
``f(log WMC(F+) - log WMC(F-))``, where WMC sums the probabilities of the assignments that satisfy a
formula. `decompile` reads a loss as a structure, `compile_loss` makes the loss of a structure; one
undoes the other.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import torch
from torch import Tensor

from counterpoint.engine.checks import check_positive
from counterpoint.errors import SettingError, unknown_name
from counterpoint.objectives import formulas
from counterpoint.objectives.log_probabilities import check_log_probabilities, log_one_minus
from counterpoint.objectives.pairwise import Form, pairwise_loss

RATIOS: dict[str, str] = {
    "CE": "w / (1-w)",
    "CEUnl": "w (1-l) / (w l + (1-w))",
    "CPO": "w / l",
    "ORPO": "w (1-l) / (l (1-w))",
    "unCPO": "(l w + (1-l)) / (l (1-w))",
    "cCPO": "w / (l (1-w))",
    "cfUnl": "(1-l) / (l (1-w))",
    "qfUnl": "(1-l) / (1-w)",
    "fUnl": "(1-l) / l",
    "cUNL": "w (1-l) / l",
    "l20": "(1-l) / (w l + (1-w))",
    "sCE": "w / (w l + (1-w))",
    "DPO": "w rl / (l rw)",
    "ORPO-ref": "w rl (1-l) / (l rw (1-w))",
    "SimPO": "w ml / (l mw)",
    "R-DPO": "w rl c / (l rw)",
    "DPOP": "w w2 rl / (l rw rw2)",
}
"""``rho_t / rho_b`` of the losses of the literature and of the paper, by name.

w, l: winner and loser under the model; rw, rl: under the reference model; mw, ml: under SimPO's
imagined one, ``log P(mw) / P(ml) = gamma``; c: a constant (R-DPO, ODPO); w2, rw2: copies of w
and rw with the same probability, because squares are not sums of assignments.
"""

SAME_AS = {"IPO": "DPO", "SliC": "CPO", "RRHF": "CPO", "ODPO": "R-DPO"}
"""Losses that differ only in ``f`` or in what stands for the probability."""

PLAIN = tuple(RATIOS)[:12]
"""The losses of winner and loser alone, which form the paper's lattice."""

Mark = Literal["check", "cross", "both", "blank"]
_MARKS: tuple[Mark, ...] = ("blank", "cross", "check", "both")


@dataclass(frozen=True)
class Structure:
    """A preference structure: the truth assignments of its positive and negative form.

    Attributes:
        names: the propositions; the first is the first letter of a row such as ``"TF"``.
        positive: set of assignments of ``F+ = (P or P_A) and P_C``, as `formulas` numbers them.
        negative: set of assignments of ``F- = (not P or P_A) and P_C``.

    Source: Richardson et al., "Understanding the Logic of Direct Preference Alignment through
    Logic", ICML 2025, arXiv 2412.17696.
    """

    names: tuple[str, ...]
    positive: int
    negative: int

    @staticmethod
    def of(
        core: str,
        constraint: str = "true",
        additive: str = "false",
        names: Sequence[str] = ("w", "l"),
    ) -> Structure:
        """The structure of a core formula P, a conditioning constraint P_C and an additive P_A.

        Example: ``Structure.of("l -> w", "w or l", "w and l")`` is CPO.
        """
        p, c, a = (formulas.parse(text, names) for text in (core, constraint, additive))
        flipped = formulas.everything(len(names)) & ~p
        return Structure(tuple(names), (p | a) & c, (flipped | a) & c)

    @staticmethod
    def from_rows(
        check: Iterable[str], cross: Iterable[str], names: Sequence[str] = ("w", "l")
    ) -> Structure:
        """The structure with these rows in F+ and in F-, such as ``["TT", "TF"], ["TT", "FT"]``."""
        return Structure(tuple(names), _from_rows(check, names), _from_rows(cross, names))

    @property
    def check_rows(self) -> list[str]:
        """Rows of F+, in the order of a truth table that begins with all true."""
        return formulas.row_names(self.positive, len(self.names))

    @property
    def cross_rows(self) -> list[str]:
        """Rows of F-."""
        return formulas.row_names(self.negative, len(self.names))

    @property
    def core(self) -> str:
        """P as a short formula, ``F- -> F+``; any P would do that agrees where one form holds."""
        whole = formulas.everything(len(self.names))
        return formulas.write((whole & ~self.negative) | self.positive, self.names)

    @property
    def constraint(self) -> str:
        """P_C, ``F+ or F-``: where the preference is judged at all."""
        return formulas.write(self.positive | self.negative, self.names)

    @property
    def additive(self) -> str:
        """P_A, ``F+ and F-``: what counts both ways."""
        return formulas.write(self.positive & self.negative, self.names)

    @property
    def ratio(self) -> str:
        """``WMC(F+) / WMC(F-)`` as `decompile` reads it: sums of products that exclude each other.

        Raises:
            SettingError: a degenerate structure.
        """
        self._check_both_forms()
        top, bottom = (_sum(rows, self.names) for rows in (self.positive, self.negative))
        top = f"({top})" if "+" in top else top
        return f"{top} / ({bottom})" if " " in bottom else f"{top} / {bottom}"

    @property
    def degenerate(self) -> bool:
        """Whether a form has no assignment at all, so that the loss would be infinite."""
        return not (self.positive and self.negative)

    def mark(self, row: str) -> Mark:
        """``"check"``, ``"cross"``, ``"both"`` or ``"blank"``, as the truth table shows the row."""
        bit = _from_rows([row], self.names)
        return _MARKS[2 * bool(self.positive & bit) + bool(self.negative & bit)]

    def with_mark(self, row: str, mark: Mark) -> Structure:
        """The structure that differs in this row."""
        bit = _from_rows([row], self.names)
        value = _MARKS.index(mark)
        return Structure(
            self.names,
            self.positive | bit if value & 2 else self.positive & ~bit,
            self.negative | bit if value & 1 else self.negative & ~bit,
        )

    def neighbours(self) -> Iterator[Structure]:
        """Every structure that differs in the mark of one row."""
        for row in formulas.row_names(formulas.everything(len(self.names)), len(self.names)):
            for mark in _MARKS:
                if mark != self.mark(row):
                    yield self.with_mark(row, mark)

    def over(self, names: Sequence[str]) -> Structure:
        """The same statement about more propositions, or in another order of them."""
        return Structure(
            tuple(names),
            _rename(self.positive, self.names, names),
            _rename(self.negative, self.names, names),
        )

    def with_reference(self, w: str = "rw", l: str = "rl") -> Structure:  # noqa: E741
        """The loss ``rho - (log Ref(y_w) - log Ref(y_l))``: F+ also asks rl, F- also asks rw."""
        names = (*self.names, w, l)
        wide = self.over(names)
        return Structure(
            names,
            wide.positive & formulas.variable(l, names),
            wide.negative & formulas.variable(w, names),
        )

    def rho(self, log_p: Mapping[str, Tensor]) -> Tensor:
        """``log WMC(F+) - log WMC(F-)``.

        Args:
            log_p: log-probability of each proposition that makes a difference, all of one shape, at
                most 0. Where ``1 - P`` is needed they are taken to be at most -1e-8.

        Returns:
            That shape.

        Raises:
            SettingError: a degenerate structure, or a proposition that is not given.
            DataError: values that are no log-probabilities.
        """
        self._check_both_forms()
        used = [name for name in self.names if self._depends_on(name)]
        missing = [name for name in used if name not in log_p]
        if missing:
            raise SettingError(f"The log-probability of {', '.join(missing)} is not given.")
        given = {name: log_p[name] for name in used or log_p}
        check_log_probabilities(at_most_zero=True, **given)
        return _log_wmc(self.positive, self.names, given) - _log_wmc(
            self.negative, self.names, given
        )

    def _check_both_forms(self) -> None:
        if self.degenerate:
            raise SettingError(
                "F+ and F- both need an assignment; here "
                f"F+ has {len(self.check_rows)} and F- has {len(self.cross_rows)}, and the loss "
                "would be infinite."
            )

    def _depends_on(self, name: str) -> bool:
        mask = formulas.variable(name, self.names)
        shift = 1 << (len(self.names) - 1 - self.names.index(name))
        return any(
            (rows & mask) >> shift != rows & ~mask for rows in (self.positive, self.negative)
        )

    def describe(self) -> dict[str, str]:
        """The structure in words: rows and formulas."""
        return {
            "propositions": ", ".join(self.names),
            "check rows": " ".join(self.check_rows),
            "cross rows": " ".join(self.cross_rows),
            "core P": self.core,
            "constraint P_C": self.constraint,
            "additive P_A": self.additive,
        }


def decompile(loss: str) -> Structure:
    """Reads a loss as a structure: F+ := Sem(rho_t), F- := Sem(rho_b).

    Args:
        loss: a name of `RATIOS` or `SAME_AS`, or a ratio such as ``"w (1-l) / (l (1-w))"``: sums of
            products of propositions p (for P(p)) and ``(1-p)``. No proposition twice in a product,
            and any two summands contradict each other, so that the sum is a weighted count.

    Raises:
        SettingError: an unknown name, a text that is no such ratio, a repeated proposition (use a
            copy with the same probability), summands that do not exclude each other.
    """
    text = RATIOS.get(SAME_AS.get(loss, loss), loss)
    top, slash, bottom = text.partition("/")
    if not slash:
        raise unknown_name("preference loss", loss, [*RATIOS, *SAME_AS])
    sums = [_read_sum(part, text) for part in (top, bottom)]
    names = _in_order(name for terms in sums for term in terms for name in term)
    positive, negative = (_sem(terms, names) for terms in sums)
    return Structure(names, positive, negative)


def compile_loss(
    structure: Structure | str, form: Form = "logistic", beta: float = 1.0
) -> Callable[[Mapping[str, Tensor]], Tensor]:
    """Makes the loss of a structure: a function of log-probabilities by proposition.

    Args:
        structure: a structure, or the name or ratio of one (see `decompile`).
        form: ``"logistic"`` ``-log sigmoid(beta rho)``; ``"squared"`` ``(rho - 1/(2 beta))^2`` as
            in IPO; ``"hinge"`` ``max(0, beta - rho)`` as in SliC.
        beta: above 0.

    Returns:
        A differentiable function that gives one loss a pair; it raises as `Structure.rho` does.
    """
    check_positive(beta=beta)
    found = decompile(structure) if isinstance(structure, str) else structure

    def loss(log_p: Mapping[str, Tensor]) -> Tensor:
        return apply_form(found.rho(log_p), form, beta)

    return loss


def apply_form(rho: Tensor, form: Form, beta: float) -> Tensor:
    """``f(rho, beta)`` of the paper, element by element; forms as in `compile_loss`."""
    if form == "squared":
        return pairwise_loss(rho, form, margin=1 / (2 * beta))
    if form == "hinge":
        return pairwise_loss(rho, form, margin=beta)
    return pairwise_loss(beta * rho, form)


def entails(first: Structure, second: Structure) -> bool:
    """Whether F1+ implies F2+ and F2- implies F1-; then ``rho_1 <= rho_2`` whatever the model.

    With a non-increasing f (logistic, hinge; not squared) and equal beta the first loss is never
    below the second.
    """
    names = tuple(dict.fromkeys([*first.names, *second.names]))
    a, b = first.over(names), second.over(names)
    return not (a.positive & ~b.positive) and not (b.negative & ~a.negative)


def equivalent(first: Structure, second: Structure) -> bool:
    """Whether each entails the other; then the losses are equal, though not the reverse."""
    return entails(first, second) and entails(second, first)


def lattice(structures: Mapping[str, Structure]) -> set[tuple[str, str]]:
    """Covering edges (more constrained, less constrained) of the order by entailment."""
    below = {
        (a, b)
        for a, b in itertools.permutations(structures, 2)
        if entails(structures[a], structures[b]) and not entails(structures[b], structures[a])
    }
    return {
        (a, b) for a, b in below if not any((a, c) in below and (c, b) in below for c in structures)
    }


def enumerate_structures(names: Sequence[str] = ("w", "l")) -> Iterator[Structure]:
    """All ``4^(2^n)`` structures of n propositions, degenerate ones included; 256 for two."""
    if len(names) > 2:
        raise SettingError(
            f"{len(names)} propositions have 4^{2 ** len(names)} structures; list those of two, or "
            "walk along Structure.neighbours()."
        )
    size = formulas.everything(len(names)) + 1
    for positive, negative in itertools.product(range(size), repeat=2):
        yield Structure(tuple(names), positive, negative)


def _log_wmc(rows: int, names: Sequence[str], log_p: Mapping[str, Tensor]) -> Tensor:
    """Logarithm of the weighted model count, by splitting on one proposition after the other.

    A proposition that makes no difference is not split on: its two branches sum to 1 exactly.
    """
    some = next(iter(log_p.values()))
    if rows == 0:
        return torch.full_like(some, -torch.inf)
    if rows == formulas.everything(len(names)):
        return torch.zeros_like(some)
    half = 1 << (len(names) - 1)
    true, false = rows >> half, rows & ((1 << half) - 1)
    if true == false:
        return _log_wmc(true, names[1:], log_p)
    value = log_p[names[0]]
    branches = []
    if true:
        branches.append(value + _log_wmc(true, names[1:], log_p))
    if false:
        branches.append(log_one_minus(value) + _log_wmc(false, names[1:], log_p))
    return branches[0] if len(branches) == 1 else torch.logaddexp(*branches)


def _sum(rows: int, names: Sequence[str]) -> str:
    """The weighted count of a set of assignments, which is not empty."""
    terms = _disjoint(rows, tuple(names)) or ((names[0],), (f"(1-{names[0]})",))
    products = [" ".join(sorted(term, key=lambda literal: "-" in literal)) for term in terms]
    return " + ".join(products)


@cache
def _disjoint(rows: int, names: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """Fewest products that splitting on propositions gives; ``()`` where every row is there."""
    if rows == formulas.everything(len(names)):
        return ()
    found = []
    for name in names:
        rest = tuple(other for other in names if other != name)
        true, false = (_given(rows, name, truth, names) for truth in (True, False))
        if true == false:
            return _disjoint(true, rest)
        found.append(
            tuple(
                (literal, *more)
                for literal, half in ((name, true), (f"(1-{name})", false))
                if half
                for more in _disjoint(half, rest) or ((),)
            )
        )
    return min(found, key=lambda terms: (len(terms), sum(map(len, terms))))


def _given(rows: int, name: str, truth: bool, names: Sequence[str]) -> int:
    """The assignments of the other propositions, of those rows in which ``name`` is that."""
    bit = len(names) - 1 - list(names).index(name)
    kept = [row for row in range(1 << len(names)) if rows >> row & 1 and row >> bit & 1 == truth]
    return sum(1 << (row >> (bit + 1) << bit | row & ((1 << bit) - 1)) for row in kept)


def _in_order(names: Iterable[str]) -> tuple[str, ...]:
    """The winner, the loser, then the others as the ratios of this file name them."""
    known = ("w", "l", "w2", "l2", "rw", "rl", "rw2", "rl2", "mw", "ml", "c")
    places = {name: place for place, name in enumerate(known)}
    found = dict.fromkeys(["w", "l", *names])
    return tuple(sorted(found, key=lambda name: places.get(name, len(known))))


def _rename(rows: int, names: Sequence[str], wider: Sequence[str]) -> int:
    lost = set(names) - set(wider)
    if lost:
        raise SettingError(f"{', '.join(sorted(lost))} must remain among the propositions.")
    bits = [len(wider) - 1 - list(wider).index(name) for name in names]
    out = 0
    for row in range(1 << len(wider)):
        narrow = 0
        for bit in bits:
            narrow = narrow << 1 | (row >> bit & 1)
        if rows >> narrow & 1:
            out |= 1 << row
    return out


def _from_rows(rows: Iterable[str], names: Sequence[str]) -> int:
    out = 0
    for row in rows:
        if len(row) != len(names) or set(row) - {"T", "F"}:
            raise SettingError(f"A row has one T or F for each of {', '.join(names)}; got {row!r}.")
        out |= 1 << int(row.replace("T", "1").replace("F", "0") or "0", 2)
    return out


_FACTOR = re.compile(r"\s*(?:\*\s*)?(?:\(\s*1\s*-\s*([A-Za-z_]\w*)\s*\)|([A-Za-z_]\w*))")


def _read_sum(text: str, whole: str) -> list[formulas.Literals]:
    text = text.strip()
    if text.startswith("(") and _closing(text) == len(text) - 1 and not _FACTOR.fullmatch(text):
        text = text[1:-1]
    return [_read_product(part, whole) for part in text.split("+")]


def _closing(text: str) -> int:
    """Position of the parenthesis that closes the first one, -1 if none does."""
    depth = 0
    for at, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0:
            return at
    return -1


def _read_product(text: str, whole: str) -> formulas.Literals:
    term: dict[str, bool] = {}
    at = 0
    while text[at:].strip():
        found = _FACTOR.match(text, at)
        if not found:
            raise SettingError(f"Cannot read {whole!r} from {text[at:].strip()!r} on.")
        name = found[1] or found[2]
        if name in term:
            raise SettingError(
                f"{name} stands twice in a product of {whole!r}: P * P is not the probability of "
                f"'{name} and {name}'. Write a copy with the same probability, such as {name}2."
            )
        term[name] = found[1] is None
        at = found.end()
    if not term:
        raise SettingError(f"An empty product in {whole!r}.")
    return term


def _sem(terms: Sequence[formulas.Literals], names: Sequence[str]) -> int:
    rows = 0
    for term in terms:
        more = formulas.models(term, names)
        if rows & more:
            raise SettingError(
                f"The summands {_shown(terms)} can hold at once, so their sum is no probability of "
                "'one or the other'. Write them so that they exclude each other."
            )
        rows |= more
    return rows


def _shown(terms: Sequence[formulas.Literals]) -> Any:
    return " + ".join(
        " ".join(name if truth else f"(1-{name})" for name, truth in term.items()) for term in terms
    )
