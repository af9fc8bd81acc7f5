"""Train steps that machine code runs and brings into effect, without a step in Python but for the optimizer's
numbers.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from ctypes import addressof, c_double
from typing import Any

import numpy as np

from ...codegen.direct_calls.plan import Place, Train
from ...declare.nest import SHALLOW, height
from ...passes.train_step import NEW, NORM, NUMBER
from ...runtime.calls.direct_call import DirectCall, Draws, Held, TrainWords, can_be_direct
from ...runtime.calls.prepared_call import PreparedCall
from ...runtime.calls.results import result_of
from ...runtime.native.aligned_memory import address
from ..optimization.optimizers import is_own, numbers_of
from .parameter_sides import HOLDERS, Located, ParameterSides, sides_of
from .step_runner import StepVariant
from .train_state import TrainState


def may_be_direct(state: TrainState, variant: StepVariant, call: PreparedCall) -> bool:
    """Whether machine code can run such steps: those that update parameters at once."""
    spec = call.spec
    if state.accumulate > 1 or state.prune is not None or state.shards:
        return False
    fetched = [] if variant.fetch is None else variant.fetch.labels
    if {*spec.leaves} != {"loss", NORM, *variant.states, *fetched}:
        return False
    if variant.fetch is not None and height(variant.fetch.structure) > SHALLOW:
        return False
    if any(spec.results[name] not in (((), "float32"), ((), "float64")) for name in ("loss", NORM)):
        return False
    return can_be_direct(call, 1)


def direct_train_step(
    state: TrainState, variant: StepVariant, call: PreparedCall, before: ParameterSides | None, releases: bool
) -> tuple[Held, ParameterSides] | None:  # fmt: skip
    """What machine code is given to run such steps, and the arrays between which they go back and forth; None where
    there is no room for these yet. before: those of steps before. releases: whether other threads run meanwhile.
    """
    entry, program = call.spec.entry, state.program
    names = tuple(name.removeprefix(NEW) for name in entry.output_slots if name.startswith(NEW))
    sides = sides_of(state, names, before)
    if sides is None:
        return None
    memory, own = variant.native.memory(entry), {**sides.slots, **state.number_arrays}
    parameters, blocks = dict(program.parameters), []
    for side in (0, 1):
        targets = {NEW + name: array for name, array in sides.sides[1 - side].items()}
        block = memory.block_of({**parameters, **sides.sides[side]}, own, targets)
        call.write(block)
        blocks.append(block)
    words, kept = _words(state, variant, call, sides)
    structure, leaves, fetch = dict.fromkeys(variant.states), [*variant.states], variant.fetch
    train = TrainWords(structure, leaves, words)
    if fetch is not None:
        fetched = result_of(fetch.structure, [None] * len(fetch.labels))
        train = TrainWords((structure, fetched), [*leaves, *fetch.labels], words)
    keys = {name: key for key, name in call.spec.names.items() if not isinstance(key, str)}
    direct = DirectCall(
        call, blocks, keys, program.parameters.counter(), program.options.threads,
        [*kept, sides, memory.shared, *state.number_arrays.values()], releases, sides.side, train=train,
        draws=Draws(*program.parts.seeds.source),
    )  # fmt: skip
    return direct.held, sides


def _words(
    state: TrainState, variant: StepVariant, call: PreparedCall, sides: ParameterSides
) -> tuple[np.ndarray, list[Any]]:  # fmt: skip
    """The words of a step, as ``Train`` lists them, and what they name that nobody else holds."""
    changes, entry = state.program.parameters.counter(), call.spec.entry
    prepare, is_locked = _preparing(state), changes.lock.locked
    carried = sys.intern("carried")
    none = [] if variant.states else [Located(state, carried, None)]
    lists = {
        Train.FIRST_PRESENT: _places(sides.present(0)), Train.SECOND_PRESENT: _places(sides.present(1)),
        Train.FIRST_CHANGES: _places([*none, *sides.changes(0)]),
        Train.SECOND_CHANGES: _places([*none, *sides.changes(1)]),
        Train.FIRST_OWNED: _owned(sides.owned(0)), Train.SECOND_OWNED: _owned(sides.owned(1)),
    }  # fmt: skip
    loss, norm = call.results["loss"], call.results[NORM]
    values = {word: address(array) for word, array in lists.items()} | {
        Train.PREPARE: id(prepare), Train.IS_LOCKED: id(is_locked),
        Train.PACK: entry.pack_address if entry.panel_bytes else 0,
        Train.PRESENT: len(lists[Train.FIRST_PRESENT]), Train.CHANGES: len(lists[Train.FIRST_CHANGES]),
        Train.OWNED: len(lists[Train.FIRST_OWNED]), Train.LOSS: address(loss), Train.NORM: address(norm),
        Train.LOSS_BYTES: loss.itemsize, Train.NORM_BYTES: norm.itemsize, Train.SKIPS: state.skip_non_finite,
        Train.SKIPPED: addressof(state.skipped_word),
        Train.UPDATES: addressof(state.updates_word), Train.VERSION: addressof(changes.word),
        Train.EXPECTED: addressof(sides.version), Train.GRADIENT_NORM: addressof(state.norm_word),
        Train.STATE: id(state),
        Train.CARRIED: id(carried) if variant.states else 0, Train.FETCHES: variant.fetch is not None,
    }  # fmt: skip
    return np.array([values[word] for word in Train], np.int64), [prepare, is_locked, carried, lists, state]


def _preparing(state: TrainState) -> Callable[[], None]:
    """What writes the optimizer's numbers to where a step reads them."""
    numbers = {
        name: c_double.from_address(address(state.number_arrays[NUMBER + name]))
        for name in state.optimizer.numbers(state.updates)
    }
    word, is_checked = state.updates_word, is_own(state.optimizer)

    def prepare() -> None:
        optimizer, update = state.optimizer, word.value
        found = numbers_of(optimizer, update, numbers) if is_checked else optimizer.numbers(update)
        for name, value in found.items():
            numbers[name].value = value

    return prepare


def _places(located: Sequence[Located]) -> np.ndarray:
    """Words of each of these, as ``Place`` lists them."""
    found = np.zeros((len(located), len(Place)), np.int64)
    for row, (owner, key, value) in zip(found, located, strict=True):
        row[Place.IS_ATTRIBUTE], row[Place.OWNER], row[Place.VALUE] = not isinstance(owner, dict), id(owner), id(value)
        row[Place.KEY] = id(key)
    return found


def _owned(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Where each of these lies, and by how many it is held."""
    return np.array([(id(array), HOLDERS) for array in arrays], np.int64).reshape(-1, 2)
