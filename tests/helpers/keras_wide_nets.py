"""Random nets of Keras with rarer options, layers and calls than those of ``keras_nets``."""

from __future__ import annotations

from typing import Any

from keras_nets import MASKED, RandomNet

NAMES = ("my layer", "Größe", "class", "x-1", "gru_99", "kernel", "lambda x", "0", "fw", "cell_0")


class WideNet(RandomNet):
    """Random net with rarer options.

    Attributes:
        others: Outputs in addition to the last layer's, such as states.
        pieces: Names of the layers and operations that were drawn, for a report.
    """

    def __init__(self, keras: Any, seed: int) -> None:
        self.others: list[Any] = []
        self.pieces: list[str] = []
        is_new = int(keras.__version__.split(".")[0]) >= 3
        self.names = [name for name in NAMES if is_new or (name.isascii() and " " not in name)]
        super().__init__(keras, seed)

    # Options that layers share -------------------------------------------------------------------

    def name(self) -> dict[str, Any]:
        """Return a ``name`` argument, or none. The name is no identifier, or it is the kind of another layer."""
        if not self.names or not self.chance(0.1):
            return {}
        return {"name": self.names.pop(int(self.draw.integers(len(self.names))))}

    def common(self) -> dict[str, Any]:
        options = self.name()
        if self.chance(0.15):
            options["trainable"] = False
        return options

    def activation(self) -> Any:
        names = ["tanh", "relu", "sigmoid", "linear", "softsign", "elu", "selu", "softplus", "hard_sigmoid", "swish"]
        names += ["gelu", "softmax", "mish", None, *(["silu", "leaky_relu", "relu6"] if self.is_new else [])]
        names += ["hard_tanh", "hard_silu", "log_sigmoid", "tanh_shrink", "celu", "log_softmax"] if self.is_new else []
        if self.chance(0.1):
            return self.pick(self.layers.LeakyReLU, self.layers.ELU, self.layers.ReLU)()
        return self.pick(*names)

    def recurrent_options(self, kind: str) -> dict[str, Any]:
        options = super().recurrent_options(kind)
        if self.chance(0.2):
            options |= self.pick(
                {"kernel_initializer": "zeros"},
                {"kernel_regularizer": "l2"},
                {"bias_constraint": "max_norm"},
                {"recurrent_initializer": "glorot_uniform"},
            )
        if self.chance(0.2):
            options["activation"] = self.pick("gelu", "selu", "elu", "softplus", "swish", None)
        return options

    def layer_options(self) -> dict[str, Any]:
        """Return options that recurrent layers have and cells lack."""
        options = self.common()
        if self.steps and self.chance(0.2):
            options["unroll"] = True
        if not self.is_new and self.chance(0.2):
            options["implementation"] = self.pick(1, 2)
        return options

    def kind(self) -> str:
        return self.pick("LSTM", "GRU", "SimpleRNN")

    def plain(self, kind: str, units: int, **options: Any) -> Any:
        return getattr(self.layers, kind)(units, **options, **self.recurrent_options(kind), **self.layer_options())

    # Steps to steps ------------------------------------------------------------------------------

    def on_steps(self, x: Any) -> Any:
        """Apply one more layer or operation."""
        if self.chance(0.4):
            return super().on_steps(x)
        self.nested_width = x.shape[-1]
        drawn = self.pick(
            self.stacked_cells,
            self.backwards_pair,
            self.handed_over,
            self.from_rows,
            self.by_own_mask,
            self.by_step_each,
            self.wide_convolution,
            self.wide_norm,
            self.moved,
            self.joined_in_time,
            self.dotted,
            self.attended_by_key,
            self.headed,
            self.network_of_several,
            self.called_again,
            self.functions,
            self.functions,
            self.residual,
            self.all_directions,
            self.turned_pair,
            self.masked_again,
            self.highway,
            self.of_each_step,
            self.stacked_late,
            self.over_planes,
            self.over_planes,
            self.planes_of_each_step,
            self.by_equation,
        )
        self.pieces.append(drawn.__name__)
        return drawn(x)

    def stacked_cells(self, x: Any) -> Any:
        """Apply an RNN of cells, possibly nested."""
        cells = self.layers.StackedRNNCells([self.cell() for _ in range(self.pick(1, 2, 3))], **self.name())
        options = {"return_sequences": True, "go_backwards": self.chance(0.3), "return_state": self.chance(0.3)}
        options["zero_output_for_mask"] = self.chance(0.3)
        y = self.layers.RNN(cells, **options, **self.layer_options())(x)
        if options["return_state"]:
            self.others += flat(y[1:])[: self.pick(1, 6)]
        return y[0] if options["return_state"] else y

    def backwards_pair(self, x: Any) -> Any:
        """Apply bidirectional RNNs of cells."""
        cells = [self.cell() for _ in range(self.pick(1, 2))]
        inner = self.layers.RNN(cells if len(cells) > 1 else cells[0], return_sequences=True)
        return self.layers.Bidirectional(inner, merge_mode=self.pick("concat", "sum", "ave", "mul"), **self.common())(x)

    def turned_pair(self, x: Any) -> Any:
        """Apply a bidirectional layer whose first layer is the backward one."""
        kinds, units, state = [self.kind(), self.kind()], self.size(), self.chance(0.3)
        kinds[1] = kinds[0] if state else kinds[1]
        options = {"return_sequences": True, "return_state": state}
        back = self.plain(kinds[0], units, go_backwards=True, **options)
        both = self.layers.Bidirectional(
            back, backward_layer=self.plain(kinds[1], units, **options), merge_mode=self.pick("concat", "sum", "mul")
        )
        y = both(x)
        self.others += y[1:] if state else []
        return y[0] if state else y

    def all_directions(self, x: Any) -> Any:
        """Apply bidirectional layers that start from the final states of other layers."""
        kind, units = self.kind(), self.size()
        first = self.layers.Bidirectional(self.plain(kind, units, return_sequences=True, return_state=True))
        y, *states = first(x)
        second = self.layers.Bidirectional(
            self.plain(kind, units, return_sequences=True), merge_mode=self.pick("concat", "sum")
        )
        if self.chance(0.5):
            return second(y, initial_state=states)
        self.others += states[: self.pick(1, 4)]
        return y

    def handed_over(self, x: Any) -> Any:
        """Pass states from one layer to the next, with sequences or without."""
        kind, units = self.kind(), self.size()
        y, *states = self.plain(kind, units, return_state=True, return_sequences=True, go_backwards=self.chance(0.3))(x)
        self.others += states if self.chance(0.3) else []
        options = {"return_sequences": True, "go_backwards": self.chance(0.3), "zero_output_for_mask": self.chance(0.2)}
        if not self.is_new:
            options.pop("zero_output_for_mask")
        return self.plain(kind, units, **options)(
            self.pick(x, y), initial_state=states if len(states) > 1 else states[0]
        )

    def from_rows(self, x: Any) -> Any:
        """Initialise states by dense layers from rows."""
        kind, units = self.kind(), self.size()
        row = self.layers.GlobalMaxPooling1D()(x)
        states = [self.layers.Dense(units, activation="tanh")(row) for _ in range(2 if kind == "LSTM" else 1)]
        return self.plain(kind, units, return_sequences=True)(x, initial_state=states if len(states) > 1 else states[0])

    def by_own_mask(self, x: Any) -> Any:
        """Apply a layer with an explicit mask."""
        score = self.layers.Dense(1)(x)
        mask = score[:, :, 0] > 0.1
        layer = self.pick(
            lambda: self.recurrent(), lambda: self.bidirectional(), lambda: self.plain("GRU", 3, return_sequences=True)
        )()
        return layer(x, mask=mask)

    def masked_again(self, x: Any) -> Any:
        """Pad with zeros at the beginning or the end, and mask the zeros."""
        y = self.layers.ZeroPadding1D(self.pick(1, (2, 0), (0, 3)))(x)
        return self.recurrent()(self.layers.Masking(0.0)(y))

    def by_step_each(self, x: Any) -> Any:
        """Apply a TimeDistributed layer."""
        layers = self.layers
        inner = self.pick(
            lambda: layers.LayerNormalization(),
            lambda: layers.BatchNormalization(),
            lambda: layers.Dropout(0.2),
            lambda: layers.Dense(self.size(), activation=self.activation()),
            lambda: layers.Activation("softmax"),
            lambda: layers.LeakyReLU(0.1),
            lambda: layers.Reshape((x.shape[-1], 1)),
            lambda: layers.RepeatVector(3),
            lambda: layers.Flatten(),
            lambda: layers.PReLU(),
        )()
        y = layers.TimeDistributed(inner, **self.common())(x)
        return layers.TimeDistributed(layers.Flatten())(y) if len(y.shape) == 4 else y

    def of_each_step(self, x: Any) -> Any:
        """Apply layers to each step. The layers read the units of a step as a sequence."""
        layers, width = self.layers, x.shape[-1]
        y = layers.TimeDistributed(layers.Reshape((width, 1)))(x)
        inner = self.pick(
            lambda: layers.LSTM(3),
            lambda: layers.Bidirectional(layers.GRU(2)),
            lambda: layers.GRU(2, return_sequences=True),
            lambda: layers.Conv1D(3, 1, activation=self.activation()),
            lambda: layers.GlobalMaxPooling1D(),
            lambda: layers.Conv1D(2, 2, padding="same"),
            lambda: layers.SimpleRNN(2, go_backwards=True),
            lambda: self.keras.Sequential(
                [self.keras.Input((width, 1)), layers.Conv1D(2, 1), layers.GlobalAveragePooling1D()]
            ),
        )()
        y = layers.TimeDistributed(inner)(y)
        return layers.TimeDistributed(layers.Flatten())(y) if len(y.shape) == 4 else y

    def wide_convolution(self, x: Any) -> Any:
        layers, width = self.layers, x.shape[-1]
        groups = self.pick(*[size for size in (1, 2, 3, width) if width % size == 0])
        rate = self.pick({}, {"strides": 2}, {"dilation_rate": 2}, {"dilation_rate": 3})
        bias = {"use_bias": self.chance(0.7)}
        wide = self.pick("valid", "same", "causal")
        narrow, more = self.pick("valid", "same"), {"activation": self.activation(), **bias, **self.common()}
        return self.pick(
            lambda: layers.Conv1D(2 * groups, self.pick(1, 2, 3), groups=groups, padding=wide, **rate, **more),
            lambda: layers.SeparableConv1D(
                self.size(), self.pick(2, 3), padding=narrow if self.is_new else wide, **rate, **more
            ),
            lambda: layers.DepthwiseConv1D(self.pick(2, 3), padding=narrow, depth_multiplier=2, **rate, **more),
            lambda: layers.Conv1DTranspose(
                self.size(), self.pick(1, 2, 3, 5), padding=narrow, **self.pick({}, {"strides": 2}, rate), **more
            ),
        )()(x)

    def over_planes(self, x: Any) -> Any:
        """Treat steps and units as an image of one or two channels."""
        layers, width = self.layers, x.shape[-1]
        y = layers.Reshape((-1, width, 1))(layers.ZeroPadding1D(1)(x))
        y = self.plane_layer()(y)
        if self.chance(0.6) and y.shape[2] > 1:
            kind, padding = self.pick("MaxPooling2D", "AveragePooling2D"), self.pick("valid", "same")
            size = self.pick((1, 2), 2, (2, 1), (3, 2))
            if kind == "AveragePooling2D":  # Keras on torch counts the last entry twice with uneven padding
                padding = "valid"
            y = getattr(layers, kind)(size, strides=self.pick(None, 1, (2, 1)), padding=padding)(y)
        if self.chance(0.4):
            y = self.pick(
                lambda: layers.BatchNormalization(),
                lambda: layers.ReLU(),
                lambda: layers.SpatialDropout2D(0.2),
                lambda: layers.ZeroPadding2D(self.pick(1, ((0, 1), (2, 0)))),
                lambda: layers.Cropping2D(((1, 0), (0, 0))),
            )()(y)
        if self.chance(0.4):
            y = self.plane_layer()(y)
        if self.chance(0.2):
            pooled = self.pick(layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D)()(y)
            return layers.RepeatVector(4)(pooled)
        return layers.Reshape((-1, y.shape[2] * y.shape[3]))(y)

    def plane_layer(self) -> Any:
        layers = self.layers
        options: dict[str, Any] = {"padding": self.pick("valid", "same", "same"), "use_bias": self.chance(0.7)}
        strides = self.pick((1, 2), (2, 1), 2)
        options |= self.pick({}, {"strides": strides}, {"dilation_rate": (2, 1)})
        options |= {"activation": self.activation(), **self.common()}
        size = self.pick((3, 1), (2, 2), 1, (1, 2), (3, 2))
        if "dilation_rate" in options or options.get("strides") in (None, 2):
            return self.pick(
                lambda: layers.Conv2D(self.pick(1, 4), size, **options),
                lambda: layers.DepthwiseConv2D(size, depth_multiplier=self.pick(1, 2), **options),
                lambda: layers.SeparableConv2D(self.size(), size, **options),
            )()
        return layers.Conv2D(self.pick(1, 4), size, **options)

    def planes_of_each_step(self, x: Any) -> Any:
        """Apply 2-D layers to an image at each step."""
        layers, width = self.layers, x.shape[-1]
        y = layers.Dense(12)(x) if self.chance(0.5) else layers.TimeDistributed(layers.Dense(12))(x)
        y = layers.TimeDistributed(layers.Reshape((4, 3, 1)))(y)
        y = layers.TimeDistributed(layers.Conv2D(2, self.pick(2, (1, 3), (3, 1)), activation=self.activation()))(y)
        if self.chance(0.5):
            y = layers.TimeDistributed(layers.MaxPooling2D((2, 1)))(y)
        last = self.pick(layers.Flatten, layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D)
        return layers.Dense(width)(layers.TimeDistributed(last())(y))

    def by_equation(self, x: Any) -> Any:
        layers, width = self.layers, x.shape[-1]
        bias = {"bias_axes": "d", "activation": self.activation()} if self.chance(0.6) else {}
        y = layers.EinsumDense("abc,cd->abd", output_shape=(None, 5), **bias)(x)
        if self.chance(0.5):
            heads = layers.EinsumDense("abc,cde->abde", (None, 2, 3), bias_axes=self.pick("de", "e", None))(y)
            return layers.EinsumDense("abde,def->abf", output_shape=(None, width), bias_axes="f")(heads)
        return layers.EinsumDense("...x,xy->...y", output_shape=(4,), bias_axes="y")(y) if self.is_new else y

    def wide_norm(self, x: Any) -> Any:
        layers, width = self.layers, x.shape[-1]
        drawn = [
            lambda: layers.UnitNormalization(self.pick(-1, 1)),
            lambda: layers.GroupNormalization(self.pick(1, width), epsilon=self.pick(1e-3, 1e-2)),
            lambda: layers.LayerNormalization(epsilon=1e-6, **self.common()),
            lambda: layers.BatchNormalization(momentum=0.9, **self.common()),
            lambda: layers.Normalization(mean=[0.1] * width, variance=[0.5] * width),
            lambda: layers.Normalization(axis=None, mean=0.5, variance=2.0),
            lambda: layers.Rescaling(self.pick(2.0, 1 / 3), 0.25),
            lambda: layers.Softmax(),
            lambda: layers.ActivityRegularization(l2=0.1),
            lambda: layers.AlphaDropout(0.2),
        ]
        if self.is_new:
            drawn += [lambda: layers.RMSNormalization(epsilon=self.pick(1e-6, 1e-3)), lambda: layers.Identity()]
        if self.steps and x.shape[1]:
            drawn += [
                lambda: layers.LayerNormalization(axis=[1, 2]),
                lambda: layers.BatchNormalization(axis=1),
                lambda: layers.PReLU(),
                lambda: layers.Softmax(axis=1),
                lambda: layers.UnitNormalization(axis=[1, 2]),
            ]
        layer = self.pick(*drawn)()
        if isinstance(layer, layers.Softmax):
            x = layers.ZeroPadding1D(0)(x)  # removes the mask, with which Keras fails
        return layer(x)

    def moved(self, x: Any) -> Any:
        """Apply a random layer, or several, that permutes, reshapes, repeats or pads axes."""
        layers, (_, steps, width) = self.layers, x.shape
        if not steps:
            return layers.Reshape((-1, width))(layers.ZeroPadding1D(1)(x))
        return self.pick(
            lambda: layers.Permute((2, 1))(layers.Dense(steps)(layers.Permute((2, 1))(x))),
            lambda: layers.Reshape((steps * width, 1))(x),
            lambda: layers.Reshape((-1, 1, width))(x)[:, :, 0],
            lambda: layers.RepeatVector(3)(layers.Flatten()(x)),
            lambda: layers.Permute((2, 1))(x),
        )()

    def joined_in_time(self, x: Any) -> Any:
        """Concatenate sequences along time, with their masks."""
        other = self.layers.Dense(x.shape[-1])(x) if self.chance(0.5) else self.layers.ZeroPadding1D(1)(x)
        return self.layers.Concatenate(axis=1, **self.common())([x, other])

    def dotted(self, x: Any) -> Any:
        layers = self.layers
        y = layers.Dense(x.shape[-1])(x)
        kind = self.pick(1, 2, (1, 1), (2, 2), (-1, -1))
        dot = layers.Dot(axes=kind, normalize=self.chance(0.4))([x, y])  # products over units, or over steps
        if kind in (1, (1, 1)):
            return layers.Dot(axes=(2, 1))([x, dot])
        return layers.Dot(axes=(2, 1))([dot, y])

    def attended_by_key(self, x: Any) -> Any:
        value, key = self.layers.Dense(self.size())(x), self.layers.Dense(x.shape[-1])(x)
        layer = self.pick(self.layers.Attention, self.layers.AdditiveAttention)(use_scale=self.chance(0.5))
        if self.chance(0.3):
            y, scores = layer([x, value, key], return_attention_scores=True)
            self.others.append(scores)
            return y
        return layer([x, value, key])

    def headed(self, x: Any) -> Any:
        layer = self.layers.MultiHeadAttention(
            self.pick(1, 2, 3),
            self.pick(2, 4),
            value_dim=self.pick(None, 3),
            use_bias=self.chance(0.7),
            dropout=self.pick(0.0, 0.1),
            output_shape=self.pick(None, 5),
            **self.common(),
        )
        key = self.layers.Dense(x.shape[-1])(x)
        if self.chance(0.3):
            y, scores = layer(x, x, key=key, return_attention_scores=True)
            self.others.append(scores)
            return y
        return layer(x, key) if self.chance(0.5) else layer(query=x, value=key, key=x)

    def residual(self, x: Any) -> Any:
        """Apply a block of a transformer."""
        layers, width = self.layers, x.shape[-1]
        y = layers.Add()([x, layers.MultiHeadAttention(2, 2)(x, x)])
        y = layers.LayerNormalization(epsilon=1e-6)(y)
        inner = self.keras.Sequential([layers.Dense(7, activation=self.pick("relu", "gelu")), layers.Dense(width)])
        return layers.LayerNormalization(epsilon=1e-6)(layers.Add()([y, layers.Dropout(0.1)(inner(y))]))

    def highway(self, x: Any) -> Any:
        layers, width = self.layers, x.shape[-1]
        gate, y = layers.Dense(width, activation="sigmoid")(x), layers.LSTM(width, return_sequences=True)(x)
        return layers.Add()([layers.Multiply()([gate, y]), layers.Multiply()([1.0 - gate, x])])

    def stacked_late(self, x: Any) -> Any:
        """Apply equal layers, one of which is frozen, renamed or read twice."""
        kind, units = self.kind(), self.size()
        one = getattr(self.layers, kind)(units, return_sequences=True, **self.common())
        two = getattr(self.layers, kind)(units, return_sequences=True, **self.common())
        three = getattr(self.layers, kind)(units, return_sequences=True, return_state=True, **self.common())
        y = one(x)
        z, *states = three(two(y))
        self.others += self.pick([], [y], states)
        return z

    # Networks within -----------------------------------------------------------------------------

    def network_of_several(self, x: Any) -> Any:
        """Apply a network with several inputs and outputs, by lists or by names."""
        layers, width = self.layers, x.shape[-1]
        one, other = self.keras.Input((None, width), name="one"), self.keras.Input((None, width), name="two")
        y = layers.GRU(width, return_sequences=True, **self.common())(one)
        z = layers.Add()([y, self.by_step_same(width)(other)])
        last = layers.LSTM(width)(z)
        names = self.chance(0.4)
        inner = self.keras.Model(
            {"one": one, "two": other} if names else [one, other],
            {"z": z, "last": last} if names and self.chance(0.5) else [z, last],
            **self.common(),
        )
        second = layers.Dense(width)(x)
        actual = inner({"one": x, "two": second} if names else [x, second])
        result = actual["z"] if isinstance(actual, dict) else actual[0]
        self.others.append(actual["last"] if isinstance(actual, dict) else actual[1])
        return result

    def by_step_same(self, width: int) -> Any:
        """Return a layer over single steps that preserves the width."""
        return self.pick(
            lambda: self.layers.Dense(width),
            lambda: self.layers.LayerNormalization(),
            lambda: self.layers.BatchNormalization(),
            lambda: self.layers.Activation("tanh"),
        )()

    def called_again(self, x: Any) -> Any:
        """Call a layer or network more than once."""
        layers, width = self.layers, x.shape[-1]
        layer = self.pick(
            lambda: layers.LSTM(width, return_sequences=True),
            lambda: layers.GRU(width, return_sequences=True),
            lambda: layers.Bidirectional(layers.LSTM(width, return_sequences=True), merge_mode="sum"),
            lambda: layers.Conv1D(width, 3, padding=self.pick("same", "causal")),
            lambda: layers.Dense(width),
            lambda: layers.TimeDistributed(layers.Dense(width)),
            lambda: layers.LayerNormalization(),
            lambda: layers.RNN([layers.LSTMCell(width), layers.GRUCell(width)], return_sequences=True),
            lambda: self.keras.Sequential([layers.Dense(width), layers.SimpleRNN(width, return_sequences=True)]),
            lambda: self.keras.Sequential([self.keras.Input((None, width)), layers.GRU(width, return_sequences=True)]),
            lambda: layers.PReLU(shared_axes=[1]),
            lambda: layers.BatchNormalization(),
        )()
        y = layer(layer(x))
        return layers.Add()([layer(y), x]) if self.chance(0.5) else y

    # Functions -----------------------------------------------------------------------------------

    def functions(self, x: Any) -> Any:
        if not self.is_new:
            return self.operated(x)
        k = self.keras.ops
        y = self.layers.Dense(x.shape[-1])(x)
        return self.pick(
            lambda: k.concatenate([x, k.flip(y, axis=1)], axis=-1),
            lambda: k.stack([x, y], axis=2)[:, :, 1],
            lambda: k.where(y > 0, x, 0.0),
            lambda: k.maximum(x, 0.0) * k.sigmoid(y),
            lambda: k.cumsum(x, axis=1) / 9.0,
            lambda: k.split(k.concatenate([x, y], axis=-1), 2, axis=-1)[1],
            lambda: k.expand_dims(x[:, -1], 1) + y,
            lambda: k.squeeze(k.expand_dims(x, 1), 1),
            lambda: x / (1.0 + k.absolute(y)),
            lambda: -x,
            lambda: x**2,
            lambda: k.mean(x, axis=-1, keepdims=True) * y,
            lambda: k.max(x, axis=1, keepdims=True) - y,
            lambda: k.transpose(k.transpose(x, (0, 2, 1)), (0, 2, 1)),
            lambda: k.softmax(x, axis=-1),
            lambda: k.sqrt(x * x + 1.0),
            lambda: k.matmul(x, k.transpose(y, (0, 2, 1))) @ y,
            lambda: k.clip(x, -0.5, 0.5),
            lambda: k.log(1.0 + k.exp(x)),
            lambda: k.reshape(x, (-1, x.shape[1], x.shape[2])) if x.shape[1] else x,
            lambda: x[:, 1:] - x[:, :-1],
            lambda: k.std(x, axis=-1, keepdims=True) + x,
            lambda: k.relu(x) + k.silu(y),
            lambda: x[..., ::-1],
            lambda: x[:, -3:],
            lambda: k.tile(x, (1, 1, 2)),
            lambda: k.repeat(x, 2, axis=1),
            lambda: k.pad(x, ((0, 0), (1, 2), (0, 0))),
            lambda: k.roll(x, 1, axis=1),
            lambda: k.einsum("btd,bsd->bts", x, y) @ y,
            lambda: k.norm(x, axis=-1, keepdims=True) * y,
            lambda: k.logsumexp(x, axis=-1, keepdims=True) + y,
            lambda: k.amax(x, axis=-1, keepdims=True) - y,
            lambda: k.square(x) * k.sign(y),
            lambda: k.gelu(x, approximate=False),
            lambda: k.gelu(x),
            lambda: k.one_hot(k.argmax(x, axis=-1), x.shape[-1]),
            lambda: k.take(x, [0], axis=-1) + y,
            lambda: k.floor(x) + y,
            lambda: k.elu(x) + k.selu(y),
            lambda: k.normalize(x, axis=-1),
            lambda: k.average(x, axis=1, keepdims=True) + y,
            lambda: k.log_softmax(x),
            lambda: k.cast(x > 0.1, "float32") * y,
            lambda: k.swapaxes(k.swapaxes(x, 1, 2), 1, 2),
            lambda: k.zeros_like(x) + y,
            lambda: k.ones_like(x) - y,
            lambda: k.logical_and(x > 0, y > 0) * 1.0 + x,
            lambda: k.dot(x, k.ones((x.shape[-1], 2))),
            lambda: k.multiply(x, k.convert_to_tensor([0.5] * x.shape[-1])),
        )()

    # Models --------------------------------------------------------------------------------------

    def _source(self) -> Any:
        if not self.is_new or self.chance(0.9):
            return super()._source()
        self.widths.append("ids")
        self.inputs.append(self.keras.Input((self.steps,), dtype="int32"))
        return self.layers.CategoryEncoding(11, output_mode="one_hot")(self.inputs[-1])

    def _functional(self) -> Any:
        sources = [self._source() for _ in range(self.pick(1, 1, 1, 2, 3))]
        outputs, rows = [], []
        for x in sources:
            for _ in range(int(self.draw.integers(1, 4))):
                x = self.on_steps(x)
            outputs += [x] if self.chance(0.3) else []
            rows.append(self.rows(x))
        y = self.layers.Concatenate()(rows) if len(rows) > 1 else rows[0]
        outputs.append(
            self.layers.Dense(self.size(), activation="softmax", **self.common())(y) if len(y.shape) == 2 else y
        )
        outputs += self.others
        if len(outputs) > 1 and self.chance(0.2):
            outputs = {f"out {number}": one for number, one in enumerate(outputs)}
        inputs: Any = self.inputs if len(self.inputs) > 1 else self.inputs[0]
        model = self.keras.Model(inputs, outputs if len(outputs) > 1 else flat(outputs)[0])
        if self.chance(0.15):
            model.trainable = False
        if self.chance(0.2):
            model.compile(self.pick("sgd", "adam"), "mse")
        return model

    def _sequential(self) -> Any:
        """Return a Sequential without an input layer, or with nested networks."""
        if self.chance(0.5):
            return super()._sequential()
        width, layers, masks = self.size(), [], self.chance(0.3)
        self.widths, self.has_mask = [width], masks
        if masks:
            layers.append(self.layers.Masking(MASKED))
        for _ in range(int(self.draw.integers(1, 4))):
            layers.append(self.pick(self.recurrent, self.bidirectional, self.by_step, self.short)())
        layers.append(self.pick(self.recurrent, self.bidirectional)(sequences=False))
        layers.append(self.layers.Dense(3, activation="softmax", **self.common()))
        model = self.keras.Sequential(layers, **self.name())
        model.build((None, self.steps, width))
        return model

    def short(self) -> Any:
        return self.keras.Sequential([self.by_step(), self.plain(self.kind(), self.size(), return_sequences=True)])


def flat(nest: Any) -> list[Any]:
    """Flatten nests of lists, tuples and mappings."""
    if isinstance(nest, dict):
        return [leaf for key in sorted(nest) for leaf in flat(nest[key])]
    return [leaf for item in nest for leaf in flat(item)] if isinstance(nest, list | tuple) else [nest]
