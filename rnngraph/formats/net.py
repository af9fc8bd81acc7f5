"""Result of a reader, which can be compiled, written as a script, and saved."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import numpy as np

from ..declare.public_types import public_type
from ..declare.tensor import Tensor
from ..program.program import Program
from ..program.program import compile as compile_outputs
from ..storage.array_file import safetensors_of
from ..storage.atomic_file import as_path
from ..storage.shared_folder import Writer, files_into
from ..storage.stored_array import StoredArray, as_array
from ..support.api_guard import api, handed_on
from ..support.attribute_hints import OF_PARAMETERS, Telling, Uncallable, Uncalled
from ..support.errors import NameLookupError, did_you_mean, shown
from .script import Script
from .script_writer import WEIGHTS

SCRIPT = "net.py"
NETS = Writer(
    manifest="rnngraph-net.json",
    what="earlier call",
    about="Files of a net that rnngraph wrote, with their SHA-256. Only files with these hashes are overwritten.",
    names_of=lambda net: {SCRIPT, WEIGHTS},
)


Item = TypeVar("Item")


class Frozen(Telling, Mapping[str, Item]):
    """Read-only inputs, outputs or parameters of a net, by name."""

    def __init__(self, items: dict[str, Item]) -> None:
        self._items = items

    def __getitem__(self, name: str) -> Item:
        if isinstance(name, str) and name in self._items:
            return self._items[name]
        raise NameLookupError(
            f"the net has no {shown(name)} in this mapping"
            f"{did_you_mean(name, self) or '; there are ' + ', '.join(self)}"
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __or__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return {**self, **other}

    def __ror__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return {**other, **self}

    def __repr__(self) -> str:
        return repr(self._items)


class Arrays(Uncallable, Frozen[Any]):
    """Read-only parameters of a net, by name. An array in a file is read at each access, and not kept."""

    _instead = OF_PARAMETERS

    def __init__(self, arrays: Mapping[str, np.ndarray | StoredArray]) -> None:
        super().__init__(dict(arrays))
        for array in arrays.values():
            if isinstance(array, np.ndarray):
                array.flags.writeable = False

    def __getitem__(self, name: str) -> np.ndarray:
        return as_array(super().__getitem__(name))


@api
class Net(Uncalled):
    """Net that was read from a file or a module, declared with the public API.

    Attributes:
        inputs: {name: Tensor}, with the file's names and in its order.
        outputs: {name: Tensor}, with the file's names and in its order.
        parameters: {name: array}, read-only, with the names of ``program().parameters``.
        sizes: {input: {axis: size}}. A size is a number, the name of a symbolic size, or None for an unnamed symbolic
            size. ``print(net)`` shows why axes are fixed.
        vocabulary: Tokens by id, if the file has them; None otherwise.
        metadata: Further numbers and strings of the file, by the file's keys.
    """

    _program = "net.program()"

    def __init__(self, script: Script) -> None:
        script.settle_parameters()
        self.vocabulary: list[str | bytes] | None = None
        self.metadata: Mapping[str, int | float | bool | str] = {}
        self._script = script
        self.inputs: Mapping[str, Tensor] = Frozen({name: value.tensor for name, value in script.inputs.items()})
        self.outputs: Mapping[str, Tensor] = Frozen({name: value.tensor for name, value in script.outputs.items()})
        for spec, name in script.parameter_names().items():
            if name in script.parameters:
                spec.begin_with(script.parameters[name])
        self.parameters: Mapping[str, np.ndarray] = Arrays(script.parameters)
        self.sizes: Mapping[str, dict[int, int | str | None]] = Frozen(
            {name: dict(enumerate(tensor.shape)) for name, tensor in self.inputs.items()}
        )

    def __str__(self) -> str:
        return "\n".join([repr(self), *self.size_notes()])

    def size_notes(self) -> list[str]:
        """Return lines of text about sizes: which axes of each input are symbolic, and why the others are fixed.

        Further lines name values that symbolic sizes must not have, their limits, and the net's quantization.
        """
        notes = []
        for name, axes in self.sizes.items():
            parts = [_axis_text(axis, dim, self._script.closed_at.get((name, axis))) for axis, dim in axes.items()]
            if parts:
                notes.append(f"{name}: {'; '.join(parts)}")
        for (dim, number), where in self._script.unequal.items():
            notes.append(f"{dim} is not {number}{', as ' + where + ' assumes' if where else ''}")
        for size, (low, high, where) in self._script.limits.items():
            limits = f"at least {low}" if high is None else f"{low} to {high}" if low > 1 else f"at most {high}"
            notes.append(f"{size} is {limits}{', by ' + where if where else ''}")
        if self._script.narrow:
            options = ", ".join(f"{name}={_option_text(kind)}" for name, kind in self._script.narrow.items())
            notes.append(f'programs have {options}, as the file is quantized; weights="float32" computes in float32')
        return notes

    def __repr__(self) -> str:
        inputs, outputs = (
            ", ".join(f"{name} {public_type(tensor.type)}" for name, tensor in tensors.items())
            for tensors in (self.inputs, self.outputs)
        )
        return f"Net({inputs} -> {outputs})"

    @api
    def program(self, **options: Any) -> Program[Any]:
        """Return ``rg.compile(net.outputs, **options)`` with the file's weights.

        Weights of a quantized file stay quantized. Activations are quantized if an ONNX file rounds them at run time.
        The options ``weights`` and ``activations`` override both; ``weights="float32"`` computes in float32.

        Args:
            options: Options of ``rg.compile``. ``states`` is {output: input} with the file's names, for states that
                streams carry from step to step.
        """
        if not options.keys() & {"weights", "activations"}:
            options = {**self._script.narrow, **options}
        if isinstance(states := options.get("states"), Mapping):
            options["states"] = {output: self.inputs.get(name, name) for output, name in states.items()}
        program: Program[Any] = handed_on(compile_outputs, [self.outputs], options)
        return program

    @api
    def compile(self, **options: Any) -> Program[Any]:
        """Compile the net, as ``program`` does."""
        return self.program(**options)

    @api
    def script(self) -> str:
        """Return a Python script that declares the net, and loads the weights that ``save`` writes to its folder."""
        return self._script.text()

    @api
    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the script as ``net.py``, and the weights as ``weights.safetensors``.

        Files of an earlier call are overwritten.

        Raises:
            FileError: The folder has files of these names that ``save`` did not write, or that were changed.
        """
        with files_into(as_path(folder), "net", NETS) as directory:
            (directory / SCRIPT).write_text(self.script(), encoding="utf-8")
            (directory / WEIGHTS).write_bytes(b"".join(safetensors_of(self.parameters)))


def _option_text(kind: str | Mapping[str, str]) -> str:
    return f'"{kind}"' if isinstance(kind, str) else json.dumps(dict(kind))


def _axis_text(axis: int, dim: int | str | None, where: str | None) -> str:
    """Return text about an axis for ``size_notes``: ``axis 1 is open (T)``, or ``axis 1 is 8, by the file``."""
    if not isinstance(dim, int):
        return f"axis {axis} is open ({dim})" if dim else f"axis {axis} is open"
    return f"axis {axis} is {dim}, by {where}" if where else f"axis {axis} is {dim}"
