"""Variants of the LSTM, with memory c and output h. Names and gate orders are those of TensorFlow 1.15."""

from __future__ import annotations

from typing import Any

from ...support.arguments import flag, number, units
from ..cell import Scope
from ..functions.activations import activation_function, relu
from ..functions.basic import clip, concat, sigmoid, split, tanh
from ..functions.normalization import layer_norm
from ..functions.randomness import KeepProb, check_keep_prob, dropout, salt_of
from ..initializers import DEFAULT_INITIALIZER, Initializer, initializer_of
from ..tensor import Tensor
from .basic import Activation, LSTMLike, checked_forget_bias, checked_proj_clip


def normed(p: Scope, name: str, x: Tensor, gain: float, shift: float) -> Tensor:
    """Apply layer norm to x, with an epsilon of 1e-12 (Ba et al. 2016).

    The parameters ``name/gamma`` and ``name/beta`` [units] have the initial values ``gain`` and ``shift``.
    """
    gamma = p.parameter(f"{name}/gamma", (x.width,), gain)
    return layer_norm(x, gamma, p.parameter(f"{name}/beta", (x.width,), shift))


def kernel_initializer(initializer: Any) -> Initializer:
    """Convert a user's argument ``initializer`` to an initializer of kernels. None becomes Glorot uniform."""
    return initializer_of(DEFAULT_INITIALIZER if initializer is None else initializer)


class LayerNormBasicLSTMCell(LSTMLike):
    """BasicLSTMCell with layer norm (Ba et al. 2016) and recurrent dropout of the candidate (Semeniuta et al. 2016).

        c' = N(c s(N(f) + forget_bias) + s(N(i)) d(a(N(j))));  h' = a(c') s(N(o))

    Here N is layer norm and d is dropout. The state carries the normalized c'. Dropout acts only on the candidate, so
    it never erases memory. Parameters: ``kernel`` [inputs + units, 4 units] with columns i, j, f, o; and ``gamma`` and
    ``beta`` [units] under ``input``, ``transform``, ``forget``, ``output`` and ``state``. State: LSTMStateTuple(c, h).

    Args:
        num_units: Width of c and h.
        forget_bias: Added to f before its sigmoid.
        activation: The function a.
        layer_norm: False: add a bias [4 units], initially Glorot uniform as in TensorFlow, in place of the norms.
        norm_gain: Initial value of ``gamma``.
        norm_shift: Initial value of ``beta``.
        dropout_keep_prob: Probability of keeping a unit of the candidate: a float in (0, 1], or a scalar float
            placeholder. Dropout applies in the training graph only, with a new mask at every step.
        dropout_prob_seed: Int that changes the masks.
        recurrent_activation: The function s of the gates.
    """

    def __init__(
        self,
        num_units: int,
        forget_bias: float = 1.0,
        activation: Activation = "tanh",
        layer_norm: bool = True,
        norm_gain: float = 1.0,
        norm_shift: float = 0.0,
        dropout_keep_prob: KeepProb = 1.0,
        dropout_prob_seed: int | None = None,
        recurrent_activation: Activation = "sigmoid",
    ) -> None:
        self.num_units = self.hidden = units(num_units, "num_units")
        self.state_is_tuple = True
        self.forget_bias = checked_forget_bias(forget_bias)
        self.activation = activation_function(activation)
        self.recurrent_activation = activation_function(recurrent_activation)
        self.layer_norm = flag(layer_norm, "layer_norm")
        self.norm_gain, self.norm_shift = number(norm_gain, "norm_gain"), number(norm_shift, "norm_shift")
        check_keep_prob(dropout_keep_prob, "dropout_keep_prob")
        self.dropout_keep_prob, self.dropout_prob_seed = dropout_keep_prob, salt_of(dropout_prob_seed)

    def step(self, p: Scope, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        n, gate = self.num_units, self.recurrent_activation
        c, h = self.unpacked(state)
        gates = concat([x, h]) @ p.kernel("kernel", (x.width + n, 4 * n))
        if not self.layer_norm:
            gates = gates + p.bias("bias", (4 * n,), DEFAULT_INITIALIZER)
        names = ("input", "transform", "forget", "output")
        i, j, f, o = (self._norm(p, name, part) for name, part in zip(names, split(gates, 4), strict=True))
        candidate = dropout(self.activation(j), self.dropout_keep_prob, self.dropout_prob_seed)
        c = self._norm(p, "state", c * gate(f + self.forget_bias) + gate(i) * candidate)
        h = self.activation(c) * gate(o)
        return h, self.packed(c, h)

    def _norm(self, p: Scope, name: str, x: Tensor) -> Tensor:
        return normed(p, name, x, self.norm_gain, self.norm_shift) if self.layer_norm else x


class CoupledInputForgetGateLSTMCell(LSTMLike):
    """LSTM whose input gate is 1 - the forget gate (Greff et al. 2015), with optional peepholes, projection and norm.

        c' = s(f + forget_bias + w_f c) c + (1 - s(f + forget_bias + w_f c)) a(j);  h' = s(o + w_o c') a(c')

    Parameters: ``W_0`` [inputs + hidden, 3 units] with columns j, f, o, and ``B`` [3 units], where hidden is
    ``num_proj``, or ``num_units`` without a projection; with peepholes w_f ``W_F_diag`` and w_o ``W_O_diag`` [units];
    with num_proj ``W_P_0`` [units, num_proj]. State: LSTMStateTuple(c [units], h [hidden]).

    Args:
        num_units: Width of c.
        use_peepholes: Gate f reads the old c through w_f, and gate o the new one through w_o. False: without both.
        initializer: Initializer of the matrices and peepholes.
        num_proj: Width of h after a projection. None: no projection.
        proj_clip: Clamp the projected h to ±proj_clip.
        forget_bias: Added to f before its sigmoid.
        state_is_tuple: True: the state is LSTMStateTuple(c, h). False: it is one Tensor [batch, units + hidden], with c
            first.
        activation: The function a.
        layer_norm: Apply layer norm to j, f, o and c', under ``transform``, ``forget``, ``output`` and ``state``. ``B``
            exists but is not added, as in TensorFlow.
        norm_gain: Initial value of ``gamma``.
        norm_shift: Initial value of ``beta``.
        recurrent_activation: The function s of the gates.
    """

    def __init__(
        self,
        num_units: int,
        use_peepholes: bool = False,
        initializer: Any = None,
        num_proj: int | None = None,
        proj_clip: float | None = None,
        forget_bias: float = 1.0,
        state_is_tuple: bool = True,
        activation: Activation = "tanh",
        layer_norm: bool = False,
        norm_gain: float = 1.0,
        norm_shift: float = 0.0,
        recurrent_activation: Activation = "sigmoid",
    ) -> None:
        self.num_units = units(num_units, "num_units")
        self.use_peepholes = flag(use_peepholes, "use_peepholes")
        self.initializer = kernel_initializer(initializer)
        self.num_proj = None if num_proj is None else units(num_proj, "num_proj")
        self.proj_clip = checked_proj_clip(proj_clip, num_proj)
        self.hidden = self.num_proj or self.num_units
        self.forget_bias = number(forget_bias, "forget_bias")
        self.state_is_tuple = flag(state_is_tuple, "state_is_tuple")
        self.activation = activation_function(activation)
        self.recurrent_activation = activation_function(recurrent_activation)
        self.layer_norm = flag(layer_norm, "layer_norm")
        self.norm_gain, self.norm_shift = number(norm_gain, "norm_gain"), number(norm_shift, "norm_shift")

    def step(self, p: Scope, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        n, gate = self.num_units, self.recurrent_activation
        c, h = self.unpacked(state)
        gates = concat([x, h]) @ p.kernel("W_0", (x.width + self.hidden, 3 * n), self.initializer)
        bias = p.bias("B", (3 * n,))
        j, f, o = split(gates if self.layer_norm else gates + bias, 3)
        j, f, o = (self._norm(p, name, part) for name, part in (("transform", j), ("forget", f), ("output", o)))
        f = f + self.forget_bias
        if self.use_peepholes:
            f = f + p.kernel("W_F_diag", (n,), self.initializer) * c
        f = gate(f)
        c = self._norm(p, "state", f * c + (1 - f) * self.activation(j))
        if self.use_peepholes:
            o = o + p.kernel("W_O_diag", (n,), self.initializer) * c
        h = gate(o) * self.activation(c)
        if self.num_proj is not None:
            h = h @ p.kernel("W_P_0", (n, self.num_proj), self.initializer)
            if self.proj_clip is not None:
                h = clip(h, -self.proj_clip, self.proj_clip)
        return h, self.packed(c, h)

    def _norm(self, p: Scope, name: str, x: Tensor) -> Tensor:
        return normed(p, name, x, self.norm_gain, self.norm_shift) if self.layer_norm else x


class NASCell(LSTMLike):
    """Cell found by neural architecture search (Zoph and Le 2017, figure 8, the base 8 net).

    Parameters: ``recurrent_kernel`` [hidden, 8 units] and ``kernel`` [inputs, 8 units], whose columns are the eight
    leaves of the figure's tree in order; with use_bias ``bias`` [8 units]; with num_proj ``projection_weights`` [units,
    num_proj]. State: LSTMStateTuple(c [units], h [hidden]), where hidden is ``num_proj``, or ``num_units`` without a
    projection.

    Args:
        num_units: Width of c.
        num_proj: Width of h after a projection. None: no projection.
        use_bias: Add a bias to the recurrent products.
    """

    def __init__(self, num_units: int, num_proj: int | None = None, use_bias: bool = False) -> None:
        self.num_units = units(num_units, "num_units")
        self.num_proj = None if num_proj is None else units(num_proj, "num_proj")
        self.hidden = self.num_proj or self.num_units
        self.use_bias = flag(use_bias, "use_bias")
        self.state_is_tuple = True

    def step(self, p: Scope, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        n = self.num_units
        c, h = self.unpacked(state)
        from_state = h @ p.kernel("recurrent_kernel", (self.hidden, 8 * n))
        from_input = x @ p.kernel("kernel", (x.width, 8 * n))
        if self.use_bias:
            from_state = from_state + p.bias("bias", (8 * n,))
        pairs = list(zip(split(from_input, 8), split(from_state, 8), strict=True))
        sums = [a + b for a, b in pairs]
        product = relu(pairs[3][0] * pairs[3][1])
        memory_in = tanh(tanh(sigmoid(sums[0]) * relu(sums[1])) + c)
        c = memory_in * tanh(sigmoid(sums[2]) + product)
        rest = tanh(tanh(tanh(sums[4]) * sigmoid(sums[5])) + sigmoid(tanh(sums[6]) + sigmoid(sums[7])))
        h = tanh(c * rest)
        if self.num_proj is not None:
            h = h @ p.kernel("projection_weights", (n, self.num_proj))
        return h, self.packed(c, h)
