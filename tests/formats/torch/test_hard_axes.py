"""torch's norms, sorts, cumulative functions, deviations and attention at hard points: NaN, infinities, ties."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from read_modules import check_meaning

import rnngraph as rg

torch = pytest.importorskip("torch", exc_type=ImportError)
from torch_functions import module, normal  # noqa: E402  (needs torch)

nn = pytest.importorskip("torch.nn", exc_type=ImportError)
F = nn.functional
pytestmark = pytest.mark.peers

NAN, INF = math.nan, math.inf
ROWS = [
    [1, NAN, 2, 0],
    [NAN, 1, NAN, -1],
    [2, 1, 2, 1],
    [-INF, -INF, 1, -INF],
    [INF, -INF, 0, NAN],
    [1, 1, 1, 1],
    [NAN] * 4,
    [INF, INF, 1, 0],
    [-INF] * 4,
    [1e30, -1e30, 3, 7],
    [0, 0, 0, 0],
    [-1, 0, 2, -3],
    [88, 89, 90, -90],
]
FINITE = [*ROWS[9:], ROWS[2], ROWS[5]]


def check_rows(functions: dict[Any, Callable[[Any], Any]], rows: Any, tolerance: float = 2e-5) -> None:
    """Compare all functions of rows, as one module."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about degrees of freedom
        read = module(lambda _, x: [function(x) for function in functions.values()])
        check_meaning(read, (torch.as_tensor(rows),), tolerance=tolerance)


def of_rows(rows: Any) -> Any:
    return torch.tensor(rows, dtype=torch.float32)


@pytest.mark.parametrize("order", [2, 1, 0, -1, 0.5, 3, INF, -INF, -2, -0.5, 2.5])
def test_norms_of_vectors(order: float) -> None:
    norm = torch.linalg.norm
    check_rows(
        {"rows": lambda x: torch.linalg.vector_norm(x, order, 1), "norm": lambda x: torch.norm(x, order, 1)},
        of_rows(ROWS),
        3e-5,
    )
    check_rows(
        {
            "all": lambda x: x.norm(order),
            "axes": lambda x: torch.norm(x, order, (0, 1), True),
            "one axis": lambda x: norm(x, order, dim=1),
            "kept": lambda x: norm(x, order, dim=(1,), keepdim=True),
            "vector": lambda x: norm(x[0], order),
            "wide": lambda x: torch.norm(x, order, 1, dtype=torch.float64),
            "distance": lambda x: torch.dist(x, x.flip(0), order),
        },
        of_rows(FINITE[1:]),
        3e-5,
    )


@pytest.mark.parametrize("order", [1, -1, INF, -INF, "fro", None])
def test_norms_of_matrices(order: Any) -> None:
    norm = torch.linalg.norm
    axes = [(0, 1), (1, 0), (-2, -1), (2, 0)]
    functions = {
        (dim, keeps): (lambda x, dim=dim, keeps=keeps: norm(x, order, dim, keeps))
        for dim in axes
        for keeps in (False, True)
    }
    functions["matrix"] = lambda x: norm(x[0], order)
    if order is not None:
        functions["matrix_norm"] = lambda x: torch.linalg.matrix_norm(x, order)
    check_rows(functions, normal(2, 3, 4))


@pytest.mark.parametrize("order", [2, -2, "nuc"])
@pytest.mark.parametrize("read", [torch.linalg.norm, torch.linalg.matrix_norm])
def test_norms_of_singular_values_are_refused(order: Any, read: Callable[..., Any]) -> None:
    with pytest.raises(rg.NotReadableError, match="singular values"):
        rg.read_torch(module(lambda _, x: read(x, order)), normal(3, 4))


def test_logarithms_of_sums_and_softmax() -> None:
    check_rows(
        {
            "logsumexp": lambda x: torch.logsumexp(x, 1),
            "softmax": lambda x: x.softmax(1),
            "log_softmax": lambda x: x.log_softmax(1),
            "softmin": lambda x: F.softmin(x, 1),
            "wide": lambda x: F.softmax(x, 1, dtype=torch.float64),
            "all": lambda x: torch.logsumexp(x, (0, 1), True),
        },
        of_rows(ROWS),
    )
    check_rows({"ints": lambda x: torch.logsumexp(x, 1)}, [[1, 2, 3], [100, 0, 0]])


@pytest.mark.parametrize("axis", [0, 1])
def test_so_far(axis: int) -> None:
    names = ("cummax", "cummin", "cumprod", "logcumsumexp", "cumsum")
    functions = {name: (lambda x, name=name: getattr(torch, name)(x, axis)) for name in names}
    check_rows(functions, of_rows(ROWS if axis else FINITE))
    del functions["logcumsumexp"]
    check_rows(functions, torch.tensor([[1, 0, 1, 100], [3, 3, 2, 0]]))
    line = torch.linspace(0, 300, 300)
    check_meaning(module(lambda _, x: torch.logcumsumexp(x, 0)), (line,), tolerance=1e-6)


def test_orders() -> None:
    check_rows(
        {
            (name, down): (lambda x, name=name, down=down: getattr(torch, name)(x, dim=1, descending=down))
            for name in ("sort", "argsort")
            for down in (False, True)
        }
        | {
            "largest": lambda x: torch.topk(x, 2).values,
            "smallest": lambda x: torch.topk(x, 3, largest=False).values,
            "columns": lambda x: torch.topk(x, 2, 0).values,
            "third": lambda x: torch.kthvalue(x, 3, 1).values,
            "msort": torch.msort,
            "median": lambda x: torch.median(x, 1),
            "medians": lambda x: torch.median(x, 0, True).values,
            "of all": torch.median,
            "nanmedian": lambda x: torch.nanmedian(x, 1).values,
            "nan of all": torch.nanmedian,
        },
        of_rows(ROWS),
    )
    check_rows(
        {
            "sort": lambda x: x.sort(1),
            "median": lambda x: x.median(1),
            "topk": lambda x: x.topk(2).values,
            "max": lambda x: x.max(1),
            "argmin": lambda x: x.argmin(1),
            "min": lambda x: x.min(1),
            "nanmedian": lambda x: x.nanmedian(1),
        },
        torch.tensor([[3, 1, 2, -(2**63)], [-(2**62), 2**62, 0, 5]]),
    )
    check_rows(
        {"bool": lambda x: (x.sort(1), x.max(1), x.amin(0), x.any(), x.all(1))}, torch.tensor([[True, False, True]] * 2)
    )
    check_rows(
        {
            "places": lambda x: (
                torch.bucketize(x, torch.tensor([0.0, 1, 2])),
                torch.searchsorted(torch.tensor([0.0, 1, 2]), x, right=True),
            )
        },
        of_rows(ROWS),
    )


@pytest.mark.parametrize("name", ["quantile", "nanquantile"])
def test_quantiles(name: str) -> None:
    function = getattr(torch, name)
    for q in (0.0, 0.25, 0.5, 0.9, 1.0):
        check_rows(
            {
                "rows": lambda x, q=q: function(x, q, 1),
                "all": lambda x, q=q: function(x, q),
                "columns": lambda x, q=q: function(x, q, 0, True),
            },
            of_rows([row for row in ROWS if not {INF, -INF} & {*row}][:5]),
            1e-4,
        )


def test_extremes() -> None:
    names = ("max", "min", "argmax", "argmin", "amax", "amin", "aminmax")
    functions = {name: (lambda x, name=name: getattr(torch, name)(x, dim=1)) for name in names}
    functions |= {f"{name} of all": getattr(torch, name) for name in names[:4]}
    check_rows(functions | {"kept": lambda x: torch.argmax(x, keepdim=True)}, of_rows(ROWS))


@pytest.mark.parametrize("name", ["std", "var"])
def test_deviations(name: str) -> None:
    function = getattr(torch, name)
    corrections: dict[Any, Callable[[Any], Any]] = {
        less: (lambda x, less=less: function(x, 1, correction=less)) for less in (0, 1, 2, 1.5, 5)
    }
    check_rows(
        corrections | {"unbiased": lambda x: function(x, 1, True), "biased": lambda x: function(x, 1, False)},
        of_rows(ROWS),
    )
    check_rows(
        {
            "one": lambda x: function(x[:, :1], 1),
            "all": lambda x: function(x, False),
            "axes": lambda x: function(x, (0, 1), keepdim=True),
            "mean": lambda x: getattr(torch, f"{name}_mean")(x, 1),
        },
        of_rows(FINITE),
    )
    check_rows({"large": lambda x: function(x, 0) / 1e29}, torch.tensor([1e30, 1, 1]))


def test_directions_and_normalizations() -> None:
    rows = of_rows(ROWS)
    check_meaning(module(lambda _, a, b: [F.cosine_similarity(a, b, dim) for dim in (0, 1)]), (rows, rows.flip(0)))
    small = torch.tensor([[1e-30, 0], [0, 0], [1e-5, 0], [1e20, 1e20]])
    other = torch.tensor([[1e-30, 0], [1, 2], [1e-5, 0], [1, 1]])
    check_meaning(module(lambda _, a, b: F.cosine_similarity(a, b, 1)), (small, other))
    lengths = {
        (p, least): (lambda x, p=p, least=least: F.normalize(x, p, 1, least))
        for p in (2.0, 1.0, INF)
        for least in (1e-12, 0.0)
    }
    check_rows(lengths, rows, 3e-5)
    numbers = torch.arange(4.0)
    check_rows(
        {
            "layer": lambda x: F.layer_norm(x, (4,), numbers),
            "bias": lambda x: F.layer_norm(x, (4,), None, numbers),
            "axes": lambda x: F.layer_norm(x, (3, 4)),
            "rms": lambda x: F.rms_norm(x, (4,), numbers),
            "rms of axes": lambda x: F.rms_norm(x, (3, 4)),
            "groups": lambda x: F.group_norm(x, 3, numbers[:3], numbers[1:]),
            "one group": lambda x: F.group_norm(x, 1),
            "instance": F.instance_norm,
            "batch": lambda x: F.batch_norm(x, None, None, training=True),
        },
        normal(2, 3, 4),
    )
    check_rows({"rms": lambda x: F.rms_norm(x, (4,))}, torch.randn(2, 4, dtype=torch.float64) * 1e-9)
    check_rows(
        {"layer": lambda x: F.layer_norm(x, (4,)), "rms": lambda x: F.rms_norm(x, (4,))},
        of_rows([[5, 5, 5, 5], [1e8, 1e8 + 8, 1e8, 1e8], [1e18, -1e18, 1, 0], [NAN, 1, 2, 3]]),
    )


def test_directions_of_tensors_of_other_ranks() -> None:
    one, rows = normal(4), normal(3, 4)
    read = module(lambda _, a, b: [F.cosine_similarity(a, b, -1), F.cosine_similarity(b, a, 1)])
    check_meaning(read, (one, rows))
    with pytest.raises(rg.NotReadableError, match="size 1 along dim"):
        rg.read_torch(module(lambda _, a, b: F.cosine_similarity(a, b, 0)), (one, rows))


def test_products_and_counts() -> None:
    check_rows(
        {
            "prod": lambda x: x.prod(1),
            "all": lambda x: x[:1].prod(),
            "kept": lambda x: x.prod(0, True),
            "counts": lambda x: (torch.count_nonzero(x, 1), x.count_nonzero()),
            "nansum": lambda x: (x.nansum(1), x.nanmean(1)),
        },
        of_rows([[0, 2, 3], [0, 0, 3], [-1, 2, -3], [NAN, 0, 1], [INF, 0, 1]]),
    )
    wrap = torch.tensor([[2**31 - 1] * 3, [1, 2, 3]], dtype=torch.int32)
    check_rows({"prod": lambda x: (x.prod(1), x.sum(1), x.cumprod(1), x.prod(1, dtype=torch.float32))}, wrap)


def test_rows_that_are_masked_throughout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mha, "_is_fastpath_enabled", False)  # only the fast path returns NaN
    keeps = torch.tensor([[True, False, False], [False] * 3, [True] * 3])
    far = torch.zeros(3, 3).masked_fill(~keeps, -INF)
    check_meaning(
        module(
            lambda _, q, mask, far: [
                F.scaled_dot_product_attention(q, q, q, mask),
                F.scaled_dot_product_attention(q, q, q, far),
                F.scaled_dot_product_attention(q, q, q, is_causal=True),
            ]
        ),
        (normal(1, 2, 3, 4), keeps, far),
    )
    attention = nn.MultiheadAttention(4, 2, batch_first=True).eval()
    padding = torch.tensor([[True] * 3, [False, True, True]])
    for gives in (True, False):
        read = module(
            lambda m, x, mask, padding, gives=gives: [
                m[0](x, x, x, need_weights=gives, attn_mask=mask)[: 1 + gives],
                m[0](x, x, x, need_weights=gives, key_padding_mask=padding)[0],
            ],
            attention,
        )
        check_meaning(read, (normal(2, 3, 4), ~keeps, padding))


def test_batch_normalization_used_once_and_twice_has_the_same_bits() -> None:
    layer = torch.nn.BatchNorm1d(3, eps=1e-3).eval()
    with torch.no_grad():
        layer.running_mean.fill_(10000.5)
        layer.running_var.fill_(1e-9)
        layer.weight.copy_(torch.tensor([1.5, 0.5, -1]))

    class Twice(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = layer

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return self.norm(x), self.norm(x + 1)

    x = 10000.5 + torch.linspace(-1, 1, 12).reshape(4, 3)
    once, twice = (rg.read_torch(net, x).program().inference for net in (layer, Twice().eval()))
    np.testing.assert_array_equal(once(x.numpy())["y"], twice(x.numpy())["y_0"])
