"""Programs of torch.export: the exported graph, and its decomposition into core ATen operators, against the module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import rnngraph as rg

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402  (needs torch)
from torch.nn import functional  # noqa: E402  (needs torch)

pytestmark = [
    pytest.mark.filterwarnings("ignore:The tensor attributes:UserWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
DYNAMIC = torch.export.Dim.DYNAMIC


class Of(nn.Module):
    """Module that applies a function to its parts."""

    def __init__(self, function: Callable[..., Any], **parts: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(self, x)


def tagger() -> nn.Module:
    return Of(
        lambda m, x: torch.softmax(m.out(m.rnn(m.table(x))[0]), -1),
        table=nn.Embedding(20, 6),
        rnn=nn.LSTM(6, 5, bidirectional=True, batch_first=True),
        out=nn.Linear(10, 3),
    )


def cells() -> nn.Module:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        h, outputs = torch.zeros(x.size(0), 4), []
        for t in range(x.size(1)):
            h = m.cell(x[:, t], h)
            outputs.append(m.norm(h))
        return torch.stack(outputs, 1)

    return Of(forward, cell=nn.GRUCell(3, 4), norm=nn.LayerNorm(4))


def convolved() -> nn.Module:
    def forward(m: Any, x: torch.Tensor) -> Any:
        y = functional.gelu(m.norm(m.conv(x.transpose(1, 2))))
        y, _ = m.rnn(y.transpose(1, 2))
        return {"mean": m.out(y).mean(1), "last": (torch.log_softmax(m.out(y[:, -1]), -1),)}

    return Of(
        forward,
        conv=nn.Conv1d(3, 4, 3, padding=1),
        norm=nn.BatchNorm1d(4),
        rnn=nn.RNN(4, 5, batch_first=True),
        out=nn.Linear(5, 2),
    )


def moved(m: Any, x: torch.Tensor) -> Any:
    """Apply slices, indices, reductions and products."""
    z = torch.cat([x[:, 1:, ::2], x[:, 1:, ::2] * 2], -1)
    z = z.masked_fill(z > 1, 0.5)
    return (
        z.std(-1),
        x.var(1, keepdim=True) + torch.clamp(x.amax(-1, keepdim=True), -1, 1),
        x[:, torch.tensor([0, 2])].cumsum(1),
        torch.einsum("btw,bsw->bts", x, x),
        torch.where(x > 0, x, x.abs()),
        torch.lerp(x, 2 * x, 0.3),
        functional.one_hot((x[:, 0] > 0).long(), 2),
        x.masked_fill(x > 0, -1.0),
        x.reshape(x.size(0), -1),
        functional.pad(x, (1, 2)),
        functional.elu(x),
        torch.ops.aten.elu(x, 0.5, 2.0, 0.25),
        functional.adaptive_max_pool1d(x, 1),
        x.new_zeros(x.size(0)) + x.size(1),
    )


def losses(m: Any, x: torch.Tensor) -> Any:
    """Apply losses with reductions other than the default."""
    x = 0.1 * x
    y, labels = x * x, (x[:, :, 0] > 0).long()
    scores, shares = torch.log_softmax(x, -1), torch.softmax(y, -1)
    return (
        functional.mse_loss(x, y, reduction="sum"),
        functional.mse_loss(x, y, reduction="none"),
        functional.mse_loss(x, y),
        functional.smooth_l1_loss(x, y, reduction="sum", beta=0.5),
        functional.huber_loss(x, y, reduction="none", delta=0.05),
        functional.l1_loss(x, y, reduction="sum"),
        functional.kl_div(scores, shares, reduction="batchmean"),
        functional.binary_cross_entropy(shares, torch.sigmoid(y), reduction="none"),
        functional.binary_cross_entropy_with_logits(x, shares, reduction="none"),
        functional.cross_entropy(x.transpose(1, 2), labels, reduction="sum") * 0.1,
        functional.nll_loss(scores.transpose(1, 2), labels, reduction="none"),
    )


def check(module: nn.Module, x: torch.Tensor, dims: Any, *texts: str, decomposed: bool = False) -> rg.Net:
    """Read an exported module, and compare it with torch, with an additional row if rows are open."""
    module.eval()
    program = torch.export.export(module, (x,), dynamic_shapes=None if dims is None else {"x": dims})
    net = rg.read_torch(program.run_decompositions() if decomposed else program)
    script = net.script()
    assert all(text in script for text in texts), script
    if dims is not None:
        x = torch.cat([x, x.flip(0)[:1]])
    actual = net.program().inference(x=x.numpy())
    wanted = torch.utils._pytree.tree_flatten(module(x))[0]
    for name, want in zip(net.outputs, wanted, strict=True):
        assert_allclose(actual[name], want.detach().numpy(), atol=2e-6, err_msg=name)
    return net


@pytest.mark.slow
def test_layers_are_those_of_a_module() -> None:
    net = check(tagger(), torch.arange(10).reshape(2, 5), {0: DYNAMIC}, "rg.bidirectional_dynamic_rnn(")
    assert "x i64[B,5]" in repr(net)
    assert "rnn/fw/basic_lstm_cell/kernel" in net.parameters


@pytest.mark.slow
def test_steps_that_were_written_out_are_a_driver() -> None:
    check(cells(), torch.randn(2, 6, 3), {0: DYNAMIC}, "rg.dynamic_rnn(", "rg.GRUCell(4")


@pytest.mark.slow
@pytest.mark.parametrize("decomposed", [False, True])
@pytest.mark.parametrize("module", [tagger, cells, convolved, lambda: Of(moved), lambda: Of(losses)])
def test_nets(module: Callable[[], nn.Module], decomposed: bool) -> None:
    torch.manual_seed(3)
    x = torch.arange(10).reshape(2, 5) if module is tagger else torch.randn(2, 5, 3)
    check(module(), x, {0: DYNAMIC}, decomposed=decomposed)


@pytest.mark.slow
@pytest.mark.parametrize("dims", [None, {0: DYNAMIC}])
@pytest.mark.parametrize(
    "kind", [nn.RNN, nn.GRU, nn.LSTM, lambda *sizes, **options: nn.LSTM(*sizes, proj_size=2, **options)]
)
@pytest.mark.filterwarnings("ignore:.*torch.export fixed:UserWarning")
def test_layers_of_single_operators_are_rolled_up(kind: Callable[..., nn.Module], dims: Any) -> None:
    texts = () if dims is None else ("rg.dynamic_rnn(Step(" if kind is nn.RNN else "Step(",)
    layer = kind(3, 4, batch_first=True)
    check(Of(lambda m, x: m.rnn(x)[0], rnn=layer), torch.randn(2, 6, 3), dims, *texts, decomposed=True)


@pytest.mark.slow
@pytest.mark.parametrize("decomposed", [False, True])
def test_a_transformer_with_open_batch_and_time(decomposed: bool) -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.1)
    module = Of(lambda m, x: m.encoder(x), encoder=nn.TransformerEncoder(layer, 1, enable_nested_tensor=False))
    net = check(module, torch.randn(2, 5, 8), {0: DYNAMIC, 1: DYNAMIC}, decomposed=decomposed)
    assert net.program().inference(x=np.zeros((3, 7, 8), np.float32))["y"].shape == (3, 7, 8)


@pytest.mark.slow
def test_sizes_that_export_fixed_are_named() -> None:
    x = torch.randn(2, 5, 3)
    program = torch.export.export(Of(lambda m, x: x.sum(1) * m.scale.weight[0], scale=nn.Linear(3, 2)), (x,))
    with pytest.warns(UserWarning, match=r"fixed all sizes of x \[2, 5, 3\]; to leave axis 0 of x open"):
        net = rg.read_torch(program, (x,))
    assert net.inputs["x"].shape == (2, 5, 3)
    with pytest.raises(rg.ArgumentError, match=r"x of the example has size 7 along axis 1, which torch\.export fixed"):
        rg.read_torch(program, (torch.randn(2, 7, 3),))
    with pytest.raises(rg.ArgumentError, match="2 entries, but the exported program has 1 inputs"):
        rg.read_torch(program, (x, x))


@pytest.mark.slow
def test_unsupported_calls_are_listed_with_their_lines() -> None:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        return torch.digamma(x) + torch.linalg.inv(x)

    program = torch.export.export(Of(forward), (torch.randn(3, 3),))
    with pytest.raises(rg.NotReadableError, match=r"test_exported.py:\d+: digamma: not supported") as caught:
        rg.read_torch(program)
    assert len(caught.value.problems) == 2
    with pytest.raises(rg.NotReadableError, match="give the ExportedProgram itself"):
        rg.read_torch(program.module(), (torch.randn(3, 3),))
    with pytest.raises(rg.ArgumentError, match="needs an example of the module's inputs"):
        rg.read_torch(nn.Linear(2, 2).eval())
