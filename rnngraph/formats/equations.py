"""Equations of einsum, as ONNX and torch write them: letters of each operand's axes, and of the result's."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_letters


def letters_of(equation: str, ranks: Sequence[int]) -> tuple[list[str], str] | None:
    """The terms of an equation and its result, with letters in place of ``...`` and of what is left out; None where it
    does not fit operands of these ranks.
    """
    inputs, arrow, output = equation.replace(" ", "").partition("->")
    terms = inputs.split(",")
    if len(terms) != len(ranks) or any(term.count(".") not in (0, 3) for term in (*terms, output)):
        return None
    spare = [letter for letter in ascii_letters if letter not in inputs]
    counts = [rank - len(term) + 3 if "..." in term else 0 for term, rank in zip(terms, ranks, strict=True)]
    most = max(counts)
    if min(counts) < 0 or most > len(spare):
        return None
    rest = "".join(spare[:most])
    if not arrow:
        letters = inputs.replace(",", "").replace(".", "")
        output = ("..." if most else "") + "".join(sorted(one for one in letters if letters.count(one) == 1))
    filled = [term.replace("...", rest[most - count :]) for term, count in zip(terms, counts, strict=True)]
    whole = output.replace("...", rest)
    fits = all(len(term) == rank for term, rank in zip(filled, ranks, strict=True))
    return (filled, whole) if fits and set(whole) <= set("".join(filled)) and len(set(whole)) == len(whole) else None
