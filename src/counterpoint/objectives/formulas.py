"""Propositional formulas as sets of truth assignments: read, written and made short.

An assignment of n propositions is a number below 2^n: bit i (counted from the last name) says
whether the proposition is true. A set of assignments is a number of 2^n bits.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import combinations

from counterpoint.errors import SettingError

Literals = dict[str, bool]
"""A conjunction: proposition -> whether it must be true."""

_TOKEN = re.compile(r"\s*(->|[()&|~]|[A-Za-z_]\w*)")
_WORDS = {"and": "&", "or": "|", "not": "~"}


def everything(n: int) -> int:
    """The set of all assignments of n propositions."""
    return (1 << (1 << n)) - 1


def models(literals: Literals, names: Sequence[str]) -> int:
    """The set of assignments that satisfy a conjunction."""
    rows = everything(len(names))
    for name, truth in literals.items():
        rows &= variable(name, names) if truth else ~variable(name, names)
    return rows


def variable(name: str, names: Sequence[str]) -> int:
    """The set of assignments in which ``name`` is true."""
    if name not in names:
        raise SettingError(f"Unknown proposition {name!r}; there are {', '.join(names)}.")
    bit = len(names) - 1 - list(names).index(name)
    return sum(1 << row for row in range(1 << len(names)) if row >> bit & 1)


def row_names(rows: int, n: int) -> list[str]:
    """The assignments of a set as words, ``"TF"``: first proposition true, second false."""
    return [
        format(row, f"0{n}b").replace("1", "T").replace("0", "F") if n else ""
        for row in reversed(range(1 << n))
        if rows >> row & 1
    ]


def parse(text: str, names: Sequence[str]) -> int:
    """The set of assignments that satisfy a formula.

    Args:
        text: propositions with ``not``, ``and``, ``or``, ``xor``, ``->`` (weakest, to the right),
            ``true``, ``false`` and parentheses; ``~``, ``&`` and ``|`` are also read.
        names: the propositions, first one first.

    Raises:
        SettingError: text that is not a formula, or an unknown proposition.
    """
    tokens, at = [], 0
    while at < len(text.rstrip()):
        found = _TOKEN.match(text, at)
        if not found:
            raise SettingError(f"Cannot read {text!r} from {text[at:]!r} on.")
        tokens.append(_WORDS.get(found[1], found[1]))
        at = found.end()
    reader = _Reader(tokens, names, text)
    rows = reader.implication()
    if reader.tokens:
        raise SettingError(f"Cannot read {text!r}: {reader.tokens[0]!r} is not expected there.")
    return rows


class _Reader:
    def __init__(self, tokens: list[str], names: Sequence[str], text: str) -> None:
        self.tokens, self.names, self.text = tokens, names, text
        self.all = everything(len(names))

    def take(self, *wanted: str) -> bool:
        if self.tokens and self.tokens[0] in wanted:
            self.tokens.pop(0)
            return True
        return False

    def implication(self) -> int:
        left = self.either()
        return (self.all & ~left) | self.implication() if self.take("->") else left

    def either(self) -> int:
        left = self.exclusive()
        while self.take("|"):
            left |= self.exclusive()
        return left

    def exclusive(self) -> int:
        left = self.both()
        while self.take("xor"):
            left ^= self.both()
        return left

    def both(self) -> int:
        left = self.atom()
        while self.take("&"):
            left &= self.atom()
        return left

    def atom(self) -> int:
        if self.take("~"):
            return self.all & ~self.atom()
        if self.take("("):
            inner = self.implication()
            if not self.take(")"):
                raise SettingError(f"Cannot read {self.text!r}: a parenthesis is not closed.")
            return inner
        if self.take("true"):
            return self.all
        if self.take("false"):
            return 0
        if not self.tokens or not self.tokens[0].isidentifier():
            raise SettingError(f"Cannot read {self.text!r}: a proposition is missing.")
        return variable(self.tokens.pop(0), self.names)


def shortest(rows: int, names: Sequence[str]) -> list[Literals]:
    """A shortest disjunction of conjunctions true exactly on ``rows`` (Quine and McCluskey).

    Fewest conjunctions, then fewest literals; ``[]`` is false and ``[{}]`` is true.
    """
    wanted = [row for row in range(1 << len(names)) if rows >> row & 1]
    primes = _prime_implicants(wanted, len(names))
    for size in range(len(wanted) + 1):
        covers = [
            cover
            for cover in combinations(primes, size)
            if all(any(_covers(prime, row) for prime in cover) for row in wanted)
        ]
        if covers:
            best = min(covers, key=lambda cover: sum(mask.bit_count() for mask, _ in cover))
            return [_literals(prime, names) for prime in best]
    raise AssertionError("every row is covered by its own prime implicant")


def _prime_implicants(rows: list[int], n: int) -> list[tuple[int, int]]:
    """As (mask of the bits that matter, their values), widest first."""
    layer = {((1 << n) - 1, row) for row in rows}
    primes: set[tuple[int, int]] = set()
    while layer:
        merged: set[tuple[int, int]] = set()
        absorbed: set[tuple[int, int]] = set()
        for mask, value in layer:
            for bit in (1 << k for k in range(n)):
                twin = (mask, value ^ bit)
                if mask & bit and twin in layer:
                    merged.add((mask & ~bit, value & ~bit))
                    absorbed |= {(mask, value), twin}
        primes |= layer - absorbed
        layer = merged
    return sorted(primes, key=lambda prime: (prime[0].bit_count(), -prime[0], -prime[1]))


def _covers(prime: tuple[int, int], row: int) -> bool:
    return row & prime[0] == prime[1]


def _literals(prime: tuple[int, int], names: Sequence[str]) -> Literals:
    mask, value = prime
    bits = {name: 1 << (len(names) - 1 - k) for k, name in enumerate(names)}
    return {name: bool(value & bit) for name, bit in bits.items() if mask & bit}


def write(rows: int, names: Sequence[str]) -> str:
    """The set as a short formula that `parse` reads; as an implication where it is one."""
    terms = shortest(rows, names)
    if not terms:
        return "false"
    if terms == [{}]:
        return "true"
    if _is_xor(terms):
        return " xor ".join(terms[0])
    denied = {
        name: True for term in terms for name, truth in term.items() if len(term) == 1 and not truth
    }
    rest = [term for term in terms if not (len(term) == 1 and False in term.values())]
    if denied and rest:
        wrapped = _conjunction(denied, wrap=True)
        alone = len(rest) == 1
        return f"{wrapped} -> {_conjunction(rest[0], wrap=True) if alone else _either(rest)}"
    if len(denied) > 1:
        return f"not {_conjunction(denied, wrap=True)}"
    return _disjunction(terms)


def _is_xor(terms: list[Literals]) -> bool:
    if len(terms) != 2 or len(terms[0]) != 2 or terms[0].keys() != terms[1].keys():
        return False
    first, second = terms
    return all(first[name] != second[name] for name in first) and sum(first.values()) == 1


def _either(terms: list[Literals]) -> str:
    return f"({_disjunction(terms)})"


def _disjunction(terms: list[Literals]) -> str:
    return " or ".join(_conjunction(term, wrap=len(terms) > 1) for term in terms)


def _conjunction(term: Literals, wrap: bool) -> str:
    text = " and ".join(name if truth else f"not {name}" for name, truth in term.items())
    return f"({text})" if wrap and len(term) > 1 else text
