"""Code for other processors: what runs here agrees, other targets compile, and no code calls libraries."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import cross_cases
import llvmlite.binding as llvm
import numpy as np
import pytest
from declaration_checks import flat
from native_calls import call_native
from objects import processor, undefined_symbols

import rnngraph as rg
from rnngraph.codegen.compile import compile_graph
from rnngraph.codegen.machine import host as hosts
from rnngraph.codegen.machine.engine import object_code
from rnngraph.codegen.machine.interface import ObjectCode
from rnngraph.codegen.machine.target import NAMES, Target, host, target_of
from rnngraph.declare.tensor import build
from rnngraph.runtime.native.entry import NativeEntry

LEVELS = ("x86-64-v2", "x86-64-v3", "x86-64-v4")
SELDOM = {f"{level}-{system}" for level in LEVELS for system in ("windows", "macos")}
"""Levels for other systems, whose code equals the level's."""
TARGETS = [pytest.param(name, marks=pytest.mark.exhaustive) if name in SELDOM else name for name in NAMES]
NEEDS = {
    "x86-64-v2": ("sse4.2", "popcnt"),
    "x86-64-v3": ("avx2", "fma", "bmi2"),
    "x86-64-v4": ("avx512f", "avx512vl", "avx512dq", "avx512bw"),
}

PROCESSORS = {
    "aarch64-linux": "ELF64 183",
    "aarch64-macos": "Mach-O 0x100000c",
    "armv7-linux": "ELF32 40",
    "thumbv7em-none-eabihf": "ELF32 40",
    "riscv64": "ELF64 243",
    "wasm32": "wasm",
    "wasm32-simd128": "wasm",
    "x86-64-windows": "COFF 0x8664",
    "x86-64-v3-macos": "Mach-O 0x1000007",
}

of_x86 = pytest.mark.skipif(not llvm.get_process_triple().startswith("x86_64"), reason="the levels are those of x86-64")


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


@of_x86
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_agree(level: str, dtype: str) -> None:
    if not runs_here(level):
        pytest.skip(f"this processor is below {level}")
    here, there = (compiled(target, dtype) for target in ("host", level))
    inputs = feeds(dtype)
    tolerance = 1e-5 if dtype == "float32" else 1e-13
    for first, second in (
        (here.inference(x=inputs["x"]), there.inference(x=inputs["x"])),
        (here.training(**inputs, seed=4), there.training(**inputs, seed=4)),
    ):
        expected = flat(second)
        for name, array in flat(first).items():
            np.testing.assert_allclose(array, expected[name], rtol=tolerance, atol=tolerance, err_msg=name)
    masks = here.training.dropout_masks(x=inputs["x"], seed=4)
    for site, mask in there.training.dropout_masks(x=inputs["x"], seed=4).items():
        np.testing.assert_array_equal(mask, masks[site], site)


@cache
def shown(level: str, stage: str) -> str:
    return "\n".join(
        part.show(stage) for program in [compiled(level)] for part in (program.inference, program.training)
    )


@of_x86
@pytest.mark.parametrize("level", LEVELS)
def test_code_calls_no_functions(level: str) -> None:
    """Code calls neither libm nor libc, only functions of its own module."""
    text = shown(level, "asm")
    own = set(re.findall(r"^\"?([\w.]+)\"?:", text, re.MULTILINE))
    called = set(re.findall(r"^\s+(?:callq?|jmpq?)\s+\"?([A-Za-z_][\w.]*)(?:@PLT)?", text, re.MULTILINE))
    assert {name for name in called if not name.startswith(".L")} <= own
    assert "@PLT" not in text
    assert "@GOTPCREL" not in text
    assert not re.search(r"^\s+call\s*\*", text, re.MULTILINE)


@of_x86
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


def objects_of(program: rg.Program, training: bool = False) -> ObjectCode:
    """Return the object code of a program for its target, with 3 rows."""
    graph = (program.training if training else program.inference).compiled
    outputs = tuple(name for name, _ in graph.graph.outputs)
    return compile_graph(graph.sized(outputs, {"B": 3, "T": 6}), program.target, "entry")


@pytest.mark.parametrize("case", ["layer_norm", "stack", "heads", "whole", "front"])
@pytest.mark.parametrize("target", TARGETS)
def test_an_object_is_all_that_is_needed(target: str, case: str) -> None:
    """Every symbol that the linker sees is defined."""
    undefined = undefined_symbols(objects_of(cross_cases.program(case, target=target)).binary)
    assert set(undefined) <= defined_by_linker(target)


def defined_by_linker(target: str) -> set[str]:
    """Return symbols that the linker itself defines, where functions spill registers."""
    return {"__stack_pointer"} if target.startswith("wasm") else set()


@pytest.mark.parametrize("target", [name for name in NAMES if "float64" not in target_of(name).absent])
def test_an_object_of_float64_is_all_that_is_needed(target: str) -> None:
    for case in ("heads", "whole"):
        assert undefined_symbols(objects_of(cross_cases.program(case, "float64", target=target)).binary) == []


@pytest.mark.parametrize("target", TARGETS)
def test_objects_of_training_and_of_rounded_weights(target: str) -> None:
    """Masks, losses and rounding to integers compile, although some processors lack instructions for them."""
    assert undefined_symbols(objects_of(compiled(target), training=True).binary) == []
    x = rg.placeholder("x", (None, None, 64))
    outputs, _ = rg.dynamic_rnn(rg.LSTMCell(64), x)
    for weights, activations in (("int8", "float32"), ("int8", "int8"), ("bfloat16", "float32")):
        program = rg.compile({"outputs": outputs}, target=target, weights=weights, activations=activations, cache=False)
        assert undefined_symbols(objects_of(program).binary) == []


@pytest.mark.parametrize("target", TARGETS)
def test_an_exported_object_is_all_that_is_needed(target: str, tmp_path: Path) -> None:
    program = cross_cases.program("stack")
    written = program.inference.export(tmp_path, "net", target=target, weights="external", link=False)
    actual = undefined_symbols(written.files["net.obj" if "windows" in target else "net.o"].read_bytes())
    assert set(actual) <= defined_by_linker(target)


def test_an_exported_object_for_windows_needs_no_probe_of_the_stack(tmp_path: Path) -> None:
    """With float64 in vectors of 64 bytes, a loop uses more than a page of stack."""
    program = cross_cases.program("stack", "float64")
    written = program.inference.export(tmp_path, "net", batch=3, target="x86-64-v4-windows", link=False)
    assert undefined_symbols(written.files["net.obj"].read_bytes()) == []


@pytest.mark.parametrize("target", NAMES)
def test_an_undefined_symbol_is_detected(target: str) -> None:
    """The check detects calls in each kind of object file, so that the tests above are effective."""
    lines = [
        f'target triple = "{target_of(target).triple}"',
        "@a_table = external global float",
        "declare float @function_of_a_library(float) #0",
        "define float @f() #0 {",
        "  %x = load float, ptr @a_table",
        "  %y = call float @function_of_a_library(float %x)",
        "  ret float %y",
        "}",
        "attributes #0 = { nounwind }",
    ]
    actual = undefined_symbols(object_code("\n".join(lines), target_of(target)))
    names = ["a_table", "function_of_a_library"]
    assert actual == [f"_{name}" if "macos" in target else name for name in names]


def test_rounding_would_be_a_call() -> None:
    """``absent`` lists the functions for which the processor lacks an instruction, and LLVM would call a library."""
    target = target_of("thumbv7em-none-eabihf")
    lines = [
        f'target triple = "{target.triple}"',
        "define float @f(float %x) #0 {",
        "  %y = call float @llvm.roundeven.f32(float %x)",
        "  ret float %y",
        "}",
        "declare float @llvm.roundeven.f32(float)",
        "attributes #0 = { nounwind }",
    ]
    assert undefined_symbols(object_code("\n".join(lines), target)) == ["roundevenf"]


def run_by(target: Target, program: rg.Program, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return a program's outputs by code for a target that this machine can run."""
    graph = program.inference.compiled
    sizes = {name: 6 if name == "T" else len(inputs[min(inputs)]) for name in graph.graph.symbols}
    code = compile_graph(graph.sized(tuple(name for name, _ in graph.graph.outputs), sizes), target, "entry")
    return call_native(NativeEntry(code, host()), program.parameters, inputs, sizes)


def test_missing_instructions_are_replaced() -> None:
    """Conversions between integers and floats, and rounding, equal NumPy's with other instructions."""
    numbers = np.random.default_rng(0)
    powers = 2 ** np.arange(62)
    edges = np.concatenate([[0, 1, 2**63 - 1, -(2**63)], *(side * powers + k for side in (1, -1) for k in (-1, 0, 1))])
    near = (2**24 + 1) * powers[:38] + numbers.integers(-1, 2, (9, 38))  # ties and their neighbours
    whole = np.concatenate([edges, near.ravel(), -near.ravel(), numbers.integers(-(2**63), 2**63 - 1, 4000)])
    floats = np.concatenate([whole.astype(np.float64), numbers.normal(0, 5, 4000), np.arange(-40, 41) / 4, [-0.0]])
    beyond = np.array([np.inf, -np.inf, np.nan, 2.0**63, -(2.0**63), -(2.0**63) - 2048, 1e30, -1e30, 2.0**62])
    for wide in (np.float32, np.float64):
        n = rg.placeholder("n", (None,), "int64")
        x = rg.placeholder("x", (None,), np.dtype(wide).name)
        program = rg.compile({"float": rg.cast(n, x.dtype), "whole": rg.cast(x, "int64"), "round": build("round", x)})
        given = np.concatenate([floats, beyond]).astype(wide)
        whole.resize(len(given))
        for absent in (("rounding", "wide conversion"), ()):
            actual = run_by(replace(host(), absent=absent), program, {"n": whole, "x": given})
            np.testing.assert_array_equal(actual["float"], whole.astype(wide))
            np.testing.assert_array_equal(actual["round"], np.rint(given))
            np.testing.assert_array_equal(np.signbit(actual["round"]), np.signbit(given))
            inside = np.abs(given) < 2.0**63
            np.testing.assert_array_equal(actual["whole"][inside], given[inside].astype(np.int64))
            limit = np.where(np.isnan(given), 0, np.where(given > 0, 2**63 - 1, -(2**63)))
            np.testing.assert_array_equal(actual["whole"][~inside], limit[~inside])


@pytest.mark.parametrize("case", ["stack", "whole", "gru", "front"])
def test_narrow_index_arithmetic_has_the_same_bits(case: str) -> None:
    """Processors with 32-bit addresses use narrow indices, which suffice for these arrays."""
    program = cross_cases.program(case)
    feeds = cross_cases.feeds(program, 3, 6)
    expected = run_by(host(), program, feeds)
    for name, array in run_by(replace(host(), pointer_bits=32), program, feeds).items():
        np.testing.assert_array_equal(array, expected[name], name)


@pytest.mark.parametrize(("target", "kind"), PROCESSORS.items())
def test_objects_are_of_their_processor(target: str, kind: str) -> None:
    assert processor(objects_of(cross_cases.program("rnn", target=target)).binary) == kind


def assembly_of(target: str) -> str:
    program = cross_cases.program("basic_lstm", target=target)
    program.inference.compiled.last_sizes = {"B": 1, "T": 4}
    return program.inference.show("asm")


@pytest.mark.parametrize("target", ["thumbv7em-none-eabihf", "armv7-linux"])
def test_index_arithmetic_fits_in_a_register(target: str) -> None:
    """Index arithmetic on 32-bit processors uses no pairs of registers."""
    assert not re.search(r"^\s+(adcs?|sbcs?|umull|smull|umlal)\b", assembly_of(target), re.MULTILINE)


def test_a_multiply_add_is_two_instructions_on_a_small_processor() -> None:
    """In the product with the state, each multiply-add is two instructions: the weight's load and the multiply-add."""
    loops = re.split(r"^\.L\w+:", assembly_of("thumbv7em-none-eabihf"), flags=re.MULTILINE)
    multiplying = max(loops, key=lambda text: text.split("\tb")[0].count("vfma.f32"))
    count = multiplying.count("vfma.f32")
    assert count >= 28
    assert multiplying.count("vldr") <= count + 2


def test_webassembly_loads_take_in_their_offsets() -> None:
    loops = assembly_of("wasm32-simd128").split("loop")
    multiplying = max(loops, key=lambda text: text.count("f32x4.mul") if "load32_splat" in text else 0)
    assert len(re.findall(r"v128\.load\s+[1-9]", multiplying)) == len(re.findall(r"v128\.load\s", multiplying)) - 1
    # the weights' pointer, each row's, and the counter
    assert multiplying.count("i32.add") <= multiplying.count("load32_splat") + 2


def test_float64_needs_a_processor_that_has_it() -> None:
    program = cross_cases.program("rnn", "float64", target="thumbv7em-none-eabihf")
    with pytest.raises(rg.ArgumentError, match=r"thumbv7em-none-eabihf computes in float32 only; declare it as"):
        objects_of(program)


@pytest.mark.parametrize(("processor", "expected"), [("znver4", ("int8", "bfloat16")), ("sapphirerapids", ("int8",))])
def test_slow_dot_products_of_bfloat16_are_not_used(
    processor: str, expected: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    has = "avx512f", "avx512vl", "avx512dq", "avx512bw", "avx512vnni", "avx512bf16", "fma"
    features = ",".join(f"+{name}" for name in has)
    facts = hosts.HostFacts("x86_64-unknown-linux-gnu", processor, features, "22.1.0")
    monkeypatch.setattr(hosts, "_facts", [facts])
    assert host.__wrapped__().dots == expected


def test_code_of_another_processor_does_not_run_here() -> None:
    other = "riscv64" if "riscv64" not in host().triple else "aarch64-linux"
    program = cross_cases.program("rnn", target=other)
    with pytest.raises(rg.RnnGraphError, match=f"code for {other} .* can't run on this machine"):
        program.inference(x=np.zeros((1, 2, 3), np.float32))


def test_a_target_is_one_of_a_list() -> None:
    with pytest.raises(rg.ArgumentError, match=r"unknown target 'z80'; use host, x86-64-v2, .*aarch64-linux.*riscv64"):
        target_of("z80")


@of_x86
def test_a_program_for_a_better_processor_is_an_error() -> None:
    if runs_here("x86-64-v4"):
        pytest.skip("this processor runs every level")
    program = compiled("x86-64-v4")
    with pytest.raises(rg.RnnGraphError, match="x86-64-v4"):
        program.inference(x=feeds()["x"])
