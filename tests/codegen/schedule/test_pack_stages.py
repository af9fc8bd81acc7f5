"""Packing in stages, with panels that entries share, gives the bits of packing at once."""

from __future__ import annotations

from weakref import ref

import numpy as np
import pytest
from systems import runs

import rnngraph as rg
from rnngraph.codegen.schedule.emit import pack_stages
from rnngraph.codegen.schedule.plan import planner
from rnngraph.runtime.native import aligned_memory
from rnngraph.runtime.native import entry as native_entry
from rnngraph.runtime.native.argument_block import ArgumentBlock
from rnngraph.runtime.native.object_file import from_bytes, to_bytes
from rnngraph.runtime.packed_parts import PackedParts

KINDS = ("float32", "bfloat16", "int8", "int8_blocks", "int4")


def net(units: int = 63) -> tuple[rg.Tensor, rg.Tensor]:
    """Return outputs and loss of a net with products before, within and after its recurrence."""
    x = rg.placeholder("x", (None, None, 25))
    y, _ = rg.dynamic_rnn(rg.GRUCell(units), rg.dense(x, 40))
    logits = rg.dense(y, 17)
    return logits, rg.reduce_mean(rg.square(logits))


@pytest.fixture
def in_many_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack_stages, "MIN_BYTES", 0)
    monkeypatch.setattr(pack_stages, "MIN_STAGE_BYTES", 1)
    monkeypatch.setattr(planner, "SHARED_BYTES", 0)


def results(kind: str, units: int = 63, **options: object) -> tuple[rg.Program, list[np.ndarray]]:
    """Return a program, and the results of its calls and streams. Float32 weights are also trained."""
    outputs, loss = net(units)
    program = rg.compile(outputs, loss, weights=rg.Narrow(kind, force=True), cache=False, seed=3, **options)
    x = np.random.default_rng(1).normal(size=(3, 7, 25)).astype(np.float32)
    stream = program.inference.stream(batch=3)
    steps = [stream.step(x=x[:, step]) for step in range(7)]
    loss_of_all, gradients = program.training.gradients(x=x) if kind == "float32" else (0.0, {})
    return program, [program.inference(x=x), program.inference(x=x[:1]), *steps, loss_of_all, *gradients.values()]


@pytest.mark.parametrize("kind", KINDS)
def test_stages_and_shared_panels_give_the_same_bits(kind: str, request: pytest.FixtureRequest) -> None:
    _, at_once = results(kind)
    request.getfixturevalue("in_many_stages")
    program, in_stages = results(kind)
    entries = program.inference.compiled.native_entries()
    assert all(len(entry._interface.packing.stages) > 4 for entry in entries if entry.panel_bytes)
    for one, other in zip(at_once, in_stages, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("option", [{"sparse": True}, {"threads": 2}, {"unroll": 2}, {"target": "x86-64-v2"}], ids=str)
def test_options_give_the_same_bits_in_stages(option: dict[str, object], request: pytest.FixtureRequest) -> None:
    if option.get("target", "host") != "host" and not runs("x86-64-v2"):
        pytest.skip("this processor does not run the target")
    _, at_once = results("int8", 25, **option)
    request.getfixturevalue("in_many_stages")
    for one, other in zip(at_once, results("int8", 25, **option)[1], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.usefixtures("in_many_stages")
@pytest.mark.parametrize("kind", KINDS)
def test_entries_for_few_and_many_rows_pack_each_weight_once(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    packed: list[tuple[str, int]] = []
    add = PackedParts.add

    def noting(parts: PackedParts, key: str, version: int, part: np.ndarray) -> None:
        packed.extend([(key, version)] if key else [])
        add(parts, key, version, part)

    monkeypatch.setattr(PackedParts, "add", noting)
    x = rg.placeholder("x", (None, None, 200))
    program = rg.compile(rg.dense(rg.relu(rg.dense(x, 300)), 250), weights=kind, cache=False)
    weights = [rows.copy() for rows in (np.zeros((1, 1, 200), np.float32), np.ones((4, 25, 200), np.float32))]
    results_before = [program.inference(x=rows) for rows in weights]
    assert len(packed) == len({*packed}) == 2
    name = next(iter(program.parameters))
    program.parameters[name] = 2 * program.parameters[name]
    changed = [program.inference(x=rows) for rows in weights]
    assert len(packed) == len({*packed}) == 4
    assert not np.array_equal(results_before[1], changed[1])


@pytest.mark.usefixtures("in_many_stages")
def test_stages_are_stored_in_files_of_compiled_code() -> None:
    program, _ = results("int4")
    compiled = program.inference.compiled
    outputs = tuple(name for name, _ in compiled.lowered.outputs)
    code = compiled._compiled(outputs, {"B": 1, "T": 5}, False, None, "inference", 1)
    again = from_bytes("key", to_bytes("key", code))
    assert again is not None
    assert again.interface.packing == code.interface.packing
    assert again.interface.unpacked == code.interface.unpacked
    assert again.binary == code.binary


@pytest.mark.usefixtures("in_many_stages")
def test_memory_for_intermediate_values_is_that_of_the_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large stage leaves no memory behind for smaller ones, which run while more results are in memory."""
    memories, ratios = list[ref[np.ndarray]](), list[float]()
    allocate, set_stages = aligned_memory.aligned_bytes, ArgumentBlock.set_stages

    def allocated(count: int, purpose: str = "") -> np.ndarray:
        array = allocate(count, purpose)
        memories.append(ref(array))
        return array

    def checked(block: ArgumentBlock, begin: int, end: int) -> None:
        need = block._interface.packing.stages[begin].scratch_bytes
        if need:
            ratios.append(sum(array.nbytes for memory in memories if (array := memory()) is not None) / need)
        set_stages(block, begin, end)

    monkeypatch.setattr(native_entry, "aligned_bytes", allocated)
    monkeypatch.setattr(ArgumentBlock, "set_stages", checked)
    x = rg.placeholder("x", (1, 64))
    y = rg.dense(rg.relu(rg.dense(rg.relu(rg.dense(x, 1024)), 256)), 64)
    rg.compile(y, weights=rg.Narrow("int4", force=True), cache=False).inference(x=np.zeros((1, 64)))
    assert len(ratios) >= 3
    assert all(1 <= ratio <= native_entry.MAX_SCRATCH for ratio in ratios)


def test_small_nets_pack_at_once() -> None:
    program, _ = results("float32")
    assert all(entry._interface.packing is None for entry in program.inference.compiled.native_entries())
