"""Code for other processors: what can run here agrees, what can't is at least made, and no code calls out."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import llvmlite.binding as llvm
import numpy as np
import pytest
from declaration_checks import flat

import rnngraph as rg

LEVELS = ("x86-64-v2", "x86-64-v3", "x86-64-v4")
NEEDS = {
    "x86-64-v2": ("sse4.2", "popcnt"),
    "x86-64-v3": ("avx2", "fma", "bmi2"),
    "x86-64-v4": ("avx512f", "avx512vl", "avx512dq", "avx512bw"),
}

pytestmark = pytest.mark.skipif(
    not llvm.get_process_triple().startswith("x86_64"), reason="the levels are those of x86-64"
)


def runs_here(level: str) -> bool:
    features = llvm.get_host_cpu_features()
    return all(features.get(name, False) for name in NEEDS[level])


@cache
def compiled(target: str, dtype: str = "float32") -> rg.Program:
    x = rg.placeholder("x", (None, None, 9), dtype)
    cells = [
        rg.DropoutWrapper(rg.BasicRNNCell(33, activation="gelu"), input_keep_prob=0.7),
        rg.LSTMCell(17, use_peepholes=True),
        rg.GRUCell(25),
    ]
    outputs, states = rg.dynamic_rnn(rg.MultiRNNCell(cells), x)
    y = rg.placeholder("y", (None,), "int64")
    logits = rg.dense(rg.layer_norm(outputs[:, -1]), 5)
    loss = rg.sparse_softmax_cross_entropy(y, logits)
    values = {"states": states, "logits": logits, "waves": rg.sin(outputs) + rg.log1p(rg.exp(outputs))}
    return rg.compile(values, loss=loss, target=target, seed=2)


def feeds(dtype: str = "float32") -> dict[str, Any]:
    return {"x": np.random.default_rng(0).normal(size=(3, 6, 9)).astype(dtype), "y": np.array([0, 4, 2])}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_agree(level: str, dtype: str) -> None:
    if not runs_here(level):
        pytest.skip(f"this processor is below {level}")
    here, there = (compiled(target, dtype) for target in ("host", level))
    given = feeds(dtype)
    tolerance = 1e-5 if dtype == "float32" else 1e-13
    for first, second in (
        (here.inference(x=given["x"]), there.inference(x=given["x"])),
        (here.training(**given, seed=4), there.training(**given, seed=4)),
    ):
        expected = flat(second)
        for name, array in flat(first).items():
            np.testing.assert_allclose(array, expected[name], rtol=tolerance, atol=tolerance, err_msg=name)
    masks = here.training.dropout_masks(x=given["x"], seed=4)
    for site, mask in there.training.dropout_masks(x=given["x"], seed=4).items():
        np.testing.assert_array_equal(mask, masks[site], site)


@cache
def shown(level: str, stage: str) -> str:
    return "\n".join(
        part.show(stage) for program in [compiled(level)] for part in (program.inference, program.training)
    )


@pytest.mark.parametrize("level", LEVELS)
def test_code_calls_nothing(level: str) -> None:
    """No libm, no libc: what is called is a function of the module itself."""
    text = shown(level, "asm")
    own = set(re.findall(r"^\"?([\w.]+)\"?:", text, re.MULTILINE))
    called = set(re.findall(r"^\s+(?:callq?|jmpq?)\s+\"?([A-Za-z_][\w.]*)(?:@PLT)?", text, re.MULTILINE))
    assert {name for name in called if not name.startswith(".L")} <= own
    assert "@PLT" not in text
    assert "@GOTPCREL" not in text
    assert not re.search(r"^\s+call\s*\*", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("level", "registers", "instructions", "without"),
    [
        ("x86-64-v2", "%xmm", "mulps", "%ymm"),
        ("x86-64-v3", "%ymm", "vfmadd", "%zmm"),
        ("x86-64-v4", "%zmm", "vfmadd", "%tmm"),
    ],
)
def test_code_uses_the_levels_vectors(level: str, registers: str, instructions: str, without: str) -> None:
    text = shown(level, "asm").replace(" zmm", " %zmm").replace(" ymm", " %ymm").replace(" xmm", " %xmm")
    assert registers in text
    assert instructions in text
    assert without not in text


@pytest.mark.parametrize("level", LEVELS)
def test_object_code_has_no_open_symbols(level: str) -> None:
    """The object file as the linker sees it: every symbol is defined in it."""
    from rnngraph.codegen.engine import object_code
    from rnngraph.codegen.target import target_of

    program = compiled(level)
    compiled_graph = program.inference.compiled
    outputs = tuple(name for name, _ in compiled_graph.graph.outputs)
    from rnngraph.codegen.llvm import module_text
    from rnngraph.codegen.schedule import schedule

    target = target_of(level)
    plan = schedule(compiled_graph.sized(outputs, {"B": 3, "T": 6}), target, "entry")
    binary = object_code(module_text(plan.functions, [plan.main, plan.pack], target, "entry"), target)
    assert undefined_symbols(binary) == []


def undefined_symbols(binary: bytes) -> list[str]:
    """Names of symbols that an ELF64 object refers to and does not define."""

    def number(offset: int, count: int) -> int:
        return int.from_bytes(binary[offset : offset + count], "little")

    assert binary[:5] == b"\x7fELF\x02"
    start, size, count = number(0x28, 8), number(0x3A, 2), number(0x3C, 2)
    sections = [start + index * size for index in range(count)]
    found = []
    for header in sections:
        if number(header + 4, 4) != 2:  # not a table of symbols
            continue
        table, length, names = number(header + 0x18, 8), number(header + 0x20, 8), number(header + 0x28, 4)
        strings = number(sections[names] + 0x18, 8)
        for symbol in range(table + 24, table + length, 24):  # the first is always empty
            if number(symbol + 6, 2) == 0:
                place = strings + number(symbol, 4)
                found.append(binary[place : binary.index(b"\0", place)].decode())
    return found


def test_an_open_symbol_is_found() -> None:
    from rnngraph.codegen.engine import object_code
    from rnngraph.codegen.target import target_of

    text = "declare float @expf(float)\ndefine float @f(float %x) {\n"
    text += "  %y = call float @expf(float %x)\n  ret float %y\n}\n"
    target = target_of("x86-64-v3")
    assert "expf" in undefined_symbols(object_code(f'target triple = "{target.triple}"\n{text}', target))


def test_a_program_for_a_better_processor_says_so() -> None:
    if runs_here("x86-64-v4"):
        pytest.skip("this processor runs every level")
    program = compiled("x86-64-v4")
    with pytest.raises(rg.RnnGraphError, match="x86-64-v4"):
        program.inference(x=feeds()["x"])
