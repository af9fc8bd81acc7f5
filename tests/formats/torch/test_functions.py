"""torch's functions, many at once: elementwise, pairs, axes, sorts, selection by index, and writes to slices."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from read_modules import check_meaning

import rnngraph as rg

torch = pytest.importorskip("torch", exc_type=ImportError)
from torch_functions import module, normal, whole  # noqa: E402  (needs torch)

nn = pytest.importorskip("torch.nn", exc_type=ImportError)
F = nn.functional
pytestmark = pytest.mark.peers

Functions = dict[str, Callable[..., Any]]


def check_all(functions: Functions, *calls: tuple[Any, ...]) -> None:
    """Compare each function, wrapped in its own module, with torch."""
    for name, function in functions.items():
        print(name)
        check_meaning(module(_read_all(function)), *calls, tolerance=3e-5)


def _read_all(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda _, *args: (function(*args), sum(item.sum() for item in args))


def _of_first(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, y: function(x)


ELEMENTS: Functions = {
    **{
        name: _of_first(getattr(torch, name))
        for name in (
            "floor",
            "ceil",
            "round",
            "trunc",
            "fix",
            "frac",
            "deg2rad",
            "rad2deg",
            "erfc",
            "tan",
            "sinc",
            "asinh",
            "sgn",
            "isinf",
            "isposinf",
            "isneginf",
            "signbit",
            "logical_not",
            "real",
            "isreal",
        )
    },
    "decimals": lambda x, y: torch.round(x, decimals=2),
    "logit": lambda x, y: torch.logit(x, 0.01),
    "asin": lambda x, y: torch.asin(torch.sin(x) * 0.9),
    "acos": lambda x, y: torch.acos(torch.sin(x) * 0.9),
    "atanh": lambda x, y: torch.atanh(torch.sin(x) * 0.9),
    "acosh": lambda x, y: torch.acosh(x * x + 1),
    "ndtr": lambda x, y: torch.special.ndtr(x),
    "expit": lambda x, y: torch.special.expit(x),
    "entr": lambda x, y: torch.special.entr(x * x),
    "softplus": lambda x, y: F.softplus(x, 3.0, 1.0),
    "new": lambda x, y: x + x.new_tensor([1.0, 2.0, 3.0]),
    "in place": lambda x, y: x.clone().floor_().copy_(y[:, :1]),
}
PAIRS: Functions = {
    **{
        name: getattr(torch, name)
        for name in (
            "fmod",
            "remainder",
            "atan2",
            "fmax",
            "fmin",
            "copysign",
            "logaddexp",
            "logaddexp2",
            "heaviside",
            "isclose",
            "floor_divide",
            "logical_xor",
            "dist",
            "addcdiv",
        )
    },
    "power": lambda x, y: x.abs() ** y,
    "whole power": lambda x, y: x ** torch.round(y),
    "of a number": lambda x, y: torch.pow(2.0, x),
    "xlogy": lambda x, y: torch.xlogy(x, y * y + 1),
    "left": lambda x, y: x % 0.7,
    "left of 1": lambda x, y: torch.fmod(x, 1.0),
    "//": lambda x, y: x // 0.3,
    "cut": lambda x, y: torch.div(x, y, rounding_mode="trunc"),
    "distance": lambda x, y: F.pairwise_distance(x, y),
    "all pairs": lambda x, y: torch.cdist(x, y),
    "cross": lambda x, y: torch.cross(x, y, dim=-1),
    "norm": lambda x, y: torch.linalg.vector_norm(x, 3, -1),
    "least": lambda x, y: x.norm(-math.inf, -1),
    "tensordot": lambda x, y: torch.tensordot(x, y, dims=([0, 2], [0, 2])),
    "out": lambda x, y: _out(x),
    "bce": lambda x, y: F.binary_cross_entropy_with_logits(x, torch.sigmoid(y), reduction="none"),
    "mse": F.mse_loss,
    "huber": F.huber_loss,
    "smooth": lambda x, y: F.smooth_l1_loss(x, y, beta=0.5),
    "kl": lambda x, y: F.kl_div(F.log_softmax(x, -1), F.softmax(y, -1), reduction="batchmean"),
}
PAIRS["addcdiv"] = lambda x, y: torch.addcdiv(x, y, x * x + 1, value=0.5)
AXES: Functions = {
    "windows": lambda x: x.unfold(1, 3, 1),
    "steps": lambda x: x.unfold(1, 3, 2).mean(-1),
    "swapped": lambda x: torch.movedim(x, (0, 1), (1, 0)),
    "rolled": lambda x: torch.roll(x, (1, -1), (1, 2)),
    "turned": lambda x: torch.rot90(x, 1, (1, 2)),
    "flipped": torch.fliplr,
    "split": lambda x: torch.dsplit(x, 3)[1],
    "stacked": lambda x: torch.vstack([x, x]),
    "columns": lambda x: torch.column_stack([x[:, 0], x[:, -1]]),
    "grid": lambda x: torch.meshgrid(x[0, 0], x[0, 1], indexing="ij")[0],
    "diagonal": lambda x: torch.diag_embed(x),
    "eye": lambda x: x @ x.mT + torch.eye(x.size(1)),
    "trace": lambda x: torch.trace(x[0].T @ x[0]),
    "line": lambda x: x + torch.linspace(0, 1, x.size(1))[:, None],
    "twice": lambda x: torch.diff(x, n=2, dim=1),
    "circular": lambda x: F.pad(x.mT, (2, 1), mode="circular"),
    "between": lambda x: _interpolated(x),
    "pooled": lambda x: F.max_pool1d(x.mT, 3, 2, 1, ceil_mode=True),
    "lp": lambda x: F.lp_pool1d(x.mT, 2, 3),
    "mean": lambda x: F.avg_pool1d(x.mT, 3, 2, 1, ceil_mode=True),
    "apart": lambda x: F.max_pool1d(x.mT, 2, 1, 0, 2),
    "counted": lambda x: F.avg_pool1d(x.mT, 3, 1, 1, count_include_pad=False),
}
ORDER: Functions = {
    "sorted": lambda x, i: torch.sort(x, 1),
    "falling": lambda x, i: x.argsort(-1, descending=True),
    "median": lambda x, i: x.median(-1),
    "third": lambda x, i: torch.kthvalue(x, 3, -1, True),
    "quantile": lambda x, i: torch.quantile(x, 0.3, dim=-1),
    "product": lambda x, i: x.prod(-1),
    "so far": lambda x, i: x.cumprod(-1),
    "best so far": lambda x, i: torch.cummax(x, -1),
    "log sums": lambda x, i: torch.logcumsumexp(x, 1),
    "least and most": lambda x, i: torch.aminmax(x, dim=1),
    "picked": lambda x, i: x.gather(-1, torch.stack([i % 3, i % 2], -1)),
    "count": lambda x, i: (i % 3).count_nonzero(1),
    "isin": lambda x, i: torch.isin(i, torch.tensor([1, 2])),
    "along": lambda x, i: torch.take_along_dim(x, i[:, :1, None] % 2, dim=1),
    "hot": lambda x, i: torch.zeros(i.size(0), 7).scatter_(1, i, 1.0),
    "spread": lambda x, i: x.scatter(2, x.argmax(-1, keepdim=True), x[..., :1] * 0 + 9),
    "last written": lambda x, i: torch.zeros(i.size(0), 7).scatter_(1, i % 2, x[..., 0]),
    "last copied": lambda x, i: x.index_copy(2, torch.tensor([2, 0, 2]), x * 9),
    "added": lambda x, i: torch.zeros(i.size(0), 7).scatter_add_(1, i, x[..., 0]),
    "copied": lambda x, i: x.index_copy(2, torch.tensor([2, 0]), x[..., :2] * 9),
    "selected": lambda x, i: torch.select_scatter(x, x[:, 0] * 5, 1, 1),
    "buckets": lambda x, i: _buckets(x),
    "filled": lambda x, i: x.index_fill(2, torch.tensor([0, 2]), 7.0),
    "classes": lambda x, i: F.cross_entropy(x.mT, i % 3, torch.tensor([1.0, 2.0, 3.0]), ignore_index=1),
    "nanmean": lambda x, i: torch.where(x < 0, math.nan, x).nanmean(1),
    "bags": lambda x, i: torch.cat([_bags(i, mode) for mode in ("sum", "mean", "max")], -1),
}


def _out(x: Any) -> Any:
    y = torch.zeros_like(x)
    torch.add(x, 1, out=y)
    return y


def _interpolated(x: Any) -> Any:
    return F.interpolate(x.mT, scale_factor=3, mode="linear")


def _bags(ids: Any, mode: str) -> Any:
    return F.embedding_bag(ids, torch.arange(14.0).reshape(7, 2), mode=mode, padding_idx=3)


def _buckets(x: Any) -> Any:
    bounds = torch.tensor([-1.0, 0.0, 1.0])
    return torch.bucketize(x, bounds) + torch.searchsorted(bounds, x, right=True)


def test_functions_of_elements_and_of_pairs() -> None:
    check_all(ELEMENTS | PAIRS, (normal(2, 7, 3), normal(2, 7, 3)), (normal(3, 9, 3), normal(3, 9, 3)))


def test_remainders_near_multiples() -> None:
    """The remainder must be small even if the quotient is rounded up."""
    x = torch.tensor([0.7, -0.7, 0.6, 5.3, 0.3, 8.4, -8.4, 0.0])
    check_all({"left": lambda x: x % 0.1, "fmod": lambda x: torch.fmod(x, -0.1)}, (x,), (x[:3],))
    ints = torch.arange(-9, 9), torch.tensor([3, -4] * 9)
    check_all(
        {
            "//": lambda a, b: a // b,
            "%": lambda a, b: a % b,
            "fmod": torch.fmod,
            "by 4": lambda a, b: a // 4 + a % 4,
            "cut": lambda a, b: torch.div(a, b, rounding_mode="trunc"),
            "/": lambda a, b: a / b,
        },
        ints,
        tuple(item[:4] for item in ints),
    )


def test_functions_of_axes() -> None:
    check_all(AXES, (normal(2, 8, 3),), (normal(3, 11, 3),))


def test_orders_and_picks() -> None:
    torch.manual_seed(0)
    check_all(ORDER, (normal(2, 6, 3), whole(7, 2, 6)), (normal(3, 9, 3), whole(7, 3, 9)))


def test_parts_that_are_written() -> None:
    def parts(_: Any, x: Any) -> Any:
        y, z, w = x.clone(), x.clone(), torch.zeros(x.size(0), x.size(1), 8)
        y[:, 0] += 1
        y[..., 1] *= 2
        y[:, 1:, 0] = 5.0
        first = y[:, 0]
        y[:, 0, 2] = first[:, 1] * 10
        z[:, 1:].mul_(2)[:, -1] = 0
        z[0, 1] = z[0, 0] - z[0, 2]
        w[..., 0::2] = torch.sin(x)
        w[..., 1::2] = torch.cos(x)
        w[:, :, [2, 5]] = -1.0
        w[x[..., 0] < 0] = w[0, 0] * 0.5
        return y, first + 1, z, w

    check_meaning(module(parts), (normal(2, 6, 4),), (normal(3, 9, 4),))


def test_slices_of_one_tensor_see_writes_through_others() -> None:
    def parts(_: Any, x: Any) -> Any:
        y = torch.zeros_like(x)
        p, q = y[:, 0], y[:, 1]
        p.add_(1)
        q.add_(p * 2)
        y[:, 2] = x[:, 0]
        p += 3
        for t in range(x.size(1)):
            y[:, t] += x[:, t]
        z = y[..., 1:]
        z[..., 0] *= 2
        return y, p, q, z

    check_meaning(module(parts), (normal(2, 5, 3),))


@pytest.mark.parametrize(
    ("write", "word"),
    [
        (lambda x: torch.max(x, 1, out=(x[:, 0], x[:, 1].long())), "out= has several tensors"),
        (lambda x: x[:, 1:4:2].mul_(2), "axis of symbolic size"),
        (lambda x: x.reshape(-1).add_(1), "changed in place"),
        (lambda x: x.__setitem__(x[:, :, 0].long(), 1.0), "computed indices"),
        (lambda x: x.__setitem__(x > 0, x[0, :2, 0]), "depends on the mask.s values"),
    ],
)
def test_writes_that_can_not_be_read(write: Callable[[Any], Any], word: str) -> None:
    def run(_: Any, x: Any) -> Any:
        y = x + 1
        write(y)
        return y * 2

    with pytest.raises(rg.NotReadableError, match=word):
        rg.read_torch(module(run), (normal(2, 6, 4),))


# Modules --------------------------------------------------------------------------------------------


class Counting(nn.Module):  # type: ignore[misc, name-defined]
    """Module that stores a counter in a buffer and the last result in an attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(1))
        self.linear, self.last = nn.Linear(4, 3), None

    def forward(self, x: Any) -> Any:
        self.count += 1
        self.last = self.linear(x)
        return self.last


def test_a_module_is_left_as_it_was() -> None:
    counting = Counting().eval()
    rg.read_torch(counting, (normal(2, 4),))
    assert counting.count.item() == 0
    assert counting.last is None


@pytest.mark.filterwarnings("ignore")
def test_weights_that_hooks_and_parametrizations_compute() -> None:
    torch.manual_seed(0)
    from torch.nn import utils
    from torch.nn.utils import prune

    rnn = [
        utils.weight_norm(nn.GRU(4, 4, batch_first=True), "weight_hh_l0"),
        utils.parametrizations.weight_norm(nn.LSTM(4, 3, batch_first=True), "weight_ih_l0"),
    ]
    prune.l1_unstructured(last := nn.Linear(3, 2), "weight", 0.5)
    stack = module(lambda m, x: m[2](m[1](m[0](x)[0])[0]), *rnn, last)
    check_meaning(stack, (normal(2, 5, 4),), (normal(3, 7, 4),))


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: torch.jit.trace(nn.Linear(4, 3).eval(), torch.ones(2, 4)), "TorchScript"),
        (lambda: torch.export.export(nn.Linear(4, 3).eval(), (torch.ones(2, 4),)).module(), "give the ExportedProgram"),
        (lambda: nn.Linear(4, 3).half().eval(), r"module\.float"),
        (
            lambda: torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.LSTM(4, 3)).eval()),
            "before it was quantized",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_modules_that_can_not_be_read(make: Callable[[], Any], word: str) -> None:
    with pytest.raises(rg.NotReadableError, match=word):
        rg.read_torch(make(), (torch.ones(2, 4),))
