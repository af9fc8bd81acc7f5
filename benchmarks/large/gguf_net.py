"""Writes a language model of RWKV-7 layers with random weights as a GGUF file, with the package ``gguf``."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice, product
from pathlib import Path
from string import ascii_lowercase

import numpy as np

HEAD, RANK = 64, 64
KINDS = ("F32", "Q8_0", "Q4_0")
WIDE = ("token_embd", "output.", "receptance", "key", "value", "time_mix_output")
"""Substrings of the names of matrices that llama.cpp quantizes."""


def write(path: Path, kind: str, layers: int, width: int, classes: int, with_texts: bool = False) -> None:
    """Write a net whose large matrices have the type ``kind``.

    Args:
        path: File to write.
        kind: One of ``KINDS``.
        layers: Number of layers.
        width: Units of a layer.
        classes: Number of tokens.
        with_texts: True to write a vocabulary of the tokenizer ``rwkv``, which servers need to read texts.
    """
    import gguf  # only needed with llama.cpp as a peer

    writer = gguf.GGUFWriter(path, "rwkv7")
    counts = {"context_length": 1 << 20, "embedding_length": width, "block_count": layers, "wkv.head_size": HEAD}
    ranks = ("decay", "iclr", "value_residual_mix", "gate")
    counts |= {f"attention.{rank}_lora_rank": RANK for rank in ranks}
    for key, count in {**counts, "feed_forward_length": 4 * width, "attention.head_count": 0}.items():
        writer.add_uint32(f"rwkv7.{key}", count)
    writer.add_float32("rwkv7.attention.layer_norm_epsilon", 1e-5)
    writer.add_uint32("rwkv7.vocab_size", classes)
    if with_texts:
        writer.add_tokenizer_model("rwkv")
        writer.add_token_list(texts_of_tokens(classes))
        writer.add_token_types([1] * classes)
        writer.add_eos_token_id(0)
    else:
        writer.add_tokenizer_model("no_vocab")
    rng, type_of = np.random.default_rng(0), gguf.GGMLQuantizationType[kind]
    for name, shape in _tensors(layers, width, classes):
        array = rng.standard_normal(shape, np.float32)
        array = array / np.float32(np.sqrt(shape[-1])) if len(shape) == 2 else np.float32(0.1) * array
        array = array + np.float32(name.endswith("norm.weight") or "_ln.weight" in name)
        if kind != "F32" and len(shape) == 2 and any(part in name for part in WIDE):
            writer.add_tensor(name, gguf.quants.quantize(array, type_of), raw_dtype=type_of)
        else:
            writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def texts_of_tokens(classes: int) -> list[str]:
    """Return the text of each token: the end, the printable characters of ASCII, then sequences of letters."""
    characters = [chr(code) for code in range(32, 127) if chr(code) not in "\\'"]
    letters = ("".join(item) for size in (2, 3, 4) for item in product(ascii_lowercase, repeat=size))
    return [*islice(chain(["<end>", "\\n", "\\\\", "\\'"], characters, letters), classes)]


def _tensors(layers: int, width: int, classes: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the names and shapes of tensors."""
    yield "token_embd.weight", (classes, width)
    yield from _norm("token_embd_norm", width)
    for layer in (f"blk.{number}" for number in range(layers)):
        for name in ("attn_norm", "attn_norm_2", "time_mix_ln"):
            yield from _norm(f"{layer}.{name}", width)
        yield f"{layer}.time_mix_lerp_fused.weight", (6, 1, 1, width)
        for letter in "wavg":
            yield f"{layer}.time_mix_{letter}1.weight", (RANK, width)
            yield f"{layer}.time_mix_{letter}2.weight", (width, RANK)
        for name in ("w0", "a0", "v0", "k_k", "k_a", "r_k"):
            yield f"{layer}.time_mix_{name}.weight", (width,)
        for name in ("receptance", "key", "value", "output"):
            yield f"{layer}.time_mix_{name}.weight", (width, width)
        yield f"{layer}.channel_mix_lerp_k.weight", (1, 1, width)
        yield f"{layer}.channel_mix_key.weight", (4 * width, width)
        yield f"{layer}.channel_mix_value.weight", (width, 4 * width)
    yield from _norm("output_norm", width)
    yield "output.weight", (classes, width)


def _norm(name: str, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (width,)
    yield f"{name}.bias", (width,)
