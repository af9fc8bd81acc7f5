"""Files of RTNeural, AIDA-X and GuitarML against their layers' equations in NumPy."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from changed_files import check_changed_files
from numpy.testing import assert_allclose
from recurrent_layers import gru, lstm, rnn

import rnngraph as rg

Layer = dict[str, Any]


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape) + len(shape)).normal(0, 0.5, shape)


def layer_of(kind: str, units: int, *weights: np.ndarray, activation: str = "", **more: Any) -> Layer:
    shape = [None, None, units]
    return {"type": kind, "activation": activation, "shape": shape, "weights": [w.tolist() for w in weights], **more}


def file_of(layers: list[Layer], inputs: int = 1, **more: Any) -> bytes:
    return json.dumps({"in_shape": [None, None, inputs], "layers": layers, **more}).encode()


def causal(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray, dilation: int, groups: int) -> np.ndarray:
    """Return a causal convolution with a kernel [size, inputs / groups, filters]."""
    size = len(kernel)
    past = dilation * (size - 1)
    padded = np.concatenate([np.zeros((len(x), past, x.shape[-1])), x], 1)
    parts, columns = np.split(padded, groups, -1), np.split(kernel, groups, -1)
    taps = [
        [part[:, tap * dilation : tap * dilation + x.shape[1]] @ column[tap] for tap in range(size)]
        for part, column in zip(parts, columns, strict=True)
    ]
    return np.concatenate([sum(product) for product in taps], -1) + bias


def run(data: bytes, inputs: int = 1, steps: int = 17) -> tuple[np.ndarray, np.ndarray]:
    """Return random inputs [2, steps, inputs] and outputs. Checks that a stream gives the same bits step by step."""
    net = rg.read_rtneural(data)
    program, x = net.program(), normal(2, steps, inputs)
    y_batch = program.inference(x=x)["y"]
    stream = program.inference.stream(batch=2)
    assert np.array_equal(np.stack([stream.step(x=x[:, t])["y"] for t in range(steps)], 1), y_batch)
    return x, y_batch


def test_dense_layers_and_activations() -> None:
    w, b, v = normal(3, 5), normal(5), normal(5, 2)
    layers = [
        layer_of("time-distributed-dense", 5, w, b, activation="tanh"),
        layer_of("activation", 5, activation="relu"),
        layer_of("dense", 2, v, activation="softmax"),
    ]
    x, actual = run(file_of(layers, 3), 3)
    raised = np.exp(np.maximum(np.tanh(x @ w + b), 0) @ v)
    assert_allclose(actual, raised / raised.sum(-1, keepdims=True), atol=1e-6)


@pytest.mark.parametrize(("size", "dilation", "groups"), [(1, 1, 1), (3, 2, 1), (3, 1, 2), (2, 3, 6)])
def test_convolutions_are_causal(size: int, dilation: int, groups: int) -> None:
    kernel, bias = normal(size, 6 // groups, 12), normal(12)
    layer = layer_of(
        "conv1d", 12, kernel, bias, kernel_size=[size], dilation=[dilation], groups=groups, activation="elu"
    )
    x, actual = run(file_of([layer], 6), 6)
    plain = causal(x, kernel, bias, dilation, groups)
    assert_allclose(actual, np.where(plain > 0, plain, np.expm1(plain)), atol=1e-5)


def test_recurrent_layers() -> None:
    w, r, b = normal(1, 21), normal(7, 21), normal(2, 21)
    x, actual = run(file_of([layer_of("gru", 7, w, r, b, activation="tanh")]))
    assert_allclose(actual, gru(x, w, r, b[0], b[1], "zrn", reset_after=True), atol=1e-6)
    w, r, c = normal(1, 28), normal(7, 28), normal(28)
    x, actual = run(file_of([layer_of("lstm", 7, w, r, c, activation="tanh")]))
    assert_allclose(actual, lstm(x, w, r, c, "ifgo"), atol=1e-6)


@pytest.mark.parametrize("affine", [True, False])
def test_normalization_and_slopes(affine: bool) -> None:
    gamma, beta, mean, variance, alpha = (
        normal(3),
        normal(1, 3)[0],
        normal(2, 3)[0],
        normal(3, 3)[0] ** 2,
        normal(4, 3)[0],
    )
    statistics = [gamma, beta, mean, variance] if affine else [mean, variance]
    layers = [layer_of("batchnorm", 3, *statistics, epsilon=0.01), layer_of("prelu", 3, alpha[None])]
    x, actual = run(file_of(layers, 3), 3)
    plain = (x - mean) / np.sqrt(variance + 0.01)
    plain = plain * gamma + beta if affine else plain
    assert_allclose(actual, np.where(plain > 0, plain, alpha * plain), atol=1e-6)


def test_gains_and_the_skip_of_aida_x() -> None:
    w, b = normal(1, 1), normal(1)
    x, actual = run(file_of([layer_of("dense", 1, w, b)], in_skip=1, in_gain=6.0, out_gain=-3.0))
    louder = x * 10 ** (6 / 20)
    assert_allclose(actual, (louder @ w + b + louder) * 10 ** (-3 / 20), rtol=1e-5)


@pytest.mark.parametrize(("kind", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
@pytest.mark.parametrize("skip", [0, 1])
def test_guitarml(kind: str, gates: int, skip: int) -> None:
    hidden = 6
    arrays = {
        "rec.weight_ih_l0": normal(gates * hidden, 1),
        "rec.weight_hh_l0": normal(gates * hidden, hidden),
        "rec.bias_ih_l0": normal(gates * hidden),
        "rec.bias_hh_l0": normal(1, gates * hidden)[0],
        "lin.weight": normal(1, hidden),
        "lin.bias": normal(1),
    }
    data = {
        "model": "SimpleRNN",
        "input_size": 1,
        "skip": skip,
        "output_size": 1,
        "unit_type": kind,
        "num_layers": 1,
        "hidden_size": hidden,
        "bias_fl": True,
    }
    content = {"model_data": data, "state_dict": {name: array.tolist() for name, array in arrays.items()}}
    x, actual = run(json.dumps(content).encode())
    w, r, b, br, head, bias = arrays.values()
    match kind:
        case "LSTM":
            y = lstm(x, w.T, r.T, b + br, "ifgo")
        case "GRU":
            y = gru(x, w.T, r.T, b, br, "rzn", reset_after=True)
        case _:
            y = rnn(x, w.T, r.T, b + br)
    assert_allclose(actual, y @ head.T + bias + skip * x, atol=1e-6)


def test_all_that_can_not_be_read_is_listed() -> None:
    layers = [
        layer_of("conv2d", 3),
        layer_of("dense", 3, normal(1, 3)),
        layer_of("unknown", 3),
        layer_of("dense", 3, normal(3, 3), activation="swish"),
    ]
    with pytest.raises(
        rg.NotReadableError, match=r"layer 0 .*'conv2d'.*layer 2 .*'unknown'.*layer 3 .*'swish'"
    ) as caught:
        rg.read_rtneural(file_of(layers))
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        file_of([layer_of("dense", 3, normal(2, 3))]),
        file_of([layer_of("dense", 3, normal(1, 3), normal(4))]),
        file_of([{"type": "dense"}]),
        file_of([layer_of("conv1d", 3, normal(2, 1, 3), kernel_size=[2], dilation=[0])]),
        file_of([layer_of("batchnorm", 1, normal(1), normal(1), epsilon=-1.0)]),
        file_of([layer_of("gru", 2, normal(1, 6), normal(2, 6), normal(6))]),
        json.dumps({"model_data": {"hidden_size": 3}, "state_dict": {}}).encode(),
    ],
)
def test_a_damaged_file_raises_an_error_of_rnngraph(data: bytes) -> None:
    with pytest.raises(rg.RnnGraphError, match=r"test_rtneural\.py:\d+: "):
        rg.read_rtneural(data)


def test_changed_files_give_an_error_or_a_net() -> None:
    check_changed_files(rg.read_rtneural, WHOLE, range(200))


@pytest.mark.exhaustive
def test_many_changed_files_give_an_error_or_a_net() -> None:
    check_changed_files(rg.read_rtneural, WHOLE, range(200, 20_200))


WHOLE = file_of(
    [
        layer_of("dense", 2, normal(1, 2), normal(2), activation="tanh"),
        layer_of("conv1d", 2, normal(2, 1, 2), normal(2), kernel_size=[2], dilation=[1], groups=2),
        layer_of("gru", 2, normal(2, 6), normal(2, 6), normal(2, 6)),
        layer_of("prelu", 2, normal(1, 2)),
    ],
    in_skip=1,
)
