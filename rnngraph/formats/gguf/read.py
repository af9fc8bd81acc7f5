"""``read_gguf``: reads a recurrent language model from a GGUF file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ...support.api_guard import api
from ...support.errors import shown
from ...support.garbage import collector_paused
from ..net import Net
from ..reading import not_readable
from ..script import Script
from ..steps import Value
from .container import Bytes, Container
from .declaring import KINDS, Model
from .mamba import Mamba, Mamba2
from .rwkv import Rwkv6, Rwkv7
from .stored import bytes_in, objection, type_name
from .vocabulary import vocabulary_of

ARCHITECTURES: Mapping[str, Callable[[Model], Any]] = {
    "rwkv6": Rwkv6,
    "rwkv7": Rwkv7,
    "mamba": Mamba,
    "mamba2": Mamba2,
}
FOREIGN = (
    ("attn_q", "softmax attention"),
    ("attn_k", "softmax attention"),
    ("attn_output", "softmax attention"),
    ("ffn_gate_inp", "experts"),
    ("_exps.", "experts"),
)
"""(Substring of a tensor's name, what a layer with such a tensor has), for unsupported layers."""
OF_TYPES = (
    "Read a file of F32, F16, BF16, Q8_0 or Q4_0 alone, such as llama.cpp writes from the original: "
    "llama-quantize --pure net-f16.gguf net.gguf Q4_0"
)
OF_LAYERS = "read_gguf reads nets whose layers are all recurrent; run others with llama.cpp"


@api
@collector_paused()
def read_gguf(source: str | os.PathLike[str] | bytes) -> Net:
    """Read a recurrent language model of architecture rwkv6, rwkv7, mamba or mamba2.

    The net has an input ``ids`` [batch, time] of int64 and an output ``logits`` [batch, time, vocabulary]. It can run
    as a stream. ``net.vocabulary`` has the tokens, and ``net.metadata`` the numbers and strings of the file's metadata,
    such as ``tokenizer.ggml.eos_token_id``.

    Weights of F32, BF16, Q8_0 and Q4_0 stay as they are stored, and ``net.program()`` multiplies by them with
    ``weights="bfloat16"``, ``"int8_blocks"`` and ``"int4"``. Weights of F16 become float32.

    Args:
        source: A path, or the file's bytes.

    Raises:
        NotReadableError: The architecture, layers or tensor types are not supported; the error lists them all.
        FileError: The file is missing or damaged.
        MissingExtraError: The package ``gguf`` is missing.
    """
    type_name(0)
    return _net(Container(Bytes(source)))


def _net(container: Container) -> Net:
    """Return the net in a parsed file. Raise ``NotReadableError`` if something in the file is not supported."""
    architecture = container.metadata.get("general.architecture")
    name = architecture.decode(errors="replace") if isinstance(architecture, bytes) else ""
    if not name:
        raise container.damaged(f"general.architecture is {shown(architecture)}; it must be a string")
    _check_layers(container, name)
    problems = [reason for tensor in container.tensors.values() if (reason := objection(tensor))]
    if problems:
        raise not_readable(container.name, problems, remedy=OF_TYPES)
    for tensor in container.tensors.values():
        container.check(tensor, bytes_in(tensor))
    script = Script("A net that rnngraph read from a GGUF file.")
    ids = script.input("ids", (None, None), "int64", hint="ids")
    model = Model(container, name, script)
    logits: Value = ARCHITECTURES[name](model).logits(ids)
    if unused := model.unused():
        problems = [f"tensor {tensor} does not belong to architecture {name}" for tensor in unused]
        raise not_readable(container.name, problems, remedy=OF_LAYERS)
    script.outputs["logits"] = logits
    kinds = {pattern: kind for kind, pattern in KINDS.items() if kind in model.kinds}
    script.narrow = {"weights": kinds} if kinds else {}
    net = Net(script)
    net.vocabulary = vocabulary_of(container)
    net.metadata = dict(_facts(container))
    return net


def _check_layers(container: Container, architecture: str) -> None:
    """Raise ``NotReadableError`` if the architecture is not supported, or tensor names show unsupported layers."""
    problems = [] if architecture in ARCHITECTURES else [f"architecture {architecture!r} is not supported"]
    for tensor in container.tensors:
        layer, _, rest = tensor.removeprefix("blk.").partition(".")
        if what := next((what for part, what in FOREIGN if part in rest), ""):
            problems.append(f"layer {layer} has {what}")
    if problems:
        known = ", ".join(ARCHITECTURES)
        raise not_readable(container.name, problems, remedy=f"{OF_LAYERS}; architectures are {known}")


def _facts(container: Container) -> Iterator[tuple[str, int | float | bool | str]]:
    """Yield (key, value) for the numbers and strings in a file's metadata."""
    for key, value in container.metadata.items():
        if isinstance(value, bytes):
            yield key, value.decode(errors="replace")
        elif isinstance(value, int | float):
            yield key, value
