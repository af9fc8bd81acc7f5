"""The options ``weights`` and ``activations`` of ``compile`` and ``load``: how narrow weights become."""

from __future__ import annotations

from dataclasses import replace

from ...arguments import one_of
from ...codegen.machine.target import Target
from ...errors import ArgumentError, DtypeError, shown
from ...passes.lowering.lowered import Lowered
from ...passes.quantization.reduced_weights import ReducedWeights

WEIGHTS = ("float32", "bfloat16", "int8")
ACTIVATIONS = ("float32", "bfloat16", "int8")


def check_weights(weights: str, activations: str, lowered: Lowered) -> None:
    """Raises ``ArgumentError`` for what is not offered, ``DtypeError`` where a parameter is not float32."""
    one_of(weights, "weights", WEIGHTS)
    one_of(activations, "activations", ACTIVATIONS)
    if activations != "float32" and activations != weights:
        raise ArgumentError(
            f'activations="{activations}" goes with weights="{activations}" only, not with {weights}; '
            "leave activations out"
        )
    for slot, name in lowered.slots.items() if weights != "float32" else ():
        if slot.type.dtype == "float64":
            raise DtypeError(
                f"weights={shown(weights)} needs float32 parameters, and {name} is float64; declare it as float32, or "
                "compile without weights=",
                slot.where,
            )


def reduction(weights: str, activations: str, target: Target) -> ReducedWeights | None:
    """The pass that the options ask for; None where weights stay float32."""
    if weights == "float32":
        return None
    split = activations == "float32"
    of_bytes = target.byte_activations if weights == "int8" and not split else ""
    chosen = ReducedWeights(weights, bool(of_bytes) or weights in target.dots, split, of_bytes)
    if chosen.dots and target.lanes(4) > 1:
        return chosen
    # Without such instructions, or vectors, memory is what is gained, which small weights have a share of, too.
    return replace(chosen, least_depth=8, least_weights=256)
