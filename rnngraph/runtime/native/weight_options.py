"""Options ``weights`` and ``activations`` of ``compile`` and ``load``: number formats in inference.

``weights`` is one format, or a mapping from name patterns to formats; the first matching pattern applies.
``weight_rules`` validates it, and ``reduction`` builds the pass for ``passes/quantization``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import translate
from typing import TYPE_CHECKING, Any

from ...codegen.machine.target import Target
from ...passes.lowering.lowered import Lowered
from ...support.api_guard import api
from ...support.arguments import flag, one_of
from ...support.errors import ArgumentError, DtypeError, shown

if TYPE_CHECKING:
    from ...passes.quantization.reduced_weights import NarrowKind, ReducedWeights

WEIGHTS = ("float32", "bfloat16", "int8", "int8_blocks", "int4")
ACTIVATIONS = ("float32", "bfloat16", "int8")
ANY = "*"
MIN_PAIRED = 8192
"""Minimum elements of weights in pairs of bfloat16. Fewer are no faster than in float32, because L1 holds them."""


@api
@dataclass(frozen=True)
class Narrow:
    """Number format of weights, for ``weights=`` of ``rg.compile`` and ``rg.load``.

    Attributes:
        kind: ``"float32"``, ``"bfloat16"``, ``"int8"``, ``"int8_blocks"`` or ``"int4"``.
        force: True to also convert weights that are too small to become faster, which saves memory.
    """

    kind: str
    force: bool = False

    def __post_init__(self) -> None:
        one_of(self.kind, "kind", WEIGHTS)
        flag(self.force, "force")


Weights = str | Narrow | Mapping[str, str | Narrow]
"""Values of the option ``weights``."""
WeightRules = tuple[tuple[str, Narrow], ...]
"""(name pattern, format) in order of priority."""
FLOAT32: WeightRules = ((ANY, Narrow("float32")),)


def weight_rules(weights: Any) -> WeightRules:
    """Return the ``weights`` option as rules.

    Raise ``ArgumentError`` for unknown formats, and ``DtypeError`` for a pattern that is not a str.
    """
    if not isinstance(weights, Mapping):
        return ((ANY, _kind(weights, "weights")),)
    for pattern in weights:
        if not isinstance(pattern, str):
            raise DtypeError(
                f"weights= maps name patterns to formats, and {shown(pattern)} is not a str; "
                'write it as in {"head/*": "int8"}'
            )
    return tuple((pattern, _kind(kind, f"weights[{shown(pattern)}]")) for pattern, kind in weights.items())


def _kind(value: Any, what: str) -> Narrow:
    """Return a number format, validated. ``what`` is the option in errors."""
    return value if isinstance(value, Narrow) else Narrow(one_of(value, what, WEIGHTS))


def matched(rules: WeightRules, names: Iterable[str]) -> dict[str, int]:
    """Return the index of the first matching rule, by name. Names without a rule are omitted."""
    patterns = [re.compile(translate(pattern)) for pattern, _ in rules]
    pairs = {name: next((at for at, one in enumerate(patterns) if one.match(name)), None) for name in names}
    return {name: number for name, number in pairs.items() if number is not None}


def check_weights(rules: WeightRules, activations: str, lowered: Lowered) -> None:
    """Raise ``ArgumentError`` for rules that cannot apply, and ``DtypeError`` if a parameter to narrow is float64."""
    one_of(activations, "activations", ACTIVATIONS)
    kinds = {narrow.kind for _, narrow in rules}
    if activations != "float32" and activations not in kinds:
        have = ", ".join(sorted(kinds)) or "none"
        raise ArgumentError(
            f'activations="{activations}" needs weights="{activations}", and the formats are {have}; '
            f'compile with weights="{activations}", or omit activations='
        )
    names = [*lowered.slots.values()]
    numbers = matched(rules, names)
    for number, (pattern, _) in enumerate(rules):
        if pattern != ANY and number not in numbers.values():
            raise ArgumentError(_unmatched(pattern, rules[:number], names))
    for slot, name in lowered.slots.items():
        narrow = rules[numbers[name]][1] if name in numbers else None
        if narrow is not None and narrow.kind != "float32" and slot.type.dtype == "float64":
            raise DtypeError(
                f"weights={shown(narrow.kind)} needs float32 parameters, and {name} is float64; declare it as float32, "
                "or compile without weights=",
                slot.where,
            )


def _unmatched(pattern: str, earlier: WeightRules, names: Collection[str]) -> str:
    """Return the error text for a pattern that applies to no parameter."""
    matches = matched(((pattern, Narrow("float32")),), names)
    if matches:
        return (
            f"weights[{shown(pattern)}] has no effect, as the first pattern that matches a name counts, and "
            f"{', '.join(shown(before) for before, _ in earlier)} match all of its names ({', '.join(matches)}); write "
            f"{shown(pattern)} before them"
        )
    return f"weights[{shown(pattern)}] matches no parameter; there are {', '.join(names) or 'none'}"


def reduction(rules: WeightRules, activations: str, target: Target, names: Iterable[str]) -> ReducedWeights | None:
    """Return the pass that narrows weights as the options require; None if all stay float32.

    Args:
        rules: Checked rules.
        activations: Number format of activations in products with weights of the same format.
        target: Processor that runs the products.
        names: Names of all parameters.
    """
    kinds = [narrow_kind(narrow, activations, target) for _, narrow in rules]
    if not any(kinds):
        return None
    from ...passes.quantization.reduced_weights import ReducedWeights  # rarely needed

    rest = next((kind for (pattern, _), kind in zip(rules, kinds, strict=True) if pattern == ANY), None)
    numbers = matched(rules, names)
    named = ((name, kinds[numbers[name]] if name in numbers else None) for name in names)
    return ReducedWeights(rest, tuple((name, kind) for name, kind in named if kind != rest))


def narrow_kind(narrow: Narrow, activations: str, target: Target) -> NarrowKind | None:
    """Return the form of narrow weights on a target; None for float32."""
    if narrow.kind == "float32":
        return None
    from ...passes.quantization.block_products import BITS  # rarely needed
    from ...passes.quantization.reduced_weights import NarrowKind

    in_blocks, split = narrow.kind in BITS, narrow.kind not in (*BITS, activations)
    of_bytes = target.byte_activations if in_blocks or (narrow.kind == "int8" and not split) else ""
    has_instructions = narrow.kind in target.dots
    in_pairs = has_instructions and split and narrow.kind == "bfloat16"  # widened as they are read
    dots = in_blocks or bool(of_bytes) or (has_instructions and not in_pairs)
    kind = NarrowKind(narrow.kind, dots, split, of_bytes)
    if narrow.force:
        return replace(kind, min_depth=1, min_weights=1)
    if in_pairs:
        return replace(kind, min_weights=MIN_PAIRED)
    if in_blocks or (kind.dots and target.lanes(4) > 1):
        return kind
    # Without instructions for this format, narrow weights only save memory, so small weights are narrowed, too.
    return replace(kind, min_depth=8, min_weights=256)


def weights_as_text(rules: WeightRules) -> Any:
    """Return rules as JSON values: one format for all parameters, else a list of rules."""
    if len(rules) == 1 and rules[0] == (ANY, Narrow(rules[0][1].kind)):
        return rules[0][1].kind
    return [[pattern, narrow.kind, narrow.force] for pattern, narrow in rules]


def weights_from_text(text: Any) -> WeightRules:
    """Return the rules that ``weights_as_text`` wrote.

    Raises:
        ValueError, TypeError, RnnGraphError: The text is invalid.
    """
    if isinstance(text, str):
        return weight_rules(text)
    if not isinstance(text, list) or not all(isinstance(pattern, str) for pattern, _, _ in text):
        raise ValueError(f"{text!r} does not describe weight formats")
    return tuple((pattern, Narrow(kind, force)) for pattern, kind, force in text)
