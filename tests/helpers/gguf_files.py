"""GGUF files of small nets with random weights, written with the package ``gguf``."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

gguf = pytest.importorskip("gguf", reason="gguf is not installed")

WIDTH, LAYERS, VOCABULARY, HIDDEN, RANK = 128, 2, 96, 96, 32
HEAD = 64
TYPES = gguf.GGMLQuantizationType
TOKENS = ["<s>", *(f"\\x{byte:02x}" for byte in range(VOCABULARY - 2)), "ab\\n"]

Tensors = dict[str, tuple[tuple[int, ...], str]]
"""Shape and kind of each tensor. Kinds: ``matrix``; ``small``, a matrix that llama.cpp leaves in float32; or a
distribution of a vector.
"""


@dataclass
class File:
    """GGUF file: its bytes, and its tensors after dequantization."""

    data: bytes
    arrays: dict[str, np.ndarray]
    facts: dict[str, Any]


def gguf_file(
    architecture: str,
    kind: str = "F32",
    seed: int = 0,
    kinds: Mapping[str, str] | None = None,
    change: Callable[[dict[str, Any], dict[str, np.ndarray]], None] | None = None,
    is_tied: bool = True,
) -> File:
    """Write a net.

    Args:
        architecture: One of ``NETS``.
        kind: GGUF type of matrices, such as ``Q8_0``.
        seed: Seed of the weights.
        kinds: GGUF types of single tensors, by name, in place of ``kind``.
        change: Function that changes the metadata and the weights before they are written.
        is_tied: True if Mamba's last product shares the table of the embedding.
    """
    facts, tensors = NETS[architecture]
    generator = np.random.default_rng(seed)
    shapes = {
        name: item
        for name, item in tensors.items()
        if not (is_tied and name == "output.weight" and "mamba" in architecture)
    }
    arrays = {name: _drawn(generator, *item) for name, item in shapes.items()}
    own = {f"{architecture}.{key}": value for key, value in facts.items()}
    if change is not None:
        change(own, arrays)
    types = {name: kind if item[1] == "matrix" else "F32" for name, item in shapes.items()} | dict(kinds or {})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.gguf"
        writer = gguf.GGUFWriter(path, architecture)
        for key, value in own.items():
            _add(writer, key, value)
        writer.add_tokenizer_model("rwkv")
        writer.add_token_list(TOKENS)
        writer.add_token_types([1] * VOCABULARY)
        writer.add_eos_token_id(0)
        for name, array in arrays.items():
            arrays[name] = _write(writer, name, array, types.get(name, "F32"))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return File(path.read_bytes(), arrays, own)


def with_one_layer(architecture: str, kind: str, kinds: Mapping[str, str] | None = None) -> bytes:
    """Return a file of a net with one layer."""

    def cut(facts: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        facts[f"{architecture}.block_count"] = 1
        for name in [name for name in arrays if name.startswith("blk.1.")]:
            del arrays[name]

    return gguf_file(architecture, kind, kinds=kinds, change=cut).data


def _add(writer: Any, key: str, value: object) -> None:
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)


def _write(writer: Any, name: str, array: np.ndarray, kind: str) -> np.ndarray:
    """Write a tensor, and return its dequantized values in float64."""
    if kind == "F32":
        writer.add_tensor(name, array)
        return array.astype(np.float64)
    if kind == "F16":
        writer.add_tensor(name, array.astype(np.float16))
        return array.astype(np.float16).astype(np.float64)
    packed = gguf.quants.quantize(array, TYPES[kind])
    writer.add_tensor(name, packed, raw_dtype=TYPES[kind])
    return gguf.quants.dequantize(packed, TYPES[kind]).astype(np.float64).reshape(array.shape)


def _drawn(generator: np.random.Generator, shape: tuple[int, ...], kind: str) -> np.ndarray:
    normal = generator.standard_normal(shape)
    match kind:
        case "matrix" | "small":
            array = normal / np.sqrt(shape[-1])
        case "ones":
            array = 1 + 0.1 * normal
        case "share":
            array = generator.uniform(0, 1, shape)
        case "negative":
            array = -np.exp(normal)
        case _:
            array = float(kind) + 0.5 * normal
    return array.astype(np.float32)


def _norm(name: str, has_bias: bool = True) -> Tensors:
    bias: Tensors = {f"{name}.bias": ((WIDTH,), "0")} if has_bias else {}
    return {f"{name}.weight": ((WIDTH,), "ones")} | bias


def _square(*names: str) -> Tensors:
    return {f"{name}.weight": ((WIDTH, WIDTH), "matrix") for name in names}


def _rwkv(layer: Callable[[str], Tensors]) -> Tensors:
    tensors: Tensors = {"token_embd.weight": ((VOCABULARY, WIDTH), "matrix"), **_norm("token_embd_norm")}
    for number in range(LAYERS):
        name = f"blk.{number}"
        tensors |= {**_norm(f"{name}.attn_norm"), **_norm(f"{name}.attn_norm_2"), **layer(name)}
        tensors |= {**_norm(f"{name}.time_mix_ln"), f"{name}.channel_mix_lerp_k.weight": ((1, 1, WIDTH), "share")}
        tensors[f"{name}.channel_mix_key.weight"] = (HIDDEN, WIDTH), "matrix"
        tensors[f"{name}.channel_mix_value.weight"] = (WIDTH, HIDDEN), "matrix"
    return tensors | _norm("output_norm") | {"output.weight": ((VOCABULARY, WIDTH), "matrix")}


def _rwkv7(name: str) -> Tensors:
    mix = f"{name}.time_mix"
    tensors = _square(*(f"{mix}_{word}" for word in ("key", "value", "receptance", "output")))
    tensors[f"{mix}_lerp_fused.weight"] = (6, 1, 1, WIDTH), "share"
    for letter in "wavg":
        tensors[f"{mix}_{letter}1.weight"] = (RANK, WIDTH), "small"
        tensors[f"{mix}_{letter}2.weight"] = (WIDTH, RANK), "small"
        if letter != "g":
            tensors[f"{mix}_{letter}0.weight"] = (WIDTH,), "0"
    for word in ("k_k", "k_a", "r_k"):
        tensors[f"{mix}_{word}.weight"] = (WIDTH,), "ones"
    return tensors


def _rwkv6(name: str) -> Tensors:
    mix = f"{name}.time_mix"
    tensors = _square(*(f"{mix}_{word}" for word in ("key", "value", "receptance", "output", "gate")))
    tensors |= _square(f"{name}.channel_mix_receptance")
    tensors[f"{name}.channel_mix_lerp_r.weight"] = (1, 1, WIDTH), "share"
    tensors[f"{mix}_lerp_x.weight"] = (1, 1, WIDTH), "share"
    tensors[f"{mix}_lerp_fused.weight"] = (5, 1, 1, WIDTH), "share"
    tensors[f"{mix}_w1.weight"] = (5 * RANK, WIDTH), "small"
    tensors[f"{mix}_w2.weight"] = (5, WIDTH, RANK), "small"
    tensors[f"{mix}_first.weight"] = (WIDTH // HEAD, HEAD), "0"
    tensors[f"{mix}_decay.weight"] = (WIDTH,), "-1"
    tensors[f"{mix}_decay_w1.weight"] = (RANK, WIDTH), "small"
    tensors[f"{mix}_decay_w2.weight"] = (WIDTH, RANK), "small"
    return tensors


INNER, STATES, GROUPS, MAMBA_HEAD, STEPS = 2 * WIDTH, 32, 2, 32, 4
HEADS = INNER // MAMBA_HEAD


def _mamba(layer: Callable[[str], Tensors], channels: int) -> Tensors:
    tensors: Tensors = {"token_embd.weight": ((VOCABULARY, WIDTH), "matrix")}
    for number in range(LAYERS):
        name = f"blk.{number}"
        tensors |= _norm(f"{name}.attn_norm", False) | layer(name)
        tensors[f"{name}.ssm_conv1d.weight"] = (channels, STEPS), "0"
        tensors[f"{name}.ssm_conv1d.bias"] = (channels,), "0"
        tensors[f"{name}.ssm_out.weight"] = (WIDTH, INNER), "matrix"
    return tensors | _norm("output_norm", False) | {"output.weight": ((VOCABULARY, WIDTH), "matrix")}


def _mamba1(name: str) -> Tensors:
    return {
        f"{name}.ssm_in.weight": ((2 * INNER, WIDTH), "matrix"),
        f"{name}.ssm_x.weight": ((RANK + 2 * STATES, INNER), "matrix"),
        f"{name}.ssm_dt.weight": ((INNER, RANK), "matrix"),
        f"{name}.ssm_dt.bias": ((INNER,), "0"),
        f"{name}.ssm_a": ((INNER, STATES), "negative"),
        f"{name}.ssm_d": ((INNER,), "ones"),
    }


def _mamba2(name: str) -> Tensors:
    return {
        f"{name}.ssm_in.weight": ((2 * INNER + 2 * GROUPS * STATES + HEADS, WIDTH), "matrix"),
        f"{name}.ssm_dt.bias": ((HEADS,), "0"),
        f"{name}.ssm_a": ((HEADS, 1), "negative"),
        f"{name}.ssm_d": ((HEADS, 1), "ones"),
        f"{name}.ssm_norm.weight": ((GROUPS, INNER // GROUPS), "ones"),
    }


_COMMON = {"context_length": 1024, "embedding_length": WIDTH, "block_count": LAYERS}
_RWKV = {
    **_COMMON,
    "attention.layer_norm_epsilon": 1e-5,
    "wkv.head_size": HEAD,
    "feed_forward_length": HIDDEN,
    "attention.head_count": 0,
}
_MAMBA = {
    **_COMMON,
    "attention.layer_norm_rms_epsilon": 1e-5,
    "feed_forward_length": 0,
    "attention.head_count": 0,
    "ssm.conv_kernel": STEPS,
    "ssm.inner_size": INNER,
    "ssm.state_size": STATES,
}
NETS: Mapping[str, tuple[dict[str, Any], Tensors]] = {
    "rwkv7": (
        {
            **_RWKV,
            "attention.decay_lora_rank": RANK,
            "attention.iclr_lora_rank": RANK,
            "attention.value_residual_mix_lora_rank": RANK,
            "attention.gate_lora_rank": RANK,
        },
        _rwkv(_rwkv7),
    ),
    "rwkv6": (
        {**_RWKV, "rescale_every_n_layers": 2, "time_mix_extra_dim": RANK, "time_decay_extra_dim": RANK},
        _rwkv(_rwkv6),
    ),
    "mamba": ({**_MAMBA, "ssm.time_step_rank": RANK, "ssm.dt_b_c_rms": False}, _mamba(_mamba1, INNER)),
    "mamba2": (
        {**_MAMBA, "ssm.time_step_rank": HEADS, "ssm.group_count": GROUPS},
        _mamba(_mamba2, INNER + 2 * GROUPS * STATES),
    ),
}
"""Metadata and tensors of each architecture."""


def ids(rows: int = 2, steps: int = 9, seed: int = 7) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, VOCABULARY, (rows, steps))
