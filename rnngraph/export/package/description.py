"""Description of an exported net, from which its files are written."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...codegen.machine.target import needed_processor
from ...ir.types import Shape, array_dtype, dim_text
from ...runtime.class_names import Classes, Label
from ...version import __version__
from ..c_interface.nets import ExportedNet, ExportedSequence, ExportedStream
from ..c_interface.object_code import ABI_VERSION
from ..c_interface.ports import Port
from .template import filled

C_TYPES = {
    "float32": "float",
    "float64": "double",
    "int32": "int32_t",
    "int64": "int64_t",
    "bool": "unsigned char",
    "bfloat16": "uint16_t",
}


@dataclass(frozen=True)
class Description:
    """Exported net as its files describe it.

    Args:
        name: Prefix of all names.
        batch: Compiled number of rows; None: callers pass it.
        variants: Code for one target, or for several levels of one processor.
        classes: Names of classes, by output name.
        held_weights: How parameters are stored, if some should be narrow.
        draws: True if the net draws with ``rg.sample``.
    """

    name: str
    batch: int | None
    variants: tuple[ExportedNet, ...]
    classes: Classes = field(default_factory=dict)
    held_weights: tuple[str, ...] = ()
    draws: bool = False

    @property
    def first(self) -> ExportedNet:
        return self.variants[0]

    @property
    def stream(self) -> ExportedStream:
        """The first variant of a net that runs step by step."""
        assert isinstance(self.first, ExportedStream)
        return self.first

    @property
    def sequence(self) -> ExportedSequence:
        """The first variant of a net of whole sequences."""
        assert isinstance(self.first, ExportedSequence)
        return self.first

    @property
    def is_stream(self) -> bool:
        return isinstance(self.first, ExportedStream)

    @property
    def macro(self) -> str:
        return self.name.upper()

    @property
    def targets(self) -> str:
        return ", ".join(exported.target.name for exported in self.variants)

    @property
    def needs(self) -> str:
        """Description of the processors that can run the code."""
        kinds = [needed_processor(exported.target) for exported in self.variants]
        return kinds[0] if len(kinds) == 1 else f"{kinds[0]}; at run time the best of {self.targets} is selected"

    @property
    def state_bytes(self) -> int:
        """Bytes of the caller's memory for one instance; 0 for nets without instances."""
        return max(exported.memory_bytes if isinstance(exported, ExportedStream) else 0 for exported in self.variants)

    @property
    def block_bytes(self) -> int:
        """Bytes of the caller's memory for one instance that only blocks of steps need."""
        return self.stream.block_bytes if self.is_stream else 0

    @property
    def max_block(self) -> int:
        """Maximum steps that a block computes at once; 1 for nets without blocks."""
        return self.stream.max_block if self.is_stream else 1

    @property
    def latency(self) -> int:
        """Number of sequence entries by which a stream's results are late; 0 if none remain when sequences end."""
        return 0 if self.stream.tail is None else self.stream.delay * self.stream.rate

    @property
    def weights_bytes(self) -> int:
        """Bytes of the caller's memory for packed weights; 0 if they are embedded."""
        return 0 if self.first.embedded else max(exported.weights_bytes for exported in self.variants)

    def macro_of(self, port: Port) -> str:
        return f"{self.macro}_{port.symbol.upper()}_{'STEP' if self.is_stream else 'ELEMENTS'}"

    @property
    def classified(self) -> list[tuple[Port, tuple[Label, ...]]]:
        """Outputs whose classes have names, each with these names."""
        return [(port, self.classes[port.name]) for port in self.first.outputs if port.name in self.classes]

    def owed_macro_of(self, port: Port) -> str:
        return f"{self.macro}_{port.symbol.upper()}_OWED"

    def as_json(self, code_hash: str, files: Sequence[str]) -> dict[str, Any]:
        """Return the contents of ``NAME.json``. ``code_hash`` is the SHA-256 of the object file."""
        first = self.first
        described: dict[str, Any] = {
            "name": self.name,
            "format": 1,
            "form": "stream" if self.is_stream else "sequence",
            "abi_version": ABI_VERSION,
            "rnngraph": __version__,
            "batch": self.batch,
            "targets": [
                {
                    "name": exported.target.name,
                    "triple": exported.target.triple,
                    "processor": exported.target.processor,
                    "features": exported.target.features,
                }
                for exported in self.variants
            ],
            "weights": "embedded" if first.embedded else "external",
            "inputs": [_port(port) for port in first.inputs],
            "outputs": [_port(port) for port in first.outputs],
            **(self._of_stream() if self.is_stream else self._of_sequence()),
            "object_sha256": code_hash,
            "files": list(files),
        }
        if self.classified:
            described["classes"] = {port.shown: [*names] for port, names in self.classified}
        if self.held_weights:
            described["held_weights"] = list(self.held_weights)
        if not first.embedded:
            described["weights_size"] = self.weights_bytes
            described["parameters"] = [
                {"name": name, "dtype": array.dtype.name, "shape": list(array.shape), "offset": offset}
                for (name, array), offset in zip(first.parameters.items(), first.canonical_places.values(), strict=True)
            ]
            described["parameters_bytes"] = first.canonical_bytes
        return described

    def _of_stream(self) -> dict[str, Any]:
        return {
            "rate": self.stream.rate,
            "delay": self.stream.delay,
            "latency": self.latency,
            "rows": 1 if self.stream.together is None else self.stream.together.max_rows,
            "owed": [_port(port) for port in self.stream.owed],
            "state_size": self.state_bytes,
            "states": [_port(port) for port in self.stream.states],
            "initial_inputs": [_port(port) for port in self.stream.initial_inputs],
        }

    def _of_sequence(self) -> dict[str, Any]:
        sizes = [
            {"name": size.name} if size.fixed is None else {"name": size.name, "fixed": size.fixed}
            for size in self.sequence.sizes
        ]
        variants = [exported for exported in self.variants if isinstance(exported, ExportedSequence)]
        return {"sizes": sizes, "scratch_size": [dim_text(exported.scratch_bytes) for exported in variants]}


def _port(port: Port) -> dict[str, Any]:
    shape = [dim if isinstance(dim, int) else dim_text(dim) for dim in port.shape]
    dtype = array_dtype(port.dtype)
    described: dict[str, Any] = {"name": port.shown, "symbol": port.symbol, "dtype": dtype, "shape": shape}
    if dtype != port.dtype:
        described["numbers"] = port.dtype
    if port.default is not None:
        described["default"] = np.asarray(port.default).tolist()
    return described


def in_comment(name: str) -> str:
    """Return a user's name, escaped for C comments."""
    plain = "".join("?" if letter == "\\" or not letter.isprintable() else letter for letter in name)
    return plain.replace("*/", "* /").replace("/*", "/ *")


def in_string(text: str) -> str:
    """Return text as a C string literal, in UTF-8, with octal escapes."""
    plain = {byte: chr(byte) for byte in range(32, 127) if chr(byte) not in '"\\?'}
    return '"' + "".join(plain.get(byte, f"\\{byte:03o}") for byte in text.encode()) + '"'


def shape_text(shape: Shape) -> str:
    return "".join(f"[{dim_text(dim)}]" for dim in shape) or " (one number)"


def module_text(text: str, net: Description, described: Mapping[str, Any], flush: str, **words: str) -> str:
    """Return the source text of a module that runs the net from another language.

    Args:
        text: The module's template.
        flush: Template of the method for outputs at the end of sequences, if the net has any.
    """
    end = filled(flush, name=net.name) + "\n" if described.get("owed") else ""
    description = json.dumps(described, indent=1)
    return filled(text, name=net.name, version=__version__, description=description, flush=end, **words)
