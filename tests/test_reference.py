"""The NumPy reference against TensorFlow's recorded results, gradients included."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import reference
from fixtures.tensorflow_cases import CASES, Case, flatten

DIRECTORY = Path(__file__).parent / "fixtures" / "tensorflow"
DROPOUT_CASES = [name for name, case in CASES.items() if case.dropout]
GRADIENT_CASES = [name for name, case in CASES.items() if case.gradients]


@cache
def fixture(name: str) -> dict[str, np.ndarray]:
    """Return TensorFlow's recorded results for one case."""
    with np.load(DIRECTORY / f"{name}.npz") as arrays:
        return dict(arrays)


def group(arrays: dict[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    """Return the arrays whose keys begin with a name, without that name."""
    return {key.removeprefix(f"{name}/"): array for key, array in arrays.items() if key.startswith(f"{name}/")}


def tolerance(case: Case) -> dict[str, float]:
    bound = 1e-10 if case.dtype == "float64" else 1e-5
    return {"rtol": bound, "atol": bound}


# ------------------------------------------------- the cases' namespace, computing with the reference at once


@dataclass
class Cell:
    """Reference cell with the single method that the cases call."""

    spec: reference.Spec

    def zero_state(self, batch: int, dtype: str) -> Any:
        return reference.zero_state(self.spec, batch)


@dataclass
class Namespace:
    """Subset of TensorFlow 1.x that the cases use: placeholders are arrays, and drivers compute immediately."""

    feeds: dict[str, np.ndarray]
    parameters: dict[str, np.ndarray]
    masks: dict[str, np.ndarray] | None = None
    float32: str = "float32"
    float64: str = "float64"
    int32: str = "int32"
    int64: str = "int64"
    sigmoid: str = "sigmoid"
    nn: SimpleNamespace = field(init=False)
    contrib: SimpleNamespace = field(init=False)
    layers: SimpleNamespace = field(init=False)
    cumsum: Callable[..., np.ndarray] = field(init=False, default_factory=lambda: reference.cumsum)

    def __post_init__(self) -> None:
        cells = SimpleNamespace(
            LSTMStateTuple=reference.LSTMStateTuple,
            BasicRNNCell=self.basic_rnn_cell,
            BasicLSTMCell=self.basic_lstm_cell,
            LSTMCell=self.lstm_cell,
            GRUCell=self.gru_cell,
            DropoutWrapper=self.dropout_wrapper,
            ResidualWrapper=lambda cell: Cell(reference.Residual(cell.spec)),
            MultiRNNCell=self.multi_rnn_cell,
        )
        self.nn = SimpleNamespace(
            relu="relu",
            elu="elu",
            rnn_cell=cells,
            dynamic_rnn=self.dynamic_rnn,
            bidirectional_dynamic_rnn=self.bidirectional_dynamic_rnn,
            static_rnn=self.static_rnn,
        )
        rnn = SimpleNamespace(
            HighwayWrapper=lambda cell, **options: Cell(reference.Highway(cell.spec, **options)),
            stack_bidirectional_dynamic_rnn=self.stack_bidirectional_dynamic_rnn,
        )
        self.contrib = SimpleNamespace(rnn=rnn)
        self.layers = SimpleNamespace(conv1d=self.conv1d)
        self.scopes: dict[str, int] = {}

    def placeholder(self, dtype: str, shape: list[int | None], name: str) -> np.ndarray:
        array = self.feeds[name]
        assert array.ndim == len(shape)
        assert all(declared in (None, size) for declared, size in zip(shape, array.shape, strict=True))
        return array

    def basic_rnn_cell(self, num_units: int, activation: str = "tanh") -> Cell:
        return Cell(reference.RNN(num_units, activation=activation))

    def basic_lstm_cell(self, num_units: int, forget_bias: float = 1.0, **options: Any) -> Cell:
        return Cell(reference.LSTM(num_units, forget_bias=forget_bias, name="basic_lstm_cell", **options))

    def lstm_cell(
        self, num_units: int, num_proj: int | None = None, proj_clip: float | None = None, **options: Any
    ) -> Cell:
        return Cell(reference.LSTM(num_units, projection=num_proj, projection_clip=proj_clip, **options))

    def gru_cell(self, num_units: int, **options: Any) -> Cell:
        return Cell(reference.GRU(num_units, **options))

    def dropout_wrapper(
        self,
        cell: Cell,
        input_keep_prob: Any = 1.0,
        output_keep_prob: Any = 1.0,
        state_keep_prob: Any = 1.0,
        variational_recurrent: bool = False,
        input_size: int | None = None,
        dtype: str | None = None,
        seed: int | None = None,
    ) -> Cell:
        keep_probs = (float(input_keep_prob), float(output_keep_prob), float(state_keep_prob))
        return Cell(reference.Dropout(cell.spec, *keep_probs))

    def multi_rnn_cell(self, cells: list[Cell], state_is_tuple: bool = True) -> Cell:
        return Cell(reference.Stack(tuple(cell.spec for cell in cells), state_is_tuple=state_is_tuple))

    def dynamic_rnn(
        self,
        cell: Cell,
        inputs: np.ndarray,
        sequence_length: np.ndarray | None = None,
        initial_state: Any = None,
        dtype: str | None = None,
        time_major: bool = False,
        scope: str = "rnn",
    ) -> tuple[np.ndarray, Any]:
        return reference.dynamic_rnn(
            cell.spec,
            self.parameters,
            inputs,
            lengths=sequence_length,
            initial_state=initial_state,
            scope=scope,
            masks=self.masks,
            time_major=time_major,
        )

    def bidirectional_dynamic_rnn(
        self,
        cell_fw: Cell,
        cell_bw: Cell,
        inputs: np.ndarray,
        sequence_length: np.ndarray | None = None,
        initial_state_fw: Any = None,
        initial_state_bw: Any = None,
        dtype: str | None = None,
        time_major: bool = False,
        scope: str = "bidirectional_rnn",
    ) -> tuple[Any, Any]:
        return reference.bidirectional(
            cell_fw.spec,
            cell_bw.spec,
            self.parameters,
            inputs,
            lengths=sequence_length,
            initial_state_forward=initial_state_fw,
            initial_state_backward=initial_state_bw,
            scope=scope,
            masks=self.masks,
            time_major=time_major,
        )

    def static_rnn(
        self,
        cell: Cell,
        inputs: list[np.ndarray],
        initial_state: Any = None,
        dtype: str | None = None,
        sequence_length: np.ndarray | None = None,
        scope: str = "rnn",
    ) -> tuple[list[np.ndarray], Any]:
        options = {"initial_state": initial_state, "scope": scope, "time_major": True}
        outputs, state = self.dynamic_rnn(cell, np.stack(inputs), sequence_length, **options)
        return list(outputs), state

    def stack_bidirectional_dynamic_rnn(
        self,
        cells_fw: list[Cell],
        cells_bw: list[Cell],
        inputs: np.ndarray,
        initial_states_fw: Any = None,
        initial_states_bw: Any = None,
        dtype: str | None = None,
        sequence_length: np.ndarray | None = None,
        **options: Any,
    ) -> Any:
        forward, backward = ([cell.spec for cell in cells] for cells in (cells_fw, cells_bw))
        initial = (initial_states_fw, initial_states_bw)
        return reference.stack_bidirectional(
            forward, backward, self.parameters, inputs, sequence_length, *initial, **options
        )

    def reverse_sequence(
        self, x: np.ndarray, lengths: np.ndarray, seq_axis: int = 1, batch_axis: int = 0
    ) -> np.ndarray:
        assert (seq_axis, batch_axis) == (1, 0)
        return np.asarray(reference.reverse(x, lengths), dtype=np.float64)

    def conv1d(
        self,
        inputs: np.ndarray,
        filters: int,
        kernel_size: Any,
        strides: int = 1,
        padding: str = "valid",
        dilation_rate: int = 1,
        activation: str = "identity",
        use_bias: bool = True,
        name: str | None = None,
    ) -> np.ndarray:
        count = self.scopes.get("conv1d", 0)
        if name is None:
            self.scopes["conv1d"] = count + 1
        scope = name or (f"conv1d_{count}" if count else "conv1d")
        result = reference.conv1d(self.parameters, scope, inputs, padding, dilation_rate, use_bias, strides)
        return reference.ACTIVATIONS[activation](result)


def compute(
    case: Case,
    feeds: dict[str, np.ndarray],
    parameters: dict[str, np.ndarray],
    masks: dict[str, np.ndarray] | None,
) -> dict[str, np.ndarray]:
    """Return the reference's results for one case, by path."""
    return dict(flatten(case.declare(Namespace(feeds, parameters, masks))))


# ----------------------------------------------------------------------------------------------------- tests


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_tensorflow(name: str) -> None:
    case, arrays = CASES[name], fixture(name)
    masks = group(arrays, "mask") if case.dropout else None
    outputs = compute(case, group(arrays, "feed"), group(arrays, "parameter"), masks)
    expected = group(arrays, "output")
    assert list(outputs) == list(expected)
    for path, array in expected.items():
        assert array.dtype == case.dtype
        assert outputs[path].dtype == np.float64
        np.testing.assert_allclose(outputs[path], array, **tolerance(case), err_msg=path)


@pytest.mark.parametrize("name", DROPOUT_CASES)
def test_agrees_with_tensorflow_without_dropout(name: str) -> None:
    case, arrays = CASES[name], fixture(name)
    outputs = compute(case, group(arrays, "feed"), group(arrays, "parameter"), None)
    expected = group(arrays, "inference")
    assert list(outputs) == list(expected)
    for path, array in expected.items():
        np.testing.assert_allclose(outputs[path], array, **tolerance(case), err_msg=path)


@pytest.mark.parametrize("name", GRADIENT_CASES)
def test_gradients_agree_along_a_random_direction(name: str) -> None:
    """One central difference of the reference moves all inputs at once."""
    case, arrays = CASES[name], fixture(name)
    feeds, parameters = group(arrays, "feed"), group(arrays, "parameter")
    masks = group(arrays, "mask") if case.dropout else None
    cotangents, gradients = group(arrays, "cotangent"), group(arrays, "gradient")
    generator = np.random.default_rng(zlib.crc32(f"{name}/direction".encode()))
    directions = {key: generator.normal(size=array.shape) for key, array in gradients.items()}

    def loss(distance: float) -> float:
        def moved(kind: str, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            return {
                key: array + distance * directions[f"{kind}/{key}"] if f"{kind}/{key}" in directions else array
                for key, array in values.items()
            }

        outputs = compute(case, moved("feed", feeds), moved("parameter", parameters), masks)
        return sum(float(np.sum(outputs[path] * weights)) for path, weights in cotangents.items())

    distance = 1e-6
    estimate = (loss(distance) - loss(-distance)) / (2.0 * distance)
    recorded = sum(float(np.sum(gradients[key] * direction)) for key, direction in directions.items())
    scale = sum(float(np.sum(np.abs(gradients[key] * direction))) for key, direction in directions.items())
    bound = 1e-7 if case.dtype == "float64" else 1e-5
    assert abs(estimate - recorded) <= bound * (1.0 + scale)


def test_every_fixture_has_its_case() -> None:
    assert {path.stem for path in DIRECTORY.glob("*.npz")} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_the_fixture_equals_the_declared_case(name: str) -> None:
    """Feeds equal the case's; every parameter and every real feed has a gradient."""
    case, arrays = CASES[name], fixture(name)
    feeds = case.make_feeds()
    recorded = group(arrays, "feed")
    assert list(recorded) == list(feeds)
    for key, array in feeds.items():
        np.testing.assert_array_equal(recorded[key], array)
    if case.gradients:
        real = {key for key, array in feeds.items() if array.dtype.kind == "f" and array.ndim}
        assert set(group(arrays, "gradient/feed")) == real
        assert set(group(arrays, "gradient/parameter")) == set(group(arrays, "parameter"))


@pytest.mark.parametrize(
    ("name", "path", "bound"),
    [
        ("lstm_cell_clip", "state/c", 0.4),
        ("lstm_peepholes_cell_clip", "state/c", 0.3),
        ("lstm_every_option", "state/c", 0.5),
        ("lstm_projection_clip", "outputs", 0.3),
        ("lstm_every_option", "outputs", 0.4),
    ],
)
def test_clipping_cases_clip(name: str, path: str, bound: float) -> None:
    values = np.abs(fixture(name)[f"output/{path}"])
    clipped = np.isclose(values, bound, rtol=1e-6, atol=0.0)
    assert np.all(values <= bound * (1.0 + 1e-6))
    assert 0 < np.count_nonzero(clipped) < values.size


@pytest.mark.parametrize("name", DROPOUT_CASES)
def test_masks_are_real_ones(name: str) -> None:
    """Masks are zeros and ones, new for each step and row; TensorFlow repeats them at two sites of equal seeds."""
    masks = group(fixture(name), "mask")
    assert masks
    for mask in masks.values():
        assert set(np.unique(mask)) == {0, 1}
    step_masks = {site: mask for site, mask in masks.items() if mask.ndim == 3}
    for mask in step_masks.values():
        assert np.any(mask != mask[:1])
        assert np.any(mask != mask[:, :1])
    for (site, mask), (other_site, other_mask) in combinations(step_masks.items(), 2):
        if mask.shape == other_mask.shape:
            same = np.array_equal(mask, other_mask)
            assert same == (name == "dropout_layers_equal_seeds"), (site, other_site)


# ------------------------------------------------------------- cases without fixtures, by the equations


def random_parameters(shapes: dict[str, tuple[int, ...]], seed: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    return {name: generator.normal(size=shape) for name, shape in shapes.items()}


def test_state_dropout_keeps_the_memory_in_a_concatenated_state() -> None:
    """State dropout leaves c unchanged even in a concatenated state, all of which TensorFlow drops."""
    parameters = random_parameters({"s/lstm_cell/kernel": (5, 12), "s/lstm_cell/bias": (12,)}, seed=1)
    x, c, h = (np.random.default_rng(2).normal(size=(2, width)) for width in (2, 3, 3))
    mask = {"s/state": np.array([[0, 1, 0], [1, 0, 0]])}
    tuple_state, concatenated_state = (
        reference.run_cell(
            reference.Dropout(reference.LSTM(3, state_is_tuple=state_is_tuple), state_keep_prob=0.5),
            parameters,
            "s",
            x,
            state,
            mask,
        )[1]
        for state_is_tuple, state in ((True, (c, h)), (False, np.concatenate([c, h], axis=1)))
    )
    assert np.all(tuple_state.c != 0.0)
    np.testing.assert_array_equal(tuple_state.h == 0.0, mask["s/state"] == 0)
    np.testing.assert_array_equal(concatenated_state, np.concatenate(tuple_state, axis=1))


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("identity", lambda x: x),
        ("sigmoid", lambda x: 1.0 / (1.0 + np.exp(-x))),
        ("softplus", lambda x: np.log(1.0 + np.exp(x))),
        ("hard_sigmoid", lambda x: np.minimum(np.maximum(0.2 * x + 0.5, 0.0), 1.0)),
        ("elu", lambda x: np.where(x > 0.0, x, np.exp(x) - 1.0)),
        ("softsign", lambda x: x / (np.abs(x) + 1.0)),
    ],
)
def test_activations(name: str, function: Callable[[np.ndarray], np.ndarray]) -> None:
    x = np.linspace(-7.0, 7.0, 57)
    np.testing.assert_allclose(reference.ACTIVATIONS[name](x), function(x), rtol=1e-12, atol=1e-15)


def test_a_row_alone_equals_the_row_in_a_batch() -> None:
    arrays = fixture("bidirectional_stacks")
    case, feeds, parameters = CASES["bidirectional_stacks"], group(arrays, "feed"), group(arrays, "parameter")
    together = compute(case, feeds, parameters, None)
    for row, length in enumerate(feeds["lengths"]):
        alone = compute(case, {key: array[row : row + 1] for key, array in feeds.items()}, parameters, None)
        for path, array in alone.items():
            np.testing.assert_allclose(array[0], together[path][row], rtol=1e-12, atol=1e-15)
        assert not np.any(together["outputs/0"][row, length:])
