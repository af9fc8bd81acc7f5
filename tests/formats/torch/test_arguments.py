"""Arguments of torch's functions that change the result: in-place activations, default axes, and options of calls."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from read_modules import check_meaning

import rnngraph as rg

torch = pytest.importorskip("torch", exc_type=ImportError)
from torch_functions import module, normal, whole  # noqa: E402  (needs torch)

from rnngraph.formats.torch.tracing.calls import SIGNATURES  # noqa: E402  (needs torch)
from rnngraph.formats.torch.tracing.registry import HANDLERS  # noqa: E402  (needs torch)

nn = pytest.importorskip("torch.nn", exc_type=ImportError)
F = nn.functional
pytestmark = pytest.mark.peers

IN_PLACE: dict[str, Callable[..., Any]] = {
    "a module": lambda m, x: (y := x * 2, m[0](y), y)[1:],
    "a function": lambda _, x: (y := x * 2, F.elu(y, 0.5, inplace=True), y)[1:],
    "a view": lambda _, x: (y := x * 2, F.relu(y[:, :2], inplace=True), y)[2:],
    "a residual": lambda m, x: (y := x * 2) + m[0](y) * 3,
    "its input alone": lambda _, x: F.hardtanh(x * 2, -0.5, 0.5, True),
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_an_activation_in_place_changes_its_operand(name: str) -> None:
    check_meaning(module(IN_PLACE[name], nn.ReLU(inplace=True)), (normal(4, 6),))


FUNCTIONS: dict[str, tuple[Callable[..., Any], Any]] = {
    "cross, along the first axis of size 3": (lambda _, x: torch.cross(x, x * x + 1), normal(3, 3)),
    "cross of an axis": (lambda _, x: torch.cross(x, x * x + 1, dim=1), normal(3, 3)),
    "linalg.cross": (lambda _, x: torch.linalg.cross(x, x * x + 1), normal(3, 3)),
    "linalg.diagonal, of the last axes": (lambda _, x: torch.linalg.diagonal(x), normal(4, 4, 4)),
    "diagonal, of the first axes": (lambda _, x: torch.diagonal(x), normal(4, 4, 4)),
    ".mT of stacked matrices": (lambda _, x: x.mT * 2, normal(2, 4, 4)),
    "a reflected product": (lambda m, x: x.__rmatmul__(m[0].weight), normal(4, 4)),
    "roll by a tuple": (lambda _, x: torch.roll(x, (1,)), normal(3, 4)),
    "roll of two axes": (lambda _, x: torch.roll(x, (1, -1), (0, 1)), normal(3, 4)),
    "add of a multiple": (lambda _, x: torch.add(x, 2.0, alpha=3.0), normal(3, 4)),
    "isin of a number": (lambda _, x: torch.isin(x, 3), whole(5, 3, 4)),
    "float_power of a number": (lambda _, x: torch.float_power(2.0, x), normal(3, 4)),
    "nansum in another dtype": (lambda _, x: torch.nansum(x, 1, dtype=torch.float64), normal(3, 4)),
    "embedding_bag with a padding from the end": (
        lambda m, ids: F.embedding_bag(ids, m[0].weight, padding_idx=-1, mode="sum"),
        whole(4, 3, 4),
    ),
    "equal constants": (lambda _, x: x * 2 if torch.equal(x.new_zeros(3), x.new_zeros(3)) else x, normal(3, 4)),
    "unequal constants": (lambda _, x: x * 2 if torch.equal(x.new_ones(3), x.new_zeros(3)) else x, normal(3, 4)),
}


CALLS_BY_NAME: dict[str, Callable[..., Any]] = {
    "add": lambda _, x: torch.add(input=x, other=x * 2, alpha=3),
    "add_": lambda _, x: (x * 2).add_(other=x),
    "matmul": lambda _, x: x.matmul(other=x),
    "mm": lambda _, x: torch.mm(x, mat2=x),
    "addmm": lambda _, x: torch.addmm(input=x, mat1=x * 2, mat2=x, beta=0.5),
    "addcmul": lambda _, x: torch.addcmul(x, tensor1=x * 2, tensor2=x, value=0.5),
    "lerp": lambda _, x: x.lerp(end=x * x, weight=0.25),
    "outer": lambda _, x: torch.outer(x[0], vec2=x[1]),
    "flip": lambda _, x: torch.flip(x, dims=(0, 1)),
    "swapaxes": lambda _, x: torch.swapaxes(x, axis0=0, axis1=1) * 2,
    "cosine_similarity": lambda _, x: F.cosine_similarity(x1=x, x2=x.T, dim=0),
    "where": lambda _, x: torch.where(x > 0, input=x < 1, other=x < -1) * 1.0,
    "searchsorted": lambda _, x: torch.searchsorted(x[0].sort().values, input=x),
    "new_full": lambda _, x: x.new_full(size=(4, 4), fill_value=2.0) + x,
    "repeat_interleave": lambda _, x: torch.repeat_interleave(x, 2, dim=0, output_size=8),
}


@pytest.mark.parametrize("name", CALLS_BY_NAME)
def test_operands_may_be_passed_by_name(name: str) -> None:
    check_meaning(module(CALLS_BY_NAME[name]), (normal(4, 4),))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_defaults_and_options_are_torchs(name: str) -> None:
    function, x = FUNCTIONS[name]
    check_meaning(module(function, nn.Linear(4, 4)), (x,))


@pytest.mark.filterwarnings("ignore:The use of `x.T`:UserWarning")
def test_t_of_a_cube_reverses_its_axes() -> None:
    check_meaning(module(lambda _, x: x.T * 2), (normal(4, 4, 4),))


OF_TORCH: dict[str, Callable[..., Any]] = {
    "alpha_dropout": lambda _, x: torch.alpha_dropout(x, 0.5, False) * 2,
    "batch_norm": lambda m, x: torch.batch_norm(x, *_arrays(m[1]), False, 0.1, 1e-3, False),
    "binary_cross_entropy_with_logits": lambda _, x: torch.binary_cross_entropy_with_logits(x, x * x, x * x, x * x, 2),
    "binary_cross_entropy_with_logits, not reduced": lambda _, x: torch.binary_cross_entropy_with_logits(x, x * x),
    "dropout": lambda _, x: torch.dropout(x, 0.5, train=False) * 2,
    "embedding": lambda m, x: torch.embedding(m[0].weight, (x > 0).long()),
    "embedding, padded": lambda m, x: torch.embedding(m[0].weight, (x > 0).long(), 0, False, False),
    "embedding, by name": lambda m, x: torch.embedding(weight=m[0].weight, indices=(x > 0).long()),
    "feature_alpha_dropout": lambda _, x: torch.feature_alpha_dropout(x, 0.5, False) * 2,
    "group_norm": lambda m, x: torch.group_norm(x, 2, m[1].weight, m[1].bias, 1e-3, False),
    "instance_norm": lambda m, x: torch.instance_norm(x[None], *_arrays(m[1])[:2], None, None, True, 0.1, 1e-3, False),
    "kl_div": lambda _, x: torch.kl_div(x, x * x, 1),
    "kl_div, not reduced": lambda _, x: torch.kl_div(x, x * x, log_target=True),
    "layer_norm": lambda m, x: torch.layer_norm(x, (4,), m[1].weight, m[1].bias, 1e-3, False),
    "log_softmax": lambda _, x: torch.log_softmax(x, 1, torch.float32),
    "softmax": lambda _, x: torch.softmax(x, 0, torch.float32),
}
"""Direct calls of functions whose arguments differ in ``torch.nn.functional``; in ``m`` are Linear and BatchNorm1d."""


def _arrays(norm: Any) -> tuple[Any, ...]:
    return norm.weight, norm.bias, norm.running_mean, norm.running_var


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides:UserWarning")
@pytest.mark.parametrize("name", OF_TORCH)
def test_functions_of_torch_take_other_arguments_than_their_namesakes_of_functional(name: str) -> None:
    norm = nn.BatchNorm1d(4)
    norm.running_mean.copy_(torch.arange(4.0))
    norm.running_var.copy_(torch.arange(4.0) + 0.5)
    check_meaning(module(OF_TORCH[name], nn.Linear(4, 4), norm), (normal(4, 4),))


def test_signatures_are_torchs() -> None:
    """Every function of both namespaces takes the same first arguments, or is in the table of those that do not."""
    differ = set()
    for name in sorted(set(dir(torch)) & set(dir(F)) & set(HANDLERS)):
        function = getattr(F, name)
        if function is getattr(torch, name) or "args" in (parameters := [*inspect.signature(function).parameters]):
            continue  # One function, or one that dispatches to others.
        operator = getattr(torch.ops.aten, name)
        schema = getattr(operator, operator.overloads()[0])._schema
        arguments = ["input" if item.name == "self" else item.name for item in schema.arguments]
        if name in SIGNATURES:
            assert [*SIGNATURES[name]] == arguments
        if arguments != parameters[: len(arguments)]:
            differ.add(name)
    refused = {"embedding_bag", "rrelu"}  # Offsets, and a generator that only random slopes use.
    assert differ == set(SIGNATURES) | refused
    assert differ == {name.partition(",")[0] for name in OF_TORCH} | refused


def test_batch_norm_that_averages_all_batches_is_a_warning() -> None:
    averaged, fresh = nn.BatchNorm1d(4, momentum=None), nn.BatchNorm1d(4, momentum=None, track_running_stats=False)
    with pytest.warns(UserWarning, match="momentum=None averages all batches"):
        rg.read_torch(module(lambda m, x: m[0](x), averaged), normal(3, 4))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rg.read_torch(module(lambda m, x: m[0](x), fresh), normal(3, 4))


def test_embedding_bag_of_torch_is_refused() -> None:
    with pytest.raises(rg.NotReadableError, match="without offsets"):
        rg.read_torch(module(lambda m, x: torch.embedding_bag(m[0].weight, x, x)[0], nn.Linear(4, 4)), whole(4, 3))


def test_dropout_that_acts_in_evaluation_mode_is_a_warning() -> None:
    for function in (
        lambda _, x: F.dropout(x, 0.5),
        lambda _, x: F.dropout1d(x, 0.5),
        lambda _, x: F.scaled_dot_product_attention(x, x, x, dropout_p=0.1),
    ):
        with pytest.warns(UserWarning, match=r"acts in evaluation mode, too.*self\.training"):
            rg.read_torch(module(function), normal(2, 3, 4))


def test_random_slopes_are_refused() -> None:
    with pytest.raises(rg.NotReadableError, match=r"draws random slopes; pass training=self\.training"):
        rg.read_torch(module(lambda _, x: F.rrelu(x, training=True)), normal(3, 4))
