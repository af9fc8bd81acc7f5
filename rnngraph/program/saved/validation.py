"""Consistency checks of a saved program's graphs, on which native code relies.

The verifier checks each graph by itself. An inconsistency is a ``ValueError``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...declare.nest import flatten
from ...ir.types import FLOATS, TensorType
from ...passes.lowering.lowered import NUMBER, SEED_INPUTS, TAP, Lowered, kept_label
from ...runtime.graph_source import TAPS, TAPS_INFERENCE
from .json_form import check

STREAM, FED = "stream", "given"


def check_together(
    forms: Mapping[str, Lowered], outputs: Sequence[str], loss: TensorType | None, kept: Mapping[str, str]
) -> None:
    """Raise ``ValueError`` if a program's graphs are inconsistent.

    Args:
        forms: A program's graphs by purpose.
        outputs: Paths of the outputs.
        loss: Type of the loss, if there is one.
        kept: For the path of an output, the placeholder whose next value it is.
    """
    check({*kept} < {*outputs} or not kept, f"states= keeps {[*kept]}, but the outputs are {outputs}")
    if loss is not None:
        check(not loss.rank and loss.dtype in FLOATS, f"the loss is {loss}")
    kinds: dict[str, TensorType] = {}
    for name, form in forms.items():
        labels = [label for nest in form.states for label in flatten(nest)]
        shown = [path for path in outputs if name != STREAM or path not in kept]
        wanted = [*shown, *(["loss"] if loss is not None and name not in (STREAM, TAPS_INFERENCE) else []), *labels]
        output_paths = [path for path, _ in form.graph.outputs if not (name in TAPS and path.startswith(TAP))]
        check(output_paths == wanted, f"the graph {name} has the outputs {output_paths}, not {wanted}")
        check(
            [path for path, _ in form.initial.outputs] == labels,
            f"the graph {name} has initial states other than {labels}",
        )
        check(len({*labels}) == len(labels), f"two states of the graph {name} have one name")
        _check_inputs(form, kinds)
        _check_updates(form)
        own = labels if name != STREAM else labels[: len(labels) - len(kept)]
        check(
            [*labels[len(own) :]] == [*map(kept_label, kept.values())][: len(labels) - len(own)],
            f"{labels} are not the states that states= keeps",
        )
        _check_states(form, own, are_fed=name in (STREAM, FED))
        _check_kept(form, labels[len(own) :])
    plain = next(iter(forms.values()))
    for name, array in plain.defaults.items():
        known = kinds.get(name)
        of_rows = name == NUMBER and array.ndim == 0  # broadcast to the rows of a call
        fits = known is None or (known.dtype == array.dtype and (of_rows or known.rank == array.ndim))
        check(fits, f"the default of {name} is {array.dtype}{list(array.shape)}")
    for name in plain.keep_probs:
        check(
            name in kinds and not kinds[name].rank and kinds[name].dtype in FLOATS,
            f"{name} is not a scalar float input, as a probability must be",
        )


def _check_inputs(form: Lowered, kinds: dict[str, TensorType]) -> None:
    """Raise ``ValueError`` if a parameter's type or an input's dtype or rank differs. Add new inputs to ``kinds``."""
    slots = {name: slot.type for slot, name in form.slots.items()}
    for node in (*form.graph.inputs, *form.masks.inputs, *form.initial.inputs):
        label, kind = node["label"], node.tensor
        if node.op == "parameter":
            check(slots.get(label) == kind, f"the graph reads parameter {label} as {kind}")
            continue
        known = kinds.setdefault(label, kind)
        check(
            (known.dtype, known.rank) == (kind.dtype, kind.rank),
            f"input {label} is {known} in one graph, and {kind} in another",
        )
        check(label not in SEED_INPUTS or (kind.dtype, kind.rank) == ("int64", 0), f"input {label} is {kind}")


def _check_updates(form: Lowered) -> None:
    """Check that no parameter is both updated by the declaration and trained by gradients."""
    trained = {name for slot, name in form.slots.items() if slot.trainable}
    for node in form.graph.nodes:
        if node.op == "with_update":
            label = node.operands[1]["label"]
            check(label not in trained, f"the parameter {label} is both updated by with_update and trained")


def _check_kept(form: Lowered, labels: Sequence[str]) -> None:
    """Raise ``ValueError`` unless each state kept by name has one type as input, output and initial value."""
    after, first = dict(form.graph.outputs), dict(form.initial.outputs)
    before = {node["label"]: node.tensor for node in form.graph.inputs if node.op == "input"}
    for label in labels:
        types = before.get(label), after[label].tensor, first[label].tensor
        check(
            len({*types}) == 1,
            f"the state {label} has types that differ as input, output and initial value: {', '.join(map(str, types))}",
        )


def _check_states(form: Lowered, labels: Sequence[str], are_fed: bool) -> None:
    """Raise ``ValueError`` unless states come from loops and fit their initial values and, if ``are_fed``, inputs."""
    after, first = dict(form.graph.outputs), dict(form.initial.outputs)
    before = {node["label"]: node.tensor for node in form.graph.inputs if node.op == "input"}
    for label in labels:
        kind = after[label].tensor
        row = kind.shape[1:]
        check(
            kind.rank > 0 and all(isinstance(dim, int) for dim in row),
            f"the state {label} is {kind}, and not [batch, …] with fixed sizes",
        )
        check(after[label].op == "get", f"the state {label} is not the result of a recurrence")
        begun = first[label].tensor
        check(
            (begun.dtype, begun.rank) == (kind.dtype, kind.rank),
            f"the initial value of the state {label} is {begun}, and not {kind}",
        )
        check(
            not are_fed or before.get(label) == kind,
            f"the state {label} is fed as {before.get(label)}, and not as {kind}",
        )
