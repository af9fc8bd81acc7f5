"""Random nets, saved by Keras 3 and by tf_keras (Keras 2) in both of their formats, have Keras' results.

Each net runs with two batch sizes and lengths in one program. Masks have rows that are masked completely, have holes,
or end early. Keras 3 runs with the backend that it is configured for.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_nets import RandomNet, fill, numbers
from keras_wide_nets import WideNet
from numpy.testing import assert_allclose

import rnngraph as rg

pytestmark = pytest.mark.peers

NETS, BLOCK = 300, 10
Feeds = list[np.ndarray]


def drawn(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).normal(size=shape).astype(np.float32)


def by_steps(keras: Any) -> tuple[Any, list[Feeds]]:
    """Return TimeDistributed layers on sequences of sequences."""
    layers = keras.layers
    x = keras.Input((None, 5, 3))
    inner = keras.Sequential([keras.Input((5, 3)), layers.Conv1D(4, 2), layers.GlobalMaxPooling1D()])
    one, other = layers.TimeDistributed(layers.LSTM(4))(x), layers.TimeDistributed(inner)(x)
    flat = layers.TimeDistributed(layers.Flatten())(x)
    y = layers.Normalization(axis=None, mean=0.5, variance=2.0)(layers.Concatenate()([one, other, flat]))
    y = layers.GRU(3, return_sequences=True)(y)
    y = layers.Rescaling([0.5, 2.0, 3.0], [1.0, 0.0, 2.0])(y)
    return keras.Model(x, y), [[drawn(2, 7, 5, 3)], [drawn(3, 4, 5, 3)]]


def states(keras: Any) -> tuple[Any, list[Feeds]]:
    """Return stacks and bidirectional layers with states as inputs and outputs, without merging."""
    layers = keras.layers
    x = keras.Input((None, 3))
    y, *more = layers.Bidirectional(layers.LSTM(2, return_state=True), merge_mode="concat")(x)
    z = layers.Bidirectional(layers.GRU(2, return_sequences=True), merge_mode=None)(x)
    second = layers.Bidirectional(layers.LSTM(2, return_sequences=True), merge_mode="ave")(z[0], initial_state=more)
    cells = layers.RNN([layers.LSTMCell(3), layers.GRUCell(2), layers.LSTMCell(2)])(z[1])
    return keras.Model(x, [y, second, cells, more[1]]), [[drawn(2, 7, 3)], [drawn(3, 4, 3)]]


def shared(keras: Any) -> tuple[Any, list[Feeds]]:
    """Return layers and a siamese network that are called twice, on inputs of different lengths."""
    layers = keras.layers
    one, other = keras.Input((None, 4), name="one"), keras.Input((None, 4), name="other")
    x = keras.Input((None, 4))
    y = layers.Conv1D(6, 3, padding="same", groups=2, activation="relu")(x)
    y = layers.Bidirectional(layers.GRU(3, return_sequences=True))(layers.BatchNormalization()(y))
    twin = keras.Model(x, layers.GlobalAveragePooling1D()(layers.Conv1D(2, 3, padding="causal", strides=2)(y)))
    left, right = twin(one), twin(other)
    near = layers.Dot(axes=1, normalize=True)([left, right])
    return keras.Model([one, other], [near, left]), [[drawn(2, 7, 4), drawn(2, 9, 4)], [drawn(3, 5, 4), drawn(3, 4, 4)]]


def fixed(keras: Any) -> tuple[Any, list[Feeds]]:
    """Return a model with a fixed batch size and length, a stateful layer, and permuted axes."""
    layers = keras.layers
    shape = {"batch_shape": (2, 6, 4)} if hasattr(keras, "ops") else {"shape": (6, 4), "batch_size": 2}
    x = keras.Input(**shape)
    y = layers.LSTM(5, return_sequences=True, stateful=True)(x)
    y = layers.Permute((2, 1))(layers.Reshape((3, 10))(y))
    y = layers.Dense(4, activation="swish")(layers.Flatten()(layers.Conv1D(3, 2)(y)))
    return keras.Model(x, layers.Reshape((2, -1))(y)), [[drawn(2, 6, 4)]]


def heads(keras: Any) -> tuple[Any, list[Feeds]]:
    """Return attention layers with masks. Keras 3 also removes these masks from the inputs of later layers."""
    layers = keras.layers
    ids = keras.Input((None,), dtype="int32")
    x = layers.Embedding(11, 4, mask_zero=True)(ids)
    attended = layers.MultiHeadAttention(2, 3)(x, x)
    y = layers.LayerNormalization()(layers.Add()([x, attended]))
    second = layers.MultiHeadAttention(1, 2)(y, x, use_causal_mask=True)
    outputs = [layers.GlobalAveragePooling1D()(y), layers.GRU(3)(attended), layers.GRU(3)(x), layers.LSTM(2)(second)]
    feeds = [[np.array([[3, 1, 0, 4, 0, 0, 5], [2, 0, 0, 0, 0, 0, 0]])], [np.array([[0, 1, 2], [1, 0, 2], [3, 4, 1]])]]
    return keras.Model(ids, outputs), feeds


def functions(keras: Any) -> tuple[Any, list[Feeds]]:
    """Return a model of functions that random nets don't contain."""
    if not hasattr(keras, "ops"):
        pytest.skip("keras.ops came with Keras 3")
    k, x = keras.ops, keras.Input((None, 4))
    outputs = [
        k.flip(x, axis=1),
        k.flip(x, axis=(1, -1)),
        k.cumsum(x, axis=1),
        k.argmax(x, axis=-1),
        k.moveaxis(x, -1, 1),
        k.argmax(x, axis=1, keepdims=True),
        k.var(x, axis=1),
        k.std(x, axis=-1, keepdims=True),
        k.rsqrt(x * x + 1.0),
        k.reciprocal(x * x + 1.0),
    ]
    return keras.Model(x, outputs), [[drawn(2, 7, 4)], [drawn(3, 5, 4)]]


def more_functions(keras: Any) -> tuple[Any, list[Feeds]]:
    """Return a model of functions that repeat and move entries, einsums, and composed functions."""
    if not hasattr(keras, "ops"):
        pytest.skip("keras.ops came with Keras 3")
    k, x = keras.ops, keras.Input((None, 4))
    y = keras.layers.Dense(4)(x)
    outputs = [
        k.tile(x, (1, 2, 1)),
        k.repeat(x, 3, axis=1),
        k.pad(x, ((0, 0), (2, 1), (0, 0)), constant_values=0.5),
        k.roll(x, 2, axis=1),
        k.roll(x, -1, axis=-1),
        k.take(x, [2, 0, 0], axis=-1),
        k.unstack(x, axis=-1)[1],
        k.one_hot(k.argmax(x, axis=-1), 4),
        k.einsum("btd,bsd->bts", x, y),
        k.einsum("btd,btd->bt", x, y),
        k.norm(x, axis=-1),
        k.norm(x, ord=1, axis=1, keepdims=True),
        k.logsumexp(x, axis=1),
        k.normalize(x, axis=-1),
        k.average(x, axis=1),
        k.amax(x, axis=-1),
        k.floor(x),
        k.round(x),
        k.log2(x * x + 1.0),
        k.gelu(x),
        x >= y,
        -x,
        keras.activations.relu(x, max_value=1.0),
        k.maximum(x1=x, x2=y),
        k.log_sigmoid(x),
        (x > y) * x,
        (x > 0.0) * 1.5,
        k.argmax(x, axis=-1) / 2,
        k.argmax(x, axis=-1) * 0.5,
        k.where(x > 0, x, y > 0),
        k.argmax(x, axis=-1) + (x[:, :, 0] > 0),
        k.stack([x, y > 0.0], axis=1),
        k.convert_to_tensor(x * 3, dtype="int32"),
        k.maximum(k.argmax(x, axis=1), x[:, 0]),
        k.dot(x, k.ones((4, 3))),
        k.dot(x, k.convert_to_tensor([0.5, 1.0, 2.0, -1.0])),
    ]
    return keras.Model(x, outputs), [[drawn(2, 7, 4)], [drawn(3, 5, 4)]]


def parts_of_axes(keras: Any) -> tuple[Any, list[Feeds]]:
    """Return a model of slices beyond the ends of open axes, computed indices, triangles, and tensor products."""
    if not hasattr(keras, "ops"):
        pytest.skip("keras.ops came with Keras 3")
    k, x = keras.ops, keras.Input((None, 4))
    best = k.argmax(x, axis=-1, keepdims=True)
    outputs = [
        x[:, :1000],
        x[:, -3:, 1],
        x[:, 1000:, None],
        k.take(x, [0, -1], axis=1),
        k.take(x, best[:, 0], axis=1),
        k.take_along_axis(x, best, axis=-1),
        k.swapaxes(x, 1, 2),
        k.moveaxis(x, (1, 2), (2, 1)),
        k.tril(x),
        k.triu(x, 1),
        k.one_hot(k.argmax(x, axis=-1), 4, axis=1),
        k.einsum("btd,bsd,bse->bte", x, x, x),
        k.tensordot(x, k.eye(4), 1),
        k.zeros_like(x),
        k.ones_like(x, dtype="int32"),
        k.round(x, 1),
        k.flip(x, axis=-1),
    ]
    return keras.Model(x, outputs), [[drawn(2, 7, 4)], [drawn(3, 5, 4)]]


def over_axes(keras: Any) -> tuple[Any, list[Feeds]]:
    """Return a model of norms, sorts, extremes and log-sum-exp at NaN, infinities, ties and bools."""
    if not hasattr(keras, "ops"):
        pytest.skip("keras.ops came with Keras 3")
    k, x = keras.ops, keras.Input((4,))
    names = (
        "sort",
        "argsort",
        "logsumexp",
        "max",
        "min",
        "argmax",
        "argmin",
        "prod",
        "cumprod",
        "any",
        "all",
        "count_nonzero",
        "std",
        "var",
        "softmax",
        "log_softmax",
        "norm",
    )
    outputs = [getattr(k, name)(x, axis=1) for name in names]
    truths = x > 0.5
    outputs += [
        getattr(k, name)(truths, axis=1) for name in ("sum", "mean", "max", "min", "argmax", "cumsum", "sort", "std")
    ]
    outputs += [k.norm(x, order, axis=-1, keepdims=True) for order in (2, 1, 0, float("inf"), -float("inf"))]
    outputs += [k.normalize(x, order=order) for order in (1, 2, 3)]
    outputs += [k.top_k(x, 3)[0]]
    nan, inf = np.nan, np.inf
    rows = [
        [1, nan, 2, 0],
        [nan, 1, nan, -1],
        [2, 1, 2, 1],
        [-inf, -inf, 1, -inf],
        [inf, -inf, 0, nan],
        [1, 1, 1, 1],
        [inf, inf, 1, 0],
        [-inf] * 4,
        [1e10, -1e10, 3, 7],
        [0, 0, 0, 0],
        [-1, 0, 2, -3],
    ]
    return keras.Model(x, outputs), [[np.array(rows, np.float32)]]


def matrices(keras: Any) -> tuple[Any, list[Feeds]]:
    """Return a model of matrix norms, quantiles, and normalizations over several axes."""
    if not hasattr(keras, "ops"):
        pytest.skip("keras.ops came with Keras 3")
    k, layers, x = keras.ops, keras.layers, keras.Input((3, 4))
    outputs = [k.norm(x, order, axis=(1, 2)) for order in (None, "fro", 1, -1, float("inf"), -float("inf"))]
    outputs += [k.quantile(x, 0.3, axis=1), k.quantile(x, [0.2, 0.9], axis=(1, 2), keepdims=True), k.median(x, axis=-1)]
    outputs += [
        layers.LayerNormalization(axis=(1, 2))(x),
        layers.GroupNormalization(2)(x),
        layers.UnitNormalization()(x),
    ]
    outputs += [k.top_k(x, 2)[1], layers.GroupNormalization(-1)(x)]
    return keras.Model(x, outputs), [[drawn(2, 3, 4)]]


def pictures(keras: Any) -> tuple[Any, list[Feeds]]:
    """Return a model of 2-D convolutions before recurrent layers, images at each step, and einsums."""
    layers = keras.layers
    x, ids, film = keras.Input((None, 6, 1)), keras.Input((None,), dtype="int32"), keras.Input((None, 5, 6, 1))
    y = layers.Conv2D(4, (3, 2), padding="same", activation="relu")(x)
    y = layers.MaxPooling2D((2, 2), padding="same")(layers.SpatialDropout2D(0.1)(layers.BatchNormalization()(y)))
    y = layers.SeparableConv2D(3, (2, 3), padding="same", depth_multiplier=2)(y)
    y = layers.AveragePooling2D((1, 2))(layers.DepthwiseConv2D(2, padding="same")(y))
    y = layers.EinsumDense("abcd,cde->abe", output_shape=(None, 5), bias_axes="e")(y)
    heard = layers.Bidirectional(layers.GRU(3))(y)
    wide = layers.Conv2DTranspose(2, (3, 2), strides=(2, 1), padding="same", activation="tanh")(x)
    wide = layers.GlobalMaxPooling2D()(layers.Conv2DTranspose(3, (2, 3), strides=(1, 2))(wide))
    eye = keras.Sequential([keras.Input((5, 6, 1)), layers.Conv2D(2, 2), layers.MaxPooling2D(), layers.Flatten()])
    seen = layers.LSTM(3)(layers.TimeDistributed(eye)(film, mask=film[:, :, 0, 0, 0] > 0.0))
    rows = layers.CategoryEncoding(5, output_mode="multi_hot")(ids)
    feeds = [
        [drawn(2, steps, 6, 1), np.random.default_rng(steps).integers(0, 5, (2, 4)), drawn(2, 3, 5, 6, 1)]
        for steps in (9, 12)
    ]
    return keras.Model([x, ids, film], [heard, wide, seen, layers.Dense(2)(rows)]), feeds


def left(keras: Any) -> tuple[Any, list[Feeds]]:
    """Return a model in which calls change the masks of their inputs: a network with a mask, and dropout."""
    layers = keras.layers
    x = keras.Input((None, 4))
    y = layers.GRU(4, return_sequences=True)(x, mask=x[:, :, 0] > 0.1)
    inner = keras.Sequential([keras.Input((None, 4)), layers.Dense(4)])
    z = layers.Add()([y, inner(y, mask=x[:, :, 1] > 0.0)])
    w = layers.LayerNormalization()(z)
    dropped = layers.Dropout(0.2)(w)
    heads = layers.MultiHeadAttention(2, 3)(query=dropped, value=dropped)
    pool = layers.GlobalAveragePooling1D()
    outputs = [layers.LSTM(2)(z), pool(z), layers.LSTM(2)(w), pool(w), layers.GRU(2)(layers.Add()([w, heads]))]
    return keras.Model(x, outputs), [[drawn(2, 7, 4)], [drawn(3, 5, 4)]]


def masked_twice(keras: Any) -> tuple[Any, list[Feeds]]:
    """Return a model in which layers with another mask read the zeros that a Masking layer wrote."""
    layers = keras.layers
    x = keras.Input((None, 4))
    masked, own = layers.Masking(-1.0)(x), x[:, :, 0] < 0.5
    outputs = [
        layers.GRU(3, return_sequences=True)(masked, mask=own),
        layers.LSTM(3, go_backwards=True)(masked, mask=own),
        layers.Bidirectional(layers.SimpleRNN(2))(masked, mask=own),
        layers.GRU(2)(masked),
    ]
    fed = drawn(3, 7, 4)
    fed[1:, 2:5] = -1.0
    return keras.Model(x, outputs), [[fed]]


def masked_heads(keras: Any) -> tuple[Any, list[Feeds]]:
    """Return attention with queries that mask all steps.

    Their weights are 0 in Keras 3.14 and later, and equal in the backend's attention function.
    """
    layers = keras.layers
    x = keras.Input((None, 4))
    y = layers.Masking(-1.0)(x)
    outputs = [
        layers.MultiHeadAttention(2, 3)(y, y),
        layers.MultiHeadAttention(2, 3, dropout=0.2)(y, y),
        *layers.MultiHeadAttention(2, 3)(y, y, return_attention_scores=True),
    ]
    fed = drawn(3, 7, 4)
    fed[1:, 2:5] = -1.0
    return keras.Model(x, outputs), [[fed]]


def turned(keras: Any) -> tuple[Any, list[Feeds]]:
    """Return bidirectional layers whose first layer is the backward one."""
    layers = keras.layers
    x = keras.Input((None, 3))
    back, ahead = layers.LSTM(2, go_backwards=True, return_sequences=True), layers.GRU(2, return_sequences=True)
    y = layers.Bidirectional(back, backward_layer=ahead)(layers.Masking(0.0)(x))
    options = {"return_state": True, "return_sequences": True}
    z, *ends = layers.Bidirectional(
        layers.GRU(2, go_backwards=True, **options), backward_layer=layers.GRU(2, **options), merge_mode="concat"
    )(y)
    last = layers.Bidirectional(layers.GRU(2, go_backwards=True), backward_layer=layers.GRU(2))(z, initial_state=ends)
    feeds = [drawn(2, 7, 3), drawn(3, 5, 3)]
    for array in feeds:
        array[0, 3:5] = array[1, :2] = 0.0
    return keras.Model(x, [y, z, *ends, last]), [[array] for array in feeds]


def test_the_training_flag_of_keras_2_applies_to_both_graphs(tmp_path: Path) -> None:
    keras = module("tf_keras")
    layers, x = keras.layers, keras.Input((None, 3))
    inner = keras.Sequential(
        [
            keras.Input((None, 3)),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.LSTM(3, dropout=0.5, return_sequences=True),
        ]
    )
    y = layers.GaussianNoise(0.5)(layers.BatchNormalization()(inner(x, training=False), training=False), training=False)
    model = keras.Model(x, layers.GRU(2)(y))
    fill(model, np.random.default_rng(1))
    array = drawn(4, 6, 3)
    for ending in ("h5", "keras"):
        model.save(tmp_path / f"net.{ending}")
        read = rg.read_keras(tmp_path / f"net.{ending}")
        (output,), (name,) = read.outputs.values(), read.inputs
        program = read.program(loss=rg.reduce_mean(rg.square(output)))
        expected = np.asarray(model(array, training=True))
        assert_allclose(next(iter(program.inference({name: array}).values())), expected, atol=3e-6)
        assert_allclose(program.training({name: array}, seed=1)["loss"], np.mean(expected**2), rtol=1e-5)
    keras.Model(x, layers.GRU(2)(layers.Dropout(0.5)(x, training=True))).save(tmp_path / "always.h5")
    with pytest.raises(rg.NotReadableError, match="calls with training=True"):
        rg.read_keras(tmp_path / "always.h5")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["keras", "tf_keras"])
@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.parametrize(
    "build",
    [
        by_steps,
        states,
        shared,
        fixed,
        heads,
        functions,
        more_functions,
        parts_of_axes,
        over_axes,
        matrices,
        pictures,
        left,
        masked_twice,
        masked_heads,
        turned,
    ],
)
def test_nets_with_one_feature_each(build: Any, ending: str, name: str, tmp_path: Path) -> None:
    keras = module(name)
    keras.backend.clear_session()
    model, calls = build(keras)
    fill(model, np.random.default_rng(1))
    model.save(tmp_path / f"net.{ending}")
    read = rg.read_keras(tmp_path / f"net.{ending}")
    program = read.program()
    for feeds in calls:
        actual = program.inference(dict(zip(read.inputs, feeds, strict=True)))
        for output, array, wanted in zip(actual, actual.values(), numbers(keras, model, feeds), strict=True):
            assert_allclose(array, wanted, atol=3e-6, err_msg=output)


def module(name: str) -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if importlib.util.find_spec("tensorflow") is None:
        os.environ.setdefault("KERAS_BACKEND", "torch")
    for needed in ("tensorflow" if name == "tf_keras" else os.environ.get("KERAS_BACKEND", "tensorflow"), name):
        spec = importlib.util.find_spec(needed)
        if spec is None or spec.origin is None:  # A test folder of the same name is a package without origin.
            pytest.skip(f"{needed} is not installed")
    return importlib.import_module(name)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["keras", "tf_keras"])
@pytest.mark.parametrize("first", range(0, NETS, BLOCK))
@pytest.mark.parametrize("drawn_as", [RandomNet, pytest.param(WideNet, marks=pytest.mark.exhaustive)])
def test_random_nets_give_the_numbers_of_keras(
    drawn_as: type[RandomNet], name: str, first: int, tmp_path: Path
) -> None:
    keras, compared = module(name), 0
    for seed in range(first, first + BLOCK):
        keras.backend.clear_session()
        path = tmp_path / f"net.{'keras' if seed % 2 else 'h5'}"
        try:
            net = drawn_as(keras, seed)
            net.model.save(path)
            fed = [net.feeds(batch, steps) for batch, steps in ((3, 17), (1, 25))]
            expected_results = [net.expected(feeds) for feeds in fed]
        except Exception:
            assert drawn_as is WideNet, seed  # WideNet sometimes draws nets that Keras itself refuses
            continue
        read = rg.read_keras(path)
        program = read.program()
        compared += 1
        for feeds, expected in zip(fed, expected_results, strict=True):
            actual = program.inference(dict(zip(read.inputs, feeds, strict=True)))
            assert len(actual) == len(expected), seed
            for array, wanted in zip(actual.values(), expected, strict=True):
                largest = np.nanmax(np.abs(wanted), initial=1.0)
                assert_allclose(array, wanted, atol=3e-5 * largest, rtol=1e-4, err_msg=f"seed {seed}")
    assert compared >= BLOCK // 2
