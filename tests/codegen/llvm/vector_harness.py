"""A minimal code generator for `rnngraph.codegen.llvm.vecmath`, which writes LLVM IR and runs it with llvmlite.

It is independent of the library's code generator, so that the functions are tested separately.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import numpy as np
import numpy.typing as npt

from rnngraph.codegen.llvm.vecmath import Handle, VectorBuilder

Array = npt.NDArray[Any]
Emit = Callable[[VectorBuilder, Handle], Handle]


class Value:
    """Name of an SSA value, or constant, with its LLVM type and its kind of element."""

    def __init__(self, text: str, element: str) -> None:
        self.text = text
        self.element = element


class TextBuilder:
    """A `VectorBuilder` that writes lines of LLVM IR.

    Without `fused`, fma is a product and a sum. With `estimates`, instructions of AVX-512 estimate reciprocals and
    scale by powers of two.
    """

    def __init__(self, lanes: int, fused: bool = True, estimates: bool = False) -> None:
        self.lanes = lanes
        self.fused = fused
        self.estimates = estimates
        self.lines: list[str] = []
        self.intrinsics: set[str] = set()
        self._names = 0

    @property
    def has_fma(self) -> bool:
        """True if fma rounds once."""
        return self.fused

    def type_of(self, element: str) -> str:
        """Return the vector type with this element."""
        return f"<{self.lanes} x {element}>"

    def emit(self, text: str, element: str) -> Value:
        """Append one instruction and return its result."""
        self._names += 1
        name = f"%v{self._names}"
        self.lines.append(f"  {name} = {text}")
        return Value(name, element)

    def _binary(self, op: str, x: Handle, y: Handle) -> Value:
        x, y = self._value(x), self._value(y)
        assert x.element == y.element, (op, x.element, y.element)
        return self.emit(f"{op} {self.type_of(x.element)} {x.text}, {y.text}", x.element)

    def _intrinsic(self, name: str, *operands: Handle) -> Value:
        values = [self._value(x) for x in operands]
        element = values[0].element
        vector = self.type_of(element)
        full = f"@llvm.{name}.v{self.lanes}f{32 if element == 'float' else 64}"
        self.intrinsics.add(f"declare {vector} {full}({', '.join([vector] * len(values))})")
        return self.emit(f"call {vector} {full}({', '.join(f'{vector} {v.text}' for v in values)})", element)

    @staticmethod
    def _value(x: Handle) -> Value:
        assert isinstance(x, Value)
        return x

    def dtype_of(self, x: Handle) -> str:
        return {"float": "float32", "double": "float64"}[self._value(x).element]

    def constant(self, value: float, like: Handle) -> Handle:
        element = self._value(like).element
        if element in ("float", "double"):
            rounded = float(np.float32(value)) if element == "float" else float(value)
            literal = f"0x{struct.unpack('>Q', struct.pack('>d', rounded))[0]:016X}"
        else:
            literal = str(int(value))
        return Value(f"splat ({element} {literal})", element)

    def add(self, x: Handle, y: Handle) -> Handle:
        return self._binary("fadd", x, y)

    def sub(self, x: Handle, y: Handle) -> Handle:
        return self._binary("fsub", x, y)

    def mul(self, x: Handle, y: Handle) -> Handle:
        return self._binary("fmul", x, y)

    def div(self, x: Handle, y: Handle) -> Handle:
        return self._binary("fdiv", x, y)

    def neg(self, x: Handle) -> Handle:
        value = self._value(x)
        return self.emit(f"fneg {self.type_of(value.element)} {value.text}", value.element)

    def reciprocal_estimate(self, x: Handle) -> Handle | None:
        value = self._value(x)
        if not self.estimates or value.element != "float":
            return None
        kind, mask = self.type_of("float"), f"i{max(8, self.lanes)}"
        name = f"@llvm.x86.avx512.rcp14.ps.{32 * self.lanes}"
        self.intrinsics.add(f"declare {kind} {name}({kind}, {kind}, {mask})")
        return self.emit(f"call {kind} {name}({kind} {value.text}, {kind} zeroinitializer, {mask} -1)", "float")

    def scale(self, x: Handle, exponent: Handle) -> Handle | None:
        value, power = self._value(x), self._value(exponent)
        kind, bits = ("ps", 32) if value.element == "float" else ("pd", 64)
        if not self.estimates:
            return None
        is_whole = bits * self.lanes == 512
        name = f"@llvm.x86.avx512.mask.scalef.{kind}.{bits * self.lanes}"
        vector, mask = self.type_of(value.element), f"i{max(8, self.lanes)}"
        self.intrinsics.add(f"declare {vector} {name}({vector}, {vector}, {vector}, {mask}{', i32' * is_whole})")
        given = f"{vector} {value.text}, {vector} {power.text}, {vector} zeroinitializer, {mask} -1"
        return self.emit(f"call {vector} {name}({given}{', i32 4' * is_whole})", value.element)

    def fma(self, x: Handle, y: Handle, z: Handle) -> Handle:
        return self._intrinsic("fma", x, y, z) if self.fused else self.add(self.mul(x, y), z)

    def sqrt(self, x: Handle) -> Handle:
        return self._intrinsic("sqrt", x)

    def abs(self, x: Handle) -> Handle:
        return self._intrinsic("fabs", x)

    def copysign(self, magnitude: Handle, sign: Handle) -> Handle:
        return self._intrinsic("copysign", magnitude, sign)

    def compare(self, op: str, x: Handle, y: Handle) -> Handle:
        value = self._value(x)
        instruction = "fcmp" if value.element in ("float", "double") else "icmp"
        vector = self.type_of(value.element)
        return self.emit(f"{instruction} {op} {vector} {value.text}, {self._value(y).text}", "i1")

    def select(self, mask: Handle, x: Handle, y: Handle) -> Handle:
        chosen, other = self._value(x), self._value(y)
        vector = self.type_of(chosen.element)
        condition = f"{self.type_of('i1')} {self._value(mask).text}"
        return self.emit(f"select {condition}, {vector} {chosen.text}, {vector} {other.text}", chosen.element)

    def _cast(self, x: Handle, element: str) -> Handle:
        value = self._value(x)
        return self.emit(f"bitcast {self.type_of(value.element)} {value.text} to {self.type_of(element)}", element)

    def bits(self, x: Handle) -> Handle:
        return self._cast(x, {"float": "i32", "double": "i64"}[self._value(x).element])

    def from_bits(self, i: Handle) -> Handle:
        return self._cast(i, {"i32": "float", "i64": "double"}[self._value(i).element])

    def iadd(self, x: Handle, y: Handle) -> Handle:
        return self._binary("add", x, y)

    def isub(self, x: Handle, y: Handle) -> Handle:
        return self._binary("sub", x, y)

    def and_(self, x: Handle, y: Handle) -> Handle:
        return self._binary("and", x, y)

    def or_(self, x: Handle, y: Handle) -> Handle:
        return self._binary("or", x, y)

    def xor(self, x: Handle, y: Handle) -> Handle:
        return self._binary("xor", x, y)

    def shl(self, x: Handle, count: int) -> Handle:
        return self._binary("shl", x, self.constant(count, like=x))

    def lshr(self, x: Handle, count: int) -> Handle:
        return self._binary("lshr", x, self.constant(count, like=x))


def function_text(emit: Emit, dtype: str, lanes: int, fused: bool = True, estimates: bool = False) -> str:
    """Return a module with `f(in, out, n)`, which applies `emit` to n >= 1 vectors."""
    element = {"float32": "float", "float64": "double"}[dtype]
    builder = TextBuilder(lanes, fused, estimates)
    result = emit(builder, Value("%x", element))
    assert isinstance(result, Value)
    vector = builder.type_of(element)
    lines = [
        *sorted(builder.intrinsics),
        "define void @f(ptr %in, ptr %out, i64 %n) #0 {",
        "entry:",
        "  br label %loop",
        "loop:",
        "  %i = phi i64 [ 0, %entry ], [ %next, %loop ]",
        f"  %source = getelementptr {vector}, ptr %in, i64 %i",
        f"  %x = load {vector}, ptr %source, align 4",
        *builder.lines,
        f"  %target = getelementptr {vector}, ptr %out, i64 %i",
        f"  store {vector} {result.text}, ptr %target, align 4",
        "  %next = add i64 %i, 1",
        "  %more = icmp ult i64 %next, %n",
        "  br i1 %more, label %loop, label %exit",
        "exit:",
        "  ret void",
        "}",
        'attributes #0 = { nounwind "no-builtins" }',
    ]
    return "\n".join(lines) + "\n"


class Compiled:
    """Native code of a function for arrays whose length is a multiple of the number of lanes."""

    def __init__(
        self,
        emit: Emit,
        dtype: str,
        lanes: int = 0,
        fused: bool = True,
        estimates: bool = False,
        cpu: str = "",
        features: str = "",
        optimize: bool = False,
    ) -> None:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        self.dtype = dtype
        self.lanes = lanes or {"float32": 8, "float64": 4}[dtype]
        self.text = function_text(emit, dtype, self.lanes, fused, estimates)
        module = llvm.parse_assembly(self.text)
        module.verify()
        machine = llvm.Target.from_default_triple().create_target_machine(
            cpu=cpu or llvm.get_host_cpu_name(),
            features=features or ("" if cpu else llvm.get_host_cpu_features().flatten()),
            opt=3,
        )
        if optimize:
            passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
            passes.getModulePassManager().run(module, passes)
        self.assembly = machine.emit_assembly(module)
        self._engine = llvm.create_mcjit_compiler(module, machine)
        self._engine.finalize_object()
        address = self._engine.get_function_address("f")
        self._function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(address)

    def __call__(self, x: Array, out: Array | None = None) -> Array:
        """Apply the function to all elements, which are padded to whole vectors."""
        count = x.size
        padded = np.ascontiguousarray(np.resize(x, -(-count // self.lanes) * self.lanes), dtype=self.dtype)
        result = np.empty_like(padded) if out is None else out
        self._function(padded.ctypes.data, result.ctypes.data, padded.size // self.lanes)
        return result[:count]
