"""Random nets of Keras 3 or ``tf_keras``, and their results for random inputs.

A net is drawn layer by layer, first on steps [batch, time, width], then on rows [batch, width].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

MASKED = -1.0
Draw = np.random.Generator


class RandomNet:
    """Random net. ``keras`` is the module Keras 3 or ``tf_keras``."""

    def __init__(self, keras: Any, seed: int) -> None:
        self.keras, self.layers, self.draw = keras, keras.layers, np.random.default_rng(seed)
        self.is_new = int(keras.__version__.split(".")[0]) >= 3
        self.steps = None if self.draw.random() < 0.7 else 25
        self.inputs: list[Any] = []
        self.widths: list[int | str] = []
        self.has_mask = False
        self.model = self._sequential() if self.draw.random() < 0.3 else self._functional()
        fill(self.model, self.draw)

    # Draws ---------------------------------------------------------------------------------------

    def pick(self, *items: Any) -> Any:
        return items[int(self.draw.integers(len(items)))]

    def chance(self, probability: float) -> bool:
        return bool(self.draw.random() < probability)

    def size(self) -> int:
        return int(self.draw.integers(1, 8))

    def activation(self) -> str:
        return self.pick("tanh", "relu", "sigmoid", "linear", "softsign", "elu", "selu", "softplus", "hard_sigmoid")

    # Recurrent layers ----------------------------------------------------------------------------

    def recurrent_options(self, kind: str) -> dict[str, Any]:
        options: dict[str, Any] = {"use_bias": self.chance(0.8)}
        if self.chance(0.4):
            options["activation"] = self.pick("tanh", "relu", "sigmoid", "softsign", "linear", "hard_sigmoid")
        if kind != "SimpleRNN" and self.chance(0.4):
            options["recurrent_activation"] = self.pick("sigmoid", "hard_sigmoid")
        if kind == "GRU":
            options["reset_after"] = self.chance(0.5)
        if self.chance(0.2):
            options |= {"dropout": 0.25, "recurrent_dropout": self.pick(0.0, 0.5)}
        return options

    def recurrent(self, sequences: bool = True, both: bool = False, state: bool = False) -> Any:
        """Return a recurrent layer; with ``both``, a layer that ``Bidirectional`` can wrap."""
        kind = self.pick("LSTM", "GRU", "SimpleRNN")
        options: dict[str, Any] = {"return_sequences": sequences, "return_state": state}
        if not both:
            options |= {"go_backwards": self.chance(0.2)}
            if self.chance(0.15):
                options["zero_output_for_mask"] = True
        if self.chance(0.2):
            cells = [self.cell() for _ in range(self.pick(1, 2, 3))]
            return self.layers.RNN(cells if len(cells) > 1 else cells[0], **options)
        return getattr(self.layers, kind)(self.size(), **options, **self.recurrent_options(kind))

    def cell(self) -> Any:
        kind = self.pick("LSTM", "GRU", "SimpleRNN")
        return getattr(self.layers, f"{kind}Cell")(self.size(), **self.recurrent_options(kind))

    def bidirectional(self, sequences: bool = True, state: bool = False) -> Any:
        mode = self.pick("concat", "concat", "sum", "mul", "ave")
        if self.chance(0.2):
            units = self.size()
            options = {"return_sequences": sequences, "return_state": state}
            ahead = self.layers.LSTM(units, **options, **self.recurrent_options("LSTM"))
            back = self.layers.GRU(units, go_backwards=True, **options, **self.recurrent_options("GRU"))
            if not state:
                return self.layers.Bidirectional(ahead, merge_mode=mode, backward_layer=back)
        return self.layers.Bidirectional(self.recurrent(sequences, both=True, state=state), merge_mode=mode)

    # Layers on steps -----------------------------------------------------------------------------

    def stacked(self, x: Any) -> Any:
        """Apply a stack of equal layers."""
        kind, units, options = self.pick("LSTM", "GRU", "SimpleRNN"), self.size(), self.pick({}, {"activation": "relu"})
        for _ in range(self.pick(2, 3)):
            layer = getattr(self.layers, kind)(units, return_sequences=True, **options)
            x = layer(x) if self.chance(0.7) else self.layers.Bidirectional(layer)(x)
        return x

    def convolution(self) -> Any:
        size, options = self.pick(1, 2, 3, 4), {}
        if self.chance(0.4):
            options["dilation_rate"] = 2
        elif self.chance(0.4):
            options["strides"] = 2
        options |= {"padding": self.pick("valid", "same", "causal"), "use_bias": self.chance(0.7)}
        options["activation"] = self.activation()
        return self.layers.Conv1D(self.pick(2, 4, 6), size, **options)

    def separate(self) -> Any:
        padding = self.pick("valid", "same")
        if self.chance(0.5):
            return self.layers.SeparableConv1D(self.size(), self.pick(1, 3), padding=padding, depth_multiplier=2)
        return self.layers.DepthwiseConv1D(self.pick(1, 3), padding=padding, depth_multiplier=self.pick(1, 2))

    def spread(self) -> Any:
        """Return a layer that increases the number of steps, or normalises over all steps."""
        if self.chance(0.3):
            return self.layers.GroupNormalization(-1, center=self.chance(0.7), scale=self.chance(0.7))
        options: dict[str, Any] = {"padding": self.pick("valid", "same"), "use_bias": self.chance(0.7)}
        options |= self.pick({"strides": 2}, {"strides": 3}, {"dilation_rate": 2})
        return self.layers.Conv1DTranspose(self.size(), self.pick(1, 2, 3, 4), activation=self.activation(), **options)

    def pool(self) -> Any:
        kind = self.pick("MaxPooling1D", "AveragePooling1D")
        return getattr(self.layers, kind)(
            self.pick(1, 2, 3), strides=self.pick(None, 1, 2), padding=self.pick("valid", "same")
        )

    def by_step(self) -> Any:
        """Return a layer over single steps."""
        layers = self.layers
        return self.pick(
            lambda: layers.Dense(self.size(), activation=self.activation(), use_bias=self.chance(0.7)),
            lambda: layers.Activation(self.pick(self.activation(), "softmax", "gelu", "swish", "exponential")),
            lambda: layers.TimeDistributed(layers.Dense(self.size(), activation=self.activation())),
            lambda: layers.ReLU(
                max_value=self.pick(None, 6.0, 1.5), negative_slope=self.pick(0.0, 0.2), threshold=self.pick(0.0, 0.5)
            ),
            lambda: layers.LeakyReLU(0.2),
            lambda: layers.ELU(self.pick(1.0, 0.5)),
            lambda: layers.PReLU(shared_axes=[1]),
            lambda: layers.LayerNormalization(center=self.chance(0.7), scale=self.chance(0.7)),
            lambda: layers.BatchNormalization(center=self.chance(0.7), scale=self.chance(0.7), epsilon=1e-2),
            lambda: layers.UnitNormalization(),
            lambda: layers.Rescaling(0.5, self.pick(0.0, 1.0)),
            lambda: layers.Dropout(0.3),
            lambda: layers.SpatialDropout1D(0.3),
            lambda: layers.GaussianNoise(0.1),
            lambda: layers.GaussianDropout(0.2),
        )()

    def steps_layer(self) -> Any:
        """Return a layer over steps. It may change the number of steps."""
        return self.pick(
            self.recurrent,
            self.recurrent,
            self.bidirectional,
            self.bidirectional,
            self.by_step,
            self.by_step,
            self.by_step,
            self.convolution,
            self.separate,
            self.spread,
            self.pool,
            self.nested,
            lambda: self.layers.ZeroPadding1D(self.pick(1, (2, 1))),
            lambda: self.layers.Cropping1D(self.pick(1, (0, 2))),
            lambda: self.layers.UpSampling1D(2),
        )()

    def nested(self) -> Any:
        """Return a network over steps. It preserves the number of steps."""
        width = self.nested_width
        if self.chance(0.5):
            return self.keras.Sequential([self.keras.Input((None, width)), self.by_step(), self.recurrent()])
        x = self.keras.Input((None, width))
        return self.keras.Model(x, self.layers.Dense(3)(self.bidirectional()(x)))

    def on_steps(self, x: Any) -> Any:
        """Apply one more layer or operation."""
        self.nested_width = x.shape[-1]
        choice = self.draw.random()
        if choice < 0.6:
            return self.steps_layer()(x)
        if choice < 0.7:
            return self.stacked(x)
        if choice < 0.85:
            return self.merged(x)
        if choice < 0.92:
            return self.attended(x)
        return self.operated(x)

    def merged(self, x: Any) -> Any:
        """Apply two layers to one input, and merge their outputs."""
        layers, units = self.layers, x.shape[-1]
        one, other = layers.Dense(units), layers.GRU(units, return_sequences=True)
        kind = self.pick("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate")
        return getattr(layers, kind)()([one(x), one(other(x)) if self.chance(0.5) else x])

    def attended(self, x: Any) -> Any:
        other = self.layers.Dense(x.shape[-1])(x)
        if self.chance(0.5):
            layer = self.pick(
                lambda: self.layers.Attention(use_scale=self.chance(0.5), dropout=0.1),
                lambda: self.layers.Attention(score_mode="concat"),
                lambda: self.layers.AdditiveAttention(),
            )()
            return layer([x, other], use_causal_mask=self.chance(0.3))
        layer = self.layers.MultiHeadAttention(self.pick(1, 2), 3, value_dim=self.pick(None, 2))
        return layer(x, other, use_causal_mask=self.chance(0.3))

    def operated(self, x: Any) -> Any:
        """Apply functions among layers."""
        y = self.layers.Dense(x.shape[-1])(x)
        return self.pick(
            lambda: x + y,
            lambda: x * 2.0 - y,
            lambda: 1.0 - x,
            lambda: x[:, ::2],
            lambda: x[:, :, :1] * y,
            lambda: self._joined(x, y),
            lambda: self._mean(x),
        )()

    def _joined(self, x: Any, y: Any) -> Any:
        if self.is_new:
            return self.keras.ops.concatenate([self.keras.ops.tanh(x), self.keras.ops.maximum(x, y)], axis=-1)
        import tensorflow

        return tensorflow.concat([tensorflow.tanh(x), tensorflow.maximum(x, y)], axis=-1)

    def _mean(self, x: Any) -> Any:
        if self.is_new:
            return x - self.keras.ops.mean(x, axis=1, keepdims=True)
        import tensorflow

        return x - tensorflow.reduce_mean(x, axis=1, keepdims=True)

    # From steps to rows --------------------------------------------------------------------------

    def rows(self, x: Any) -> Any:
        layers = self.layers
        return self.pick(
            lambda: self.recurrent(sequences=False)(x),
            lambda: self.bidirectional(sequences=False)(x),
            lambda: layers.GlobalAveragePooling1D()(x),
            lambda: layers.GlobalMaxPooling1D()(x),
            lambda: x[:, -1],
            lambda: self._with_state(x),
        )()

    def _with_state(self, x: Any) -> Any:
        """Apply an encoder, and a decoder that starts from the encoder's final state."""
        units = self.size()
        kind = self.pick("LSTM", "GRU", "SimpleRNN")
        encoder = getattr(self.layers, kind)(units, return_state=True)
        first, *states = encoder(x)
        steps = self.layers.RepeatVector(3)(first) if self.chance(0.5) else x
        sequences = steps.shape[1] is not None and self.chance(0.5)
        decoder = getattr(self.layers, kind)(units, return_sequences=sequences)
        y = decoder(steps, initial_state=states if len(states) > 1 else states[0])
        return self.layers.Flatten()(y) if sequences else y

    # Models --------------------------------------------------------------------------------------

    def _source(self) -> Any:
        """Return an input, with a mask or an embedding if one is drawn."""
        masks = self.chance(0.5)
        self.has_mask |= masks
        if self.chance(0.3):
            self.widths.append("ids")
            self.inputs.append(self.keras.Input((self.steps,), dtype=self.pick("int32", "float32")))
            return self.layers.Embedding(11, self.size(), mask_zero=masks)(self.inputs[-1])
        width = self.size()
        self.widths.append(width)
        self.inputs.append(self.keras.Input((self.steps, width)))
        return self.layers.Masking(MASKED)(self.inputs[-1]) if masks else self.inputs[-1]

    def _functional(self) -> Any:
        sources = [self._source() for _ in range(self.pick(1, 1, 2))]
        outputs, rows = [], []
        for x in sources:
            for _ in range(int(self.draw.integers(1, 5))):
                x = self.on_steps(x)
            outputs += [x] if self.chance(0.3) else []
            rows.append(self.rows(x))
        y = self.layers.Concatenate()(rows) if len(rows) > 1 else rows[0]
        shared = self.layers.Dense(y.shape[-1], activation="tanh")
        y = shared(shared(y)) if self.chance(0.3) else y
        outputs.append(self.layers.Dense(self.size(), activation="softmax")(y) if len(y.shape) == 2 else y)
        return self.keras.Model(self.inputs if len(self.inputs) > 1 else self.inputs[0], outputs)

    def _sequential(self) -> Any:
        layers, masks = [], self.chance(0.5)
        if self.chance(0.3):
            self.widths = ["ids"]
            layers += [self.keras.Input((self.steps,)), self.layers.Embedding(11, 5, mask_zero=masks)]
        else:
            self.widths = [4]
            layers += [self.keras.Input((self.steps, 4)), *([self.layers.Masking(MASKED)] if masks else [])]
        self.has_mask = masks
        for _ in range(int(self.draw.integers(1, 5))):
            layers.append(self.pick(self.recurrent, self.bidirectional, self.by_step)())
        if self.chance(0.5):
            layers.append(self.pick(self.recurrent, self.bidirectional)(sequences=False))
            layers.append(self.layers.Dense(3, activation="sigmoid"))
        return self.keras.Sequential(layers)

    # Numbers -------------------------------------------------------------------------------------

    def feeds(self, batch: int, steps: int) -> list[np.ndarray]:
        """Return inputs in order; some masks have holes, and some are completely false."""
        steps, result = self.steps or steps, []
        for width in self.widths:
            hidden = self.draw.random((batch, steps)) < self.pick(0.0, 0.3, 0.7)
            hidden[0] = self.chance(0.3)
            if width == "ids":
                result.append(np.where(hidden, 0, self.draw.integers(1, 11, (batch, steps))).astype(np.int32))
            else:
                x = self.draw.normal(size=(batch, steps, width)).astype(np.float32)
                result.append(np.where(hidden[..., None], np.float32(MASKED), x))
        return result

    def expected(self, feeds: list[np.ndarray]) -> list[np.ndarray]:
        """Return Keras' results, in order of the outputs."""
        return numbers(self.keras, self.model, feeds)


def fill(model: Any, draw: Draw) -> None:
    """Fill weights with values that reveal permutations, duplicates and omissions."""
    bounds = [(0.5, 2.0) if "variance" in weight.name else (-0.8, 0.8) for weight in model.weights]
    model.set_weights(
        [
            draw.uniform(*bound, tuple(weight.shape)).astype(np.float32)
            for bound, weight in zip(bounds, model.weights, strict=True)
        ]
    )


def numbers(keras: Any, model: Any, feeds: list[np.ndarray]) -> list[np.ndarray]:
    """Return a model's results, in order of the outputs."""
    actual = model(feeds if len(feeds) > 1 else feeds[0], training=False)
    to_numpy: Callable[[Any], np.ndarray] = keras.ops.convert_to_numpy if hasattr(keras, "ops") else np.asarray
    if isinstance(actual, dict):
        actual = list(actual.values())
    return [to_numpy(one) for one in (actual if isinstance(actual, list | tuple) else [actual])]
