"""Writer of single LLVM instructions, with typed handles as operands and results."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import cache

from ...ir.types import SHORT_NAMES
from ...support.records import NamedTuple
from ..machine.ir_builder import IRBuilder

LLVM_TYPES = {
    "f32": "float",
    "f64": "double",
    "i32": "i32",
    "i64": "i64",
    "i1": "i1",
    "i8": "i8",
    "u8": "i8",
    "i16": "i16",
    "bf16": "i16",
    "f16": "i16",
    "half": "half",
    "bfloat": "bfloat",
    "ptr": "ptr",
}
"""LLVM types of elements.

A bfloat16 is represented by its bits as an integer, because LLVM calls a library for ``bfloat`` on some processors.
``bfloat`` is only the operand type of dot products.
"""
SUFFIXES = {
    "f32": "f32",
    "f64": "f64",
    "i32": "i32",
    "i64": "i64",
    "i1": "i1",
    "i8": "i8",
    "u8": "i8",
    "bf16": "i16",
    "f16": "i16",
}
"""Suffixes of the names of overloaded intrinsics, by element type."""

_SLOW_SHUFFLE_LANES = 16
"""Number of float32 lanes of the shuffles that LLVM takes long to compile."""


class Handle(NamedTuple):
    """Value in LLVM text, such as ``%tanh.3``, with its element type and its number of lanes."""

    text: str
    element: str
    lanes: int

    @property
    def type(self) -> str:
        """LLVM type."""
        return vector_type(self.element, self.lanes)


@cache
def vector_type(element: str, lanes: int) -> str:
    """Return the LLVM type of a vector. For one lane, it is a scalar type."""
    scalar = LLVM_TYPES[element]
    return scalar if lanes == 1 else f"<{lanes} x {scalar}>"


def element_of(dtype: str) -> str:
    """Return the element type of handles for a dtype, a key of ``LLVM_TYPES``."""
    return "i1" if dtype == "bool" else SHORT_NAMES[dtype]


@cache
def memory_element(dtype: str) -> str:
    """Return the element type for a dtype in memory, a key of ``LLVM_TYPES``. In memory, a bool is a byte."""
    return "i8" if dtype == "bool" else element_of(dtype)


def float_text(value: float, element: str) -> str:
    """Return the literal of a float, rounded to its element type: the bits of the double with the same value."""
    if element == "f32":
        try:
            value = struct.unpack("f", struct.pack("f", value))[0]
        except OverflowError:
            value = float("inf") if value > 0 else float("-inf")
    return f"0x{struct.unpack('Q', struct.pack('d', value))[0]:016X}"


class Instructions(IRBuilder):
    """Builder of instructions on typed handles, including vectors.

    Attributes:
        has_fma: True if the target has a fused multiply-add.
        has_estimates: True if the target has estimates of reciprocals, to 14 bits.
        has_scale: True if the target scales by a power of two in one instruction.
        absent: Missing operations, as in ``Target``.
        intrinsics: Declarations of intrinsics that the module needs, by name.
        helpers: Text of functions that the module needs, by name.
    """

    def __init__(
        self,
        lines: list[str],
        has_fma: bool,
        has_estimates: bool,
        intrinsics: dict[str, str],
        helpers: dict[str, str] | None = None,
        absent: tuple[str, ...] = (),
        has_scale: bool = False,
    ) -> None:
        super().__init__(lines)
        self.has_fma, self.has_estimates, self.has_scale, self.absent = has_fma, has_estimates, has_scale, absent
        self.intrinsics, self.helpers = intrinsics, {} if helpers is None else helpers
        self.pairs_of: dict[str, Handle] = {}  # bitcasts of vectors of floats to doubles, by the floats' name

    def emit(self, text: str, element: str, lanes: int, name: str = "v") -> Handle:
        """Write an instruction. Return the handle of the result."""
        return Handle(self.value(text, name), element, lanes)

    def intrinsic(self, name: str, result: Handle | tuple[str, int], *arguments: Handle, overload: str = "") -> Handle:
        """Write a call of ``llvm.<name>``. Return its result, which has the type of ``result``."""
        element, lanes = (result.element, result.lanes) if isinstance(result, Handle) else result
        full = f"llvm.{name}.{overload or overload_suffix(element, lanes)}"
        kind = vector_type(element, lanes)
        if full not in self.intrinsics:
            self.intrinsics[full] = f"declare {kind} @{full}({', '.join([item.type for item in arguments])})"
        operands = ", ".join([f"{item.type} {item.text}" for item in arguments])
        return self.emit(f"call {kind} @{full}({operands})", element, lanes, name.rpartition(".")[2])

    def prefetch(self, pointer: str, for_writing: bool = False) -> None:
        """Write a prefetch of a cache line into L2. Any address is allowed, because prefetches do not fault."""
        self.intrinsics["llvm.prefetch.p0"] = "declare void @llvm.prefetch.p0(ptr, i32, i32, i32)"
        self.lines.append(f"  call void @llvm.prefetch.p0(ptr {pointer}, i32 {int(for_writing)}, i32 2, i32 1)")

    def helper(
        self,
        name: str,
        result: tuple[str, int],
        arguments: Sequence[Handle],
        body: Callable[[Instructions, Sequence[Handle]], Handle],
    ) -> Handle:
        """Write a call of an internal function, whose ``body`` is written once per module. Return the result."""
        kind = vector_type(*result)
        if name not in self.helpers:
            shared = self.intrinsics, self.helpers, self.absent, self.has_scale
            inner = Instructions([], self.has_fma, self.has_estimates, *shared)
            param = [Handle(f"%x{number}", item.element, item.lanes) for number, item in enumerate(arguments)]
            value = body(inner, param)
            parameters = ", ".join(f"{item.type} {item.text}" for item in param)
            head, last = f"define internal {kind} @{name}({parameters}) #0 {{", f"  ret {value.type} {value.text}"
            self.helpers[name] = "\n".join([head, *inner.lines, last, "}", ""])
        operands = ", ".join(f"{item.type} {item.text}" for item in arguments)
        return self.emit(f"call {kind} @{name}({operands})", *result, name="of")

    def repeat(
        self, start: Sequence[Handle], body: Callable[[Sequence[Handle]], tuple[Sequence[Handle], Handle]]
    ) -> list[Handle]:
        """Write a loop that updates values by ``body`` while any lane of its mask is true. Return the final values.

        A loop ends the current basic block. It is allowed only in a ``helper``, because no other code refers to the
        blocks of a helper.

        Args:
            start: Initial values.
            body: Function that writes an iteration, and returns the next values and a mask. The loop continues while
                any lane of the mask is true.
        """
        self.count += 1
        before, turn, after = (f"{name}.{self.count}" for name in ("before", "turn", "after"))
        self.lines += [f"  br label %{before}", f"{before}:", f"  br label %{turn}", f"{turn}:"]
        values = [item._replace(text=f"%turn.{self.count}.{number}") for number, item in enumerate(start)]
        place = len(self.lines)
        following, mask = body(values)
        continues = self.any_lane(mask)
        self.lines[place:place] = [
            f"  {value.text} = phi {value.type} [ {first.text}, %{before} ], [ {last.text}, %{turn} ]"
            for value, first, last in zip(values, start, following, strict=True)
        ]
        self.lines += [f"  br i1 {continues.text}, label %{turn}, label %{after}", f"{after}:"]
        return [*following]

    def frozen(self, x: Handle) -> Handle:
        """Freeze a value that may be undefined in LLVM, so that a branch may depend on it."""
        return self.emit(f"freeze {x.type} {x.text}", x.element, x.lanes, "frozen")

    def any_lane(self, mask: Handle) -> Handle:
        """Return a scalar that is true if any lane of a mask is true."""
        if mask.lanes == 1:
            return mask
        return self.intrinsic("vector.reduce.or", ("i1", 1), mask, overload=f"v{mask.lanes}i1")

    def binary(self, op: str, x: Handle, y: Handle, name: str = "") -> Handle:
        """Write an instruction whose two operands and result have the same type."""
        return self.emit(f"{op} {x.type} {x.text}, {y.text}", x.element, x.lanes, name or op)

    # Constants and types -------------------------------------------------------------------------

    def dtype_of(self, x: Handle) -> str:
        """Return the dtype of a float."""
        return "float32" if x.element == "f32" else "float64"

    def constant(self, value: float, like: Handle) -> Handle:
        """Return a constant of the type of ``like``."""
        return self.literal(value, like.element, like.lanes)

    def literal(self, value: float, element: str, lanes: int) -> Handle:
        """Return a constant that is equal in all lanes."""
        if element in ("f32", "f64"):
            text = float_text(float(value), element)
        elif element == "i1":
            text = "true" if value else "false"
        else:
            text = str(int(value))
        if lanes > 1:
            text = f"splat ({LLVM_TYPES[element]} {text})"
        return Handle(text, element, lanes)

    # Floats --------------------------------------------------------------------------------------

    def add(self, x: Handle, y: Handle) -> Handle:
        return self.binary("fadd", x, y)

    def sub(self, x: Handle, y: Handle) -> Handle:
        return self.binary("fsub", x, y)

    def mul(self, x: Handle, y: Handle) -> Handle:
        return self.binary("fmul", x, y)

    def div(self, x: Handle, y: Handle) -> Handle:
        return self.binary("fdiv", x, y)

    def neg(self, x: Handle) -> Handle:
        return self.emit(f"fneg {x.type} {x.text}", x.element, x.lanes, "fneg")

    def fma(self, x: Handle, y: Handle, z: Handle) -> Handle:
        if self.has_fma:
            return self.intrinsic("fma", x, x, y, z)
        return self.add(self.mul(x, y), z)  # llvm.fma would become a call of fmaf

    def wider(self, x: Handle, lanes: int) -> Handle:
        """Return a longer vector of ``lanes`` lanes, which repeats the lanes of ``x``."""
        return self.splat(x, lanes) if x.lanes == 1 else self.shuffle(x, x, [lane % x.lanes for lane in range(lanes)])

    def reciprocal_estimate(self, x: Handle) -> Handle | None:
        """Return an estimate of 1/x for float32; None for float64, or if the target has no estimates.

        For float64, an estimate would need three corrections. Fewer than four lanes use a part of a vector of four.
        """
        if not self.has_estimates or x.element != "f32":
            return None
        if x.lanes < 4:
            narrow = self._estimate(self.wider(x, 4))
            return self.extract(narrow, 0) if x.lanes == 1 else self.shuffle(narrow, narrow, (0, 1))
        return self._estimate(x)

    def scale(self, x: Handle, exponent: Handle) -> Handle | None:
        """Return x·2^exponent, for an integral float as exponent; None if the target has no such instruction."""
        if not self.has_scale:
            return None
        least = 4 if x.element == "f32" else 2
        if x.lanes >= least:
            return self._scale(x, exponent)
        narrow = self._scale(self.wider(x, least), self.wider(exponent, least))
        return self.extract(narrow, 0) if x.lanes == 1 else self.shuffle(narrow, narrow, range(x.lanes))

    def _scale(self, x: Handle, exponent: Handle) -> Handle:
        kind, bits = ("ps", 32) if x.element == "f32" else ("pd", 64)
        name, mask = f"llvm.x86.avx512.mask.scalef.{kind}.{bits * x.lanes}", f"i{max(8, x.lanes)}"
        is_whole = bits * x.lanes == 512  # only 512-bit vectors have an operand for rounding; 4 is the current mode
        types = [x.type, x.type, x.type, mask, *(["i32"] * is_whole)]
        self.intrinsics[name] = f"declare {x.type} @{name}({', '.join(types)})"
        values = [x.text, exponent.text, "zeroinitializer", "-1", *(["4"] * is_whole)]
        operands = ", ".join(f"{of} {value}" for of, value in zip(types, values, strict=True))
        return self.emit(f"call {x.type} @{name}({operands})", x.element, x.lanes, "scale")

    def _estimate(self, x: Handle) -> Handle:
        """Write a call of the instruction for ``reciprocal_estimate``."""
        name, mask = f"llvm.x86.avx512.rcp14.ps.{32 * x.lanes}", f"i{max(8, x.lanes)}"
        self.intrinsics[name] = f"declare {x.type} @{name}({x.type}, {x.type}, {mask})"
        operands = f"{x.type} {x.text}, {x.type} zeroinitializer, {mask} -1"
        return self.emit(f"call {x.type} @{name}({operands})", x.element, x.lanes, "estimate")

    def sqrt(self, x: Handle) -> Handle:
        return self.intrinsic("sqrt", x, x)

    def abs(self, x: Handle) -> Handle:
        return self.intrinsic("fabs", x, x)

    def copysign(self, magnitude: Handle, sign: Handle) -> Handle:
        return self.intrinsic("copysign", magnitude, magnitude, sign)

    def round_even(self, x: Handle) -> Handle:
        if "rounding" not in self.absent:
            return self.intrinsic("roundeven", x, x)
        # ``whole`` and all larger floats are integral. Adding it to a smaller float rounds that float to an integer.
        whole = self.constant(2.0**23 if x.element == "f32" else 2.0**52, x)
        magnitude = self.abs(x)
        rounded = self.copysign(self.sub(self.add(magnitude, whole), whole), x)
        return self.select(self.compare("olt", magnitude, whole), rounded, x)

    def compare(self, op: str, x: Handle, y: Handle) -> Handle:
        """Write a comparison by LLVM's name of it, such as ``olt``. Return a mask."""
        kind = "fcmp" if x.element in ("f32", "f64") else "icmp"
        return self.emit(f"{kind} {op} {x.type} {x.text}, {y.text}", "i1", x.lanes, "is")

    def select(self, mask: Handle, x: Handle, y: Handle) -> Handle:
        text = f"select {mask.type} {mask.text}, {x.type} {x.text}, {y.type} {y.text}"
        return self.emit(text, x.element, x.lanes, "select")

    # Conversions ---------------------------------------------------------------------------------

    def convert(self, op: str, x: Handle, element: str) -> Handle:
        """Write a conversion by LLVM's name of it, such as ``sitofp``."""
        return self.emit(f"{op} {x.type} {x.text} to {vector_type(element, x.lanes)}", element, x.lanes, op)

    def bits(self, x: Handle) -> Handle:
        """Return the bits of floats as integers."""
        return self.convert("bitcast", x, "i32" if x.element == "f32" else "i64")

    def from_bits(self, x: Handle) -> Handle:
        """Return the floats with the given bits."""
        return self.convert("bitcast", x, "f32" if x.element == "i32" else "f64")

    # Integers and masks --------------------------------------------------------------------------

    def iadd(self, x: Handle, y: Handle) -> Handle:
        return self.binary("add", x, y)

    def isub(self, x: Handle, y: Handle) -> Handle:
        return self.binary("sub", x, y)

    def imul(self, x: Handle, y: Handle) -> Handle:
        return self.binary("mul", x, y)

    def and_(self, x: Handle, y: Handle) -> Handle:
        return self.binary("and", x, y)

    def or_(self, x: Handle, y: Handle) -> Handle:
        return self.binary("or", x, y)

    def xor(self, x: Handle, y: Handle) -> Handle:
        return self.binary("xor", x, y)

    def shl(self, x: Handle, count: int) -> Handle:
        return self.binary("shl", x, self.constant(count, x))

    def lshr(self, x: Handle, count: int) -> Handle:
        return self.binary("lshr", x, self.constant(count, x))

    def ashr(self, x: Handle, count: int) -> Handle:
        return self.binary("ashr", x, self.constant(count, x))

    def logical_and(self, x: Handle, y: Handle) -> Handle:
        return self.binary("and", x, y)

    def logical_or(self, x: Handle, y: Handle) -> Handle:
        return self.binary("or", x, y)

    def logical_not(self, x: Handle) -> Handle:
        return self.binary("xor", x, self.constant(1, x))

    # Lanes ---------------------------------------------------------------------------------------

    def splat(self, x: Handle, lanes: int) -> Handle:
        """Return a scalar broadcast to a vector of ``lanes`` lanes."""
        if x.lanes == lanes:
            return x
        if not x.text.startswith("%"):  # a literal
            return Handle(f"splat ({x.type} {x.text})", x.element, lanes)
        kind = vector_type(x.element, lanes)
        first = self.emit(f"insertelement {kind} poison, {x.type} {x.text}, i64 0", x.element, lanes, "first")
        return self.emit(
            f"shufflevector {kind} {first.text}, {kind} poison, <{lanes} x i32> zeroinitializer",
            x.element,
            lanes,
            "splat",
        )

    def lane_numbers(self, lanes: int, element: str = "i64") -> Handle:
        """Return a vector of the lane indices 0, 1, 2, …"""
        scalar = LLVM_TYPES[element]
        if lanes == 1:
            return Handle("0", element, 1)
        return Handle(f"<{', '.join(f'{scalar} {lane}' for lane in range(lanes))}>", element, lanes)

    def first_lanes(self, valid: int, lanes: int) -> Handle:
        """Return a mask that is true in the first ``valid`` lanes."""
        bits = ", ".join(f"i1 {'true' if lane < valid else 'false'}" for lane in range(lanes))
        return Handle(f"<{bits}>", "i1", lanes)

    def shuffle(self, x: Handle, y: Handle, order: Sequence[int]) -> Handle:
        """Return the lanes with indices ``order`` of the concatenation of two vectors."""
        if x.element == "f32" and x.lanes == len(order) == _SLOW_SHUFFLE_LANES and _moves_pairs(order):
            return self._shuffle_pairs(x, y, [place // 2 for place in order[::2]])
        places = ", ".join(f"i32 {place}" for place in order)
        text = f"shufflevector {x.type} {x.text}, {y.type} {y.text}, <{len(order)} x i32> <{places}>"
        return self.emit(text, x.element, len(order), "shuffle")

    def _shuffle_pairs(self, x: Handle, y: Handle, order: Sequence[int]) -> Handle:
        """Shuffle pairs of floats as doubles. LLVM compiles this to the same instruction, in half the time."""
        wide = vector_type("f64", len(order))
        pairs = [
            self.pairs_of.get(item.text) or self.emit(f"bitcast {item.type} {item.text} to {wide}", "f64", len(order))
            for item in (x, y)
        ]
        shuffled = self.shuffle(pairs[0], pairs[1], order)
        result = self.emit(f"bitcast {wide} {shuffled.text} to {x.type}", x.element, x.lanes, "shuffle")
        self.pairs_of[result.text] = shuffled
        return result

    def halves(self, x: Handle) -> tuple[Handle, Handle]:
        """Return the lower and the upper half of the lanes."""
        half = x.lanes // 2
        if half == 1:  # LLVM's type of a scalar is not that of a vector of one lane
            return self.extract(x, 0), self.extract(x, 1)
        return self.shuffle(x, x, range(half)), self.shuffle(x, x, range(half, x.lanes))

    def each_lane(self, x: Handle, body: Callable[[Handle], Handle]) -> Handle:
        """Apply ``body`` to each lane as a scalar, and return the vector of the results."""
        if x.lanes == 1:
            return body(x)
        results = [body(self.extract(x, lane)) for lane in range(x.lanes)]
        kind, whole = vector_type(results[0].element, x.lanes), "poison"
        for lane, item in enumerate(results):
            text = f"insertelement {kind} {whole}, {item.type} {item.text}, i64 {lane}"
            whole = self.emit(text, item.element, x.lanes, "lanes").text
        return Handle(whole, results[0].element, x.lanes)

    def extract(self, x: Handle, lane: int) -> Handle:
        """Return one lane as a scalar."""
        if x.lanes == 1:
            return x
        return self.emit(f"extractelement {x.type} {x.text}, i64 {lane}", x.element, 1, "lane")


def _moves_pairs(order: Sequence[int]) -> bool:
    """True if a shuffle keeps together the lanes 2i and 2i + 1, for all i."""
    return all(even % 2 == 0 and odd == even + 1 for even, odd in zip(order[::2], order[1::2], strict=True))


def overload_suffix(element: str, lanes: int) -> str:
    """Return the suffix of an intrinsic's name for a type, such as ``v8f32``."""
    return SUFFIXES[element] if lanes == 1 else f"v{lanes}{SUFFIXES[element]}"
