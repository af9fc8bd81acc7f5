"""Weights from ``rg.dequantize`` are recognised, and products in blocks use their integers and scales."""

from __future__ import annotations

import numpy as np
import pytest
from block_numbers import activations_in_blocks

import rnngraph as rg
from rnngraph.ir.graph import Node
from rnngraph.passes.quantization.stored_blocks import blocks_of

DEPTH, COLUMNS = 96, 64
KINDS = {8: "int8_blocks", 4: "int4"}
STORED = {8: "int8", 4: "uint8"}


def drawn(bits: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return stored bytes [columns, …], float16 scales, and integers, of which none has the largest magnitude."""
    rng = np.random.default_rng(bits)
    wide = rng.random((COLUMNS, DEPTH // 32)) * 2.0 ** rng.integers(-23, 16, (COLUMNS, DEPTH // 32))
    scales = wide.astype(np.float16).astype(np.float32)
    if bits == 8:
        whole = rng.integers(-90, 91, (COLUMNS, DEPTH)).astype(np.int8)
        return whole, scales, whole
    stored = rng.integers(0, 15, (COLUMNS, DEPTH // 32, 2, 16)).astype(np.uint8)
    data = stored[:, :, 0] | stored[:, :, 1] << np.uint8(4)
    return data.reshape(COLUMNS, -1), scales, stored.reshape(COLUMNS, DEPTH).astype(np.int8) - np.int8(8)


def weight(bits: int) -> rg.Tensor:
    stored, scales, _ = drawn(bits)
    parameters = (
        rg.parameter("numbers", stored.shape, stored, False, STORED[bits]),
        rg.parameter("scales", scales.shape, scales, False),
    )
    return rg.dequantize(*(rg.transpose(item, (1, 0)) for item in parameters), 0, bits)


def node_of(tensor: rg.Tensor) -> Node:
    return tensor.node


@pytest.mark.parametrize("bits", KINDS)
def test_a_weight_is_recognised_and_a_changed_one_is_not(bits: int) -> None:
    stored = blocks_of(node_of(weight(bits)))
    assert stored is not None
    assert (stored.bits, stored.offset) == (bits, 0 if bits == 8 else 8)
    for changed in (weight(bits) + 1.0, rg.tanh(weight(bits)), rg.reshape(weight(bits), (COLUMNS, DEPTH))):
        assert blocks_of(node_of(changed)) is None
    x, scale = rg.placeholder("x", (DEPTH, COLUMNS)), rg.placeholder("s", (3, COLUMNS))
    by_hand = rg.reshape(rg.reshape(x, (3, 32, COLUMNS)) * rg.expand_dims(scale, 1), (DEPTH, COLUMNS))
    assert blocks_of(node_of(by_hand)) is None


@pytest.mark.parametrize(("bits", "kind"), [(8, "int8_blocks"), (4, "int4"), (4, "int8_blocks")])
def test_products_take_the_stored_integers_and_scales(bits: int, kind: str) -> None:
    """To quantize weights again would change scales, because no block has an integer of the largest magnitude."""
    _, scales, whole = drawn(bits)
    product = rg.placeholder("x", (None, DEPTH)) @ weight(bits)
    x = np.random.default_rng(1).normal(size=(3, DEPTH)).astype(np.float32)
    program = rg.compile(product, weights=rg.Narrow(kind, force=True))
    exact = (whole.reshape(COLUMNS, -1, 32).astype(np.float64) * scales[..., None]).reshape(COLUMNS, DEPTH).T
    rounded = activations_in_blocks(x)
    bound = 1e-6 * (np.abs(rounded) @ np.abs(exact))
    assert (np.abs(program.inference(x=x) - rounded @ exact) <= bound).all()
    text = program.inference.show("reduced_weights")
    assert text.count("keepdims=True} : f32") == 1  # only blocks of activations are quantized
    off = np.abs(rg.compile(product).inference(x=x) - x @ exact)
    assert (off <= 1e-5 * (np.abs(x) @ np.abs(exact))).all()
