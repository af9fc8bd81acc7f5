"""``Model``: declares a GGUF file's tensors as parameters, products and norms in a script.

A matrix keeps the file's layout [outputs, inputs] and the stored numbers. Products transpose it without a cost at run
time, because weights are packed once.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...declare.functions.basic import cast, gather, reshape, split, transpose
from ...declare.functions.normalization import layer_norm, rms_norm
from ...declare.functions.padding import pad
from ...declare.functions.rounding import dequantize
from ...declare.parameters import parameter
from ...storage.stored_array import StoredArray
from ...support.errors import shown
from ..script import Script
from ..steps import Value
from .container import Container, Stored
from .stored import BF16, BLOCK_BYTES, Q4_0, arrays_of, floats_of

KINDS = {"int4": "*/int4/*", "int8_blocks": "*/int8_blocks/*", "bfloat16": "*/bfloat16"}
"""{storage format, as in ``rg.compile(weights=…)``: pattern of the names of parameters that the file stores so}."""
MAX_COUNT = 1 << 24
"""Maximum of a size in the metadata, far above real nets, so that a damaged file causes no huge allocation."""


class Model:
    """Tensors and metadata of a file, for the declaration of a net in a script.

    Attributes:
        script: The script.
        kinds: Storage formats of the weights that products have read so far: keys of ``KINDS``.
    """

    def __init__(self, container: Container, architecture: str, script: Script) -> None:
        self.script, self._container, self._architecture = script, container, architecture
        self._vectors: dict[str, Value] = {}
        self._matrices: dict[str, dict[str, Value]] = {}
        self._used, self._places = set[str](), set[str]()
        self.kinds: set[str] = set()

    # Metadata ------------------------------------------------------------------------------------

    def count(self, key: str, default: int | None = None, minimum: int = 1) -> int:
        """Return a size from the architecture's metadata.

        Raise ``FileError`` unless it is an int from ``minimum`` to ``MAX_COUNT``. A missing size is ``default``.
        """
        value = self._fact(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= MAX_COUNT:
            raise self._container.damaged(
                f"{self._key(key)} is {shown(value)}; it must be a whole number from {minimum} to {MAX_COUNT:,}"
            )
        return value

    def real(self, key: str, default: float | None = None) -> float:
        """Return a number in [0, 1) of the architecture's metadata, such as an epsilon, to 7 digits.

        Raise ``FileError`` for other values, and if the key is missing without a default.
        """
        value = self._fact(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
            raise self._container.damaged(f"{self._key(key)} is {shown(value)}; it must be at least 0, and below 1")
        return float(f"{value:.7g}")

    def share(self, whole: int, part: int, what: str) -> int:
        """Return whole / part. If the division has a remainder, raise ``FileError`` that names ``what``."""
        if whole % part:
            raise self._container.damaged(f"{what}: {part} does not divide {whole}")
        return whole // part

    def flag(self, key: str) -> bool:
        """Return a bool from the architecture's metadata; False if the key is missing."""
        return bool(self._fact(key, False))

    def _fact(self, key: str, default: Any) -> Any:
        """Return a value of the architecture's metadata, or ``default`` if it is missing.

        Raise ``FileError`` if it is missing, and the default is None.
        """
        value = self._container.metadata.get(self._key(key), default)
        if value is None:
            raise self._container.damaged(f"{self._key(key)} is missing")
        return value

    def _key(self, key: str) -> str:
        """Return a metadata key with the prefix of the architecture, such as ``rwkv6.block_count``."""
        return f"{self._architecture}.{key}"

    # Tensors -------------------------------------------------------------------------------------

    def has(self, name: str) -> bool:
        return name in self._container.tensors

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor. Raise ``FileError`` if the tensor is missing."""
        return self._tensor(name).shape

    def unused(self) -> list[str]:
        """Return the names of the file's tensors that no declaration has read so far."""
        return [name for name in self._container.tensors if name not in self._used]

    def ignore(self, *names: str) -> None:
        """Exclude tensors that llama.cpp ignores from the result of ``unused``."""
        self._used |= {*names}

    def floats(self, name: str, *shape: int) -> np.ndarray:
        """Return a small tensor as float32 [shape]. The file's shape may differ in axes of size 1, or be 1-D."""
        tensor = self._tensor(name)
        have, want = ([size for size in sizes if size > 1] for sizes in (tensor.shape, shape))
        if have not in (want, [math.prod(want)]):
            raise self._misshapen(tensor, shape)
        return floats_of(self._container, tensor).reshape(shape)

    def vector(self, name: str, *shape: int) -> Value:
        """Declare a small tensor as a float32 parameter [shape]."""
        if name not in self._vectors:
            self._vectors[name] = self._parameter(name, self.floats(name, *shape), "float32")
        return self._vectors[name]

    def product(self, x: Value, name: str, outputs: int, inputs: int) -> Value:
        """Declare the product of x [..., inputs] and a tensor [outputs, inputs], transposed."""
        return self.script.operation("@", x, self.matrix(name, outputs, inputs))

    def matrix(self, name: str, outputs: int, inputs: int) -> Value:
        """Declare a tensor that is stored as [outputs, inputs], and return it transposed: [inputs, outputs].

        ``outputs`` may be several axes of the stored tensor.
        """
        parts = self._declare_stored(name, outputs, inputs)
        self.kinds |= {kind for kind in KINDS if f"{name}/{kind}" in self._places}
        turned = {key: self.script.call(transpose, part, (1, 0)) for key, part in parts.items()}
        return self._declare_floats(name, turned, 0)

    def embedding(self, ids: Value, name: str, vocabulary: int, width: int) -> Value:
        """Declare an embedding lookup: the rows of a table [vocabulary, width] at ``ids``."""
        parts = self._declare_stored(name, vocabulary, width)
        return self._declare_floats(name, {key: self.script.call(gather, part, ids) for key, part in parts.items()}, -1)

    def _declare_floats(self, name: str, parts: dict[str, Value], axis: int) -> Value:
        """Declare the float32 tensor that a stored tensor's parameters encode.

        Args:
            name: Name of the tensor.
            parts: The tensor's parameters, from ``_declare_stored``, gathered or transposed.
            axis: Axis along which the blocks lie.
        """
        stored = self._container.tensors[name].type
        if "scales" in parts:
            options: dict[str, object] = {"bits": 4} if stored == Q4_0 else {}
            return self.script.call(dequantize, parts["numbers"], parts["scales"], axis, **options, hint="w")
        return self.script.call(cast, parts[""], "float32", hint="w") if stored == BF16 else parts[""]

    def _declare_stored(self, name: str, rows: int, width: int) -> dict[str, Value]:
        """Declare the parameters that store a tensor, each a matrix of ``rows`` rows, once for all calls.

        Returns:
            The parameters by the keys of ``stored.Arrays``: ``""``, or ``numbers`` and ``scales``.
        """
        if name in self._matrices:
            return self._matrices[name]
        tensor = self._tensor(name)
        if tensor.shape[-1] != width or math.prod(tensor.shape[:-1]) != rows:
            raise self._misshapen(tensor, (rows, width))
        if tensor.type in BLOCK_BYTES:
            place = f"{name}/{'int4' if tensor.type == Q4_0 else 'int8_blocks'}"
            self._places.add(place)
            arrays = arrays_of(self._container, tensor, rows)
            parts = {
                key: self._parameter(f"{place}/{key}", array, str(array.dtype), key) for key, array in arrays.items()
            }
        else:
            array = arrays_of(self._container, tensor, rows)[""]
            is_narrow = tensor.type == BF16
            place = f"{name}/bfloat16" if is_narrow else name
            self._places.add(place)
            parts = {"": self._parameter(place, array, "bfloat16" if is_narrow else "float32")}
        self._matrices[name] = parts
        return parts

    def _parameter(self, name: str, array: np.ndarray | StoredArray, dtype: str, hint: str = "w") -> Value:
        """Declare a stored array as a parameter. It is trainable if it is float32, and not the scales of blocks."""
        self.script.parameters[name] = array
        options: dict[str, object] = {"initializer": "zeros"}
        if dtype != "float32":
            options |= {"trainable": False, "dtype": dtype}
        elif hint == "scales":
            options |= {"trainable": False}
        return self.script.call(parameter, name, tuple(array.shape), **options, hint=hint)

    def _tensor(self, name: str) -> Stored:
        if name not in self._container.tensors:
            raise self._container.damaged(f"tensor {name} is missing")
        self._used.add(name)
        return self._container.tensors[name]

    def _misshapen(self, tensor: Stored, shape: tuple[int, ...]) -> Exception:
        return self._container.damaged(f"{tensor.name} has shape {list(tensor.shape)}; it must be {list(shape)}")

    # Norms and reshapes --------------------------------------------------------------------------

    def affine_of(self, name: str, *shape: int) -> tuple[Value, Value]:
        """Declare ``name.weight`` and ``name.bias`` [shape]."""
        return self.vector(f"{name}.weight", *shape), self.vector(f"{name}.bias", *shape)

    def layer_norm(self, x: Value, name: str, width: int, epsilon: float) -> Value:
        """Declare a layer norm with ``name.weight`` and ``name.bias``."""
        return self.script.call(layer_norm, x, *self.affine_of(name, width), epsilon)

    def rms_norm(self, x: Value, name: str, width: int, epsilon: float) -> Value:
        """Declare an RMS norm with ``name.weight``."""
        return self.script.call(rms_norm, x, self.vector(f"{name}.weight", width), epsilon=epsilon)

    def add(self, left: Any, right: Any) -> Value:
        return self.script.operation("+", left, right)

    def multiply(self, left: Any, right: Any) -> Value:
        return self.script.operation("*", left, right)

    def heads(self, x: Value, heads: int, width: int) -> Value:
        """Declare the reshape of x [batch, time, heads · width] to [batch, time, heads, width]."""
        return self.script.call(reshape, x, (None, None, heads, width))

    def flat(self, x: Value, width: int) -> Value:
        """Declare the reshape of x [batch, time, ...] to [batch, time, width]."""
        return self.script.call(reshape, x, (None, None, width))

    def delayed(self, x: Value) -> Value:
        """Declare x [batch, time, ...] delayed by one step, with zeros at the first step."""
        none = (0, 0)
        padded = self.script.call(pad, x, (none, (1, 0), *[none] * (x.tensor.rank - 2)))
        return self.script.item(padded, slice(None), slice(None, -1))

    def split(self, x: Value, *widths: int) -> list[Value]:
        """Declare the split of x along the last axis into tensors of these widths."""
        return [*self.script.call(split, x, list(widths), hint=tuple(f"x_{place}" for place in range(len(widths))))]
