"""torch's modules, one kind for each case, as programs and scripts, against torch with two values of all open sizes."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from read_modules import check

import rnngraph as rg

torch = pytest.importorskip("torch", exc_type=ImportError)
from torch_functions import module, normal, whole  # noqa: E402  (needs torch)

nn = pytest.importorskip("torch.nn", exc_type=ImportError)
F = nn.functional
pytestmark = pytest.mark.peers

Call = tuple[Any, ...]
CASES: dict[str, Callable[[], tuple[Any, ...]]] = {}


def case(make: Callable[[], tuple[Any, ...]]) -> Callable[[], tuple[Any, ...]]:
    """Register a case: a module, and arguments of two calls."""
    CASES[make.__name__] = make
    return make


# Recurrent modules ----------------------------------------------------------------------------------

RECURRENT = [
    (kind, layers, both, first, options)
    for kind in ("RNN", "LSTM", "GRU")
    for layers, both, first, options in (
        (1, False, True, {}),
        (2, False, False, {"bias": False}),
        (1, True, True, {}),
        (3, True, False, {"dropout": 0.3}),
    )
]


@pytest.mark.parametrize(("kind", "layers", "both", "first", "options"), RECURRENT)
@pytest.mark.parametrize("has_states", [False, True], ids=["zeros", "states"])
def test_recurrent(kind: str, layers: int, both: bool, first: bool, options: dict[str, Any], has_states: bool) -> None:
    torch.manual_seed(layers)
    net_module = getattr(nn, kind)(3, 5, layers, bidirectional=both, batch_first=first, **options).eval()

    def call(batch: int, time: int) -> Call:
        x = normal(batch, time, 3) if first else normal(time, batch, 3)
        states = [normal(layers * (2 if both else 1), batch, 5) for _ in range(2 if kind == "LSTM" else 1)]
        return (x, tuple(states) if kind == "LSTM" else states[0]) if has_states else (x,)

    net = check(net_module, call(2, 4), call(3, 7), call(1, 1))
    assert [dim for dim in net.inputs["input"].shape if isinstance(dim, str)] == (["B", "T"] if first else ["T", "B"])


@pytest.mark.parametrize("options", [{}, {"bidirectional": True, "num_layers": 2}], ids=["one", "stack"])
@pytest.mark.filterwarnings("ignore:LSTM with projections")
def test_projections(options: dict[str, Any]) -> None:
    net_module = nn.LSTM(3, 5, proj_size=2, **options).eval()
    count = 4 if options else 1
    check(net_module, (normal(4, 2, 3),), (normal(7, 1, 3),))
    check(
        net_module,
        (normal(4, 2, 3), (normal(count, 2, 2), normal(count, 2, 5))),
        (normal(7, 3, 3), (normal(count, 3, 2), normal(count, 3, 5))),
    )


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_without_a_batch(kind: str) -> None:
    net_module = getattr(nn, kind)(3, 5, 2, bidirectional=True).eval()
    states = normal(4, 5) if kind != "LSTM" else (normal(4, 5), normal(4, 5))
    check(net_module, (normal(4, 3),), (normal(7, 3),))
    check(net_module, (normal(4, 3), states), (normal(7, 3), states))


def test_relu_and_float64() -> None:
    check(nn.RNN(3, 5, nonlinearity="relu").eval(), (normal(4, 2, 3),), (normal(7, 1, 3),))
    check(nn.LSTM(3, 5).double().eval(), (normal(4, 2, 3).double(),), (normal(7, 1, 3).double(),), tolerance=1e-12)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_one_step(kind: str) -> None:
    cell = getattr(nn, f"{kind}Cell")(3, 5)

    def step(m: Any, x: Any, *states: Any) -> Any:
        return m[0](x, states if len(states) > 1 else states[0])

    count = 2 if kind == "LSTM" else 1
    calls = [(normal(rows, 3), *(normal(rows, 5) for _ in range(count))) for rows in (2, 7)]
    check(module(step, cell), *calls)
    check(module(lambda m, x: m[0](x), cell), (normal(2, 3),), (normal(1, 3),))


def test_a_training_graph_drops_between_layers() -> None:
    net = rg.read_torch(nn.GRU(3, 5, 3, dropout=0.4).eval(), (normal(4, 2, 3),))
    program = net.program()
    assert net.script().count("output_keep_prob=0.6") == 2
    masks = program.training.dropout_masks(input=np.zeros((4, 2, 3)), seed=1)
    assert len(masks) == 2


# Packed sequences -----------------------------------------------------------------------------------


@pytest.mark.parametrize("is_sorted", [False, True])
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("both", [False, True])
def test_packed(is_sorted: bool, first: bool, both: bool) -> None:
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    def run(m: Any, x: Any, lengths: Any) -> Any:
        packed = pack_padded_sequence(x, lengths.cpu(), batch_first=first, enforce_sorted=is_sorted)
        outputs, (h, c) = m[0](packed)
        padded, counts = pad_packed_sequence(outputs, batch_first=first, padding_value=-1.0)
        return padded, counts, h, c

    def call(*lengths: int) -> Call:
        counts = torch.tensor(sorted(lengths, reverse=True) if is_sorted else lengths)
        x = normal(len(lengths), max(lengths), 3)
        return (x if first else x.transpose(0, 1).contiguous()), counts

    check(module(run, nn.LSTM(3, 5, 2, bidirectional=both)), call(2, 6, 4), call(9, 1))


def test_packed_steps_through_other_layers() -> None:
    from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

    def run(m: Any, x: Any, lengths: Any) -> Any:
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        outputs, _ = m[0](packed)
        after = PackedSequence(
            torch.relu(m[1](outputs.data)), outputs.batch_sizes, outputs.sorted_indices, outputs.unsorted_indices
        )
        return pad_packed_sequence(m[2](after)[0], batch_first=True, total_length=x.size(1))[0]

    rows = module(run, nn.GRU(3, 5), nn.Linear(5, 4), nn.GRU(4, 2))
    check(rows, (normal(3, 6, 3), torch.tensor([2, 6, 4])), (normal(2, 9, 3), torch.tensor([7, 1])))


# Layers ---------------------------------------------------------------------------------------------


@case
def convolutions() -> tuple[Any, ...]:
    net_module = nn.Sequential(
        nn.Conv1d(3, 6, 5, stride=2, padding=2),
        nn.BatchNorm1d(6),
        nn.ReLU(),
        nn.Conv1d(6, 6, 3, padding="same", dilation=2, groups=2),
        nn.ELU(),
        nn.MaxPool1d(2),
        nn.Conv1d(6, 4, 3, padding=1, padding_mode="reflect"),
        nn.Conv1d(4, 4, 4, padding=2, padding_mode="replicate"),
        nn.Conv1d(4, 8, 2, groups=4, bias=False),
    )
    net_module[1].running_mean.normal_()
    net_module[1].running_var.uniform_(0.5, 2)
    return net_module.eval(), (normal(2, 3, 25),), (normal(3, 3, 63),)


@case
def transposed_convolutions() -> tuple[Any, ...]:
    net_module = nn.Sequential(
        nn.ConvTranspose1d(3, 6, 4, stride=2, padding=1),
        nn.ConvTranspose1d(6, 2, 3, stride=3, output_padding=1),
        nn.ConvTranspose1d(2, 2, 3, dilation=2, bias=False),
    )
    return net_module.eval(), (normal(2, 3, 7),), (normal(1, 3, 17),)


@case
def pools() -> tuple[Any, ...]:
    net_module = nn.Sequential(nn.AvgPool1d(3, 2, 1), nn.MaxPool1d(3, 1, 1), nn.AdaptiveAvgPool1d(1), nn.Flatten())
    return net_module.eval(), (normal(2, 3, 20),), (normal(3, 3, 31),)


@case
def normalizations() -> tuple[Any, ...]:
    net_module = nn.Sequential(
        nn.GroupNorm(2, 6), nn.InstanceNorm1d(6, affine=True), nn.Conv1d(6, 6, 1), nn.GroupNorm(3, 6)
    )
    return net_module.eval(), (normal(4, 6, 9),), (normal(1, 6, 12),)


@case
def flat_normalizations() -> tuple[Any, ...]:
    net_module = nn.Sequential(
        nn.LayerNorm(6),
        nn.Linear(6, 3, bias=False),
        nn.BatchNorm1d(3, affine=False),
        nn.LayerNorm(3, elementwise_affine=False),
    )
    net_module[2].running_mean.normal_()
    return net_module.eval(), (normal(4, 6),), (normal(1, 6),)


@case
def activations() -> tuple[Any, ...]:
    net_module = nn.Sequential(
        nn.Tanh(),
        nn.LeakyReLU(),
        nn.SiLU(),
        nn.GELU(),
        nn.GELU("tanh"),
        nn.Hardswish(),
        nn.Softplus(),
        nn.Softplus(2.0),
        nn.Mish(),
        nn.ELU(0.5),
        nn.CELU(2.0),
        nn.SELU(),
        nn.Softsign(),
        nn.LogSigmoid(),
        nn.ReLU6(),
        nn.Hardtanh(-2, 3),
        nn.PReLU(),
        nn.PReLU(6),
        nn.Tanhshrink(),
        nn.Threshold(-0.5, 0.1),
        nn.Hardsigmoid(),
        nn.Softmax(-1),
        nn.LogSoftmax(1),
        nn.Dropout(0.3),
        nn.Identity(),
        nn.Sigmoid(),
        nn.ReLU(inplace=True),
    )
    return net_module.eval(), (normal(4, 6),), (normal(1, 6),)


@case
def attention() -> tuple[Any, ...]:
    def run(m: Any, x: Any, y: Any, padding: Any) -> Any:
        crossed = m[0](x, y, y, key_padding_mask=padding)
        return *crossed, m[1](x.transpose(0, 1), x.transpose(0, 1), x.transpose(0, 1), need_weights=False)[0]

    net_module = module(run, nn.MultiheadAttention(8, 2, batch_first=True), nn.MultiheadAttention(8, 4, bias=False))
    return (
        net_module,
        (normal(2, 4, 8), normal(2, 5, 8), whole(2, 2, 5).bool() & (torch.arange(5) > 0)),
        (normal(3, 7, 8), normal(3, 2, 8), torch.tensor([[False, True]] * 3)),
    )


@case
def scaled_products() -> tuple[Any, ...]:
    def run(m: Any, q: Any, k: Any, v: Any) -> Any:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True), F.scaled_dot_product_attention(q, k, v)

    return module(run), *(
        [normal(b, h, t, 8), normal(b, h, t, 8), normal(b, h, t, 6)] for b, h, t in ((2, 3, 4), (1, 3, 7))
    )


@case
def transformer_layer() -> tuple[Any, ...]:
    net_module = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2, enable_nested_tensor=False
    )
    return net_module.eval(), (normal(2, 4, 8),), (normal(3, 7, 8),)


@case
def weights_that_are_computed() -> tuple[Any, ...]:
    from torch.nn.utils import weight_norm as old_weight_norm
    from torch.nn.utils.parametrizations import spectral_norm, weight_norm

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        last = old_weight_norm(nn.Conv1d(4, 2, 1))
    net_module = nn.Sequential(weight_norm(nn.Conv1d(3, 4, 3)), spectral_norm(nn.Conv1d(4, 4, 1)), last)
    return net_module.eval(), (normal(2, 3, 9),), (normal(1, 3, 5),)


@case
def weights_that_are_shared() -> tuple[Any, ...]:
    def run(m: Any, ids: Any) -> Any:
        h, _ = m[1](m[0](ids))
        h, _ = m[1](h)
        return F.linear(h, m[0].weight), m[2](m[2](h))

    return module(run, nn.Embedding(6, 4), nn.GRU(4, 4), nn.Linear(4, 4)), (whole(6, 3, 6),), (whole(6, 2, 4),)


class Own(nn.Module):  # type: ignore[misc, name-defined]
    """Module that uses parameters and buffers directly."""

    def __init__(self) -> None:
        super().__init__()
        self.h0, self.scale, self.gain = (nn.Parameter(normal(*shape)) for shape in ((2, 1, 5), (5,), (1,)))
        self.gru = nn.GRU(3, 5, 2, batch_first=True)
        self.register_buffer("pe", normal(1, 50, 5))

    def forward(self, x: Any) -> Any:
        outputs, h = self.gru(x, self.h0.expand(-1, x.size(0), -1).contiguous())
        outputs = outputs * torch.exp(self.scale) + self.pe[:, : x.size(1)]
        return {"out": outputs, "last": h[-1] * self.gain, "mean": outputs.mean(dim=1)}


@case
def parameters_of_its_own() -> tuple[Any, ...]:
    return Own().eval(), (normal(3, 6, 3),), (normal(2, 9, 3),)


# Functions ------------------------------------------------------------------------------------------


@case
def slices() -> tuple[Any, ...]:
    def run(m: Any, x: Any) -> Any:
        half = x.size(1) // 2
        return (
            x[:, ::2],
            x[:, 1:-1],
            x[:, -3:],
            x.flip(1),
            x[..., 1],
            x[:, None, :, :2],
            x.chunk(3, -1)[1],
            x[:, :half],
            x.split([1, 4, 1], 2)[1],
            x.narrow(1, 1, 2),
            x.select(2, -1),
            torch.roll(x, 1, 1),
            x[:, [0, 2]],
            x.index_select(2, torch.tensor([0, 3])),
            x[-1],
            x[:, x.size(1) - 2],
        )

    return module(run), (normal(3, 6, 6),), (normal(2, 9, 6),)


@case
def reductions() -> tuple[Any, ...]:
    def run(m: Any, x: Any) -> Any:
        return (
            x.sum(1),
            x.mean((0, 1)),
            x.max(1)[0],
            x.min(2).values,
            x.argmax(-1),
            x.norm(dim=-1),
            x.std(2),
            x.std(1),
            x.var(1, unbiased=False),
            torch.logsumexp(x, 1),
            x.amax(1),
            (x > 0).any(1),
            (x > 0).all(2),
            *x.topk(2),
            x.cumsum(1),
            x.sum(),
            x.max(),
            F.normalize(x, dim=-1),
            x.sum(1) / x.size(1),
            x.argmin(1),
            x.diff(dim=1),
            F.softmax(x, 1),
            F.cosine_similarity(x, x + 1, dim=-1),
            torch.linalg.norm(x, dim=1),
        )

    return module(run), (normal(3, 6, 6),), (normal(2, 9, 6),)


@case
def elements() -> tuple[Any, ...]:
    def run(m: Any, x: Any, y: Any) -> Any:
        z = x.clone()
        z *= 2
        z.add_(y)
        return (
            x + y,
            x - 2 * y,
            x / (y.abs() + 1),
            x**2,
            x.pow(3),
            -x,
            x.clamp(-1, 1),
            x.clamp(min=0),
            torch.where(x > 0, x, y),
            (x > y) & (x > 0),
            x.masked_fill(y > 0, -1.0),
            torch.maximum(x, y),
            1 - x,
            1 / (x.abs() + 1),
            x.exp().log1p(),
            x.sign(),
            x.abs().sqrt(),
            torch.rsqrt(x.abs() + 1),
            (x > 0).float(),
            x.long().float(),
            torch.lerp(x, y, 0.3),
            torch.addcmul(x, x, y, value=0.5),
            F.glu(x),
            torch.atan(x),
            torch.erf(x),
            x.sin() * x.cos(),
            z,
            x.eq(y),
            x <= y,
            (x * 3).long() // 2,
            torch.logical_not(x > 0),
            x.float().double(),
        )

    return module(run), (normal(3, 5, 6), normal(3, 5, 6)), (normal(2, 9, 6), normal(2, 9, 6))


@case
def shapes() -> tuple[Any, ...]:
    def run(m: Any, x: Any) -> Any:
        batch, time, width = x.size()
        return (
            x.view(batch, time, 2, 3).permute(0, 2, 1, 3).reshape(batch * 2, time, 3),
            x.transpose(1, 2),
            x.flatten(0, 1),
            torch.stack([x, x * 2], 1),
            torch.cat([x, torch.zeros(batch, time, 2)], -1),
            F.pad(x, (1, 2)),
            x.repeat(1, 2, 1),
            F.pad(x, (0, 0, 1, 0)),
            x.unsqueeze(1).expand(batch, 4, time, width),
            F.one_hot(x.argmax(-1), 6).float(),
            x.unflatten(2, (2, 3)),
            torch.cat([torch.zeros_like(x[:, :1]), x[:, :-1]], 1),
            torch.ones(batch, time) * x[..., 0],
            x.repeat_interleave(2, dim=1),
            x.new_full((batch, 3), 2.5) + x[:, 0, :3],
            F.pad(x, (0, 0, 2, 1), value=3.0),
            torch.arange(time),
            x.transpose(0, 1).contiguous().view(time, -1),
        )

    return module(run), (normal(3, 5, 6),), (normal(2, 9, 6),)


@case
def products() -> tuple[Any, ...]:
    def run(m: Any, x: Any, y: Any) -> Any:
        return (
            torch.einsum("btc,bsc->bts", x, y),
            torch.einsum("btc,btd->bcd", x, x),
            x @ y.transpose(1, 2),
            torch.einsum("bij,jk->bik", x, m[0].weight),
            torch.bmm(x, y.permute(0, 2, 1)),
            torch.einsum("btc->bc", x),
            torch.einsum("bi,bj->bij", x[:, 0], y[:, 0]),
            torch.matmul(x, m[0].weight[:, 0]),
        )

    return module(run, nn.Linear(5, 6)), (normal(3, 5, 6), normal(3, 4, 6)), (normal(2, 9, 6), normal(2, 3, 6))


@case
def masks_of_lengths() -> tuple[Any, ...]:
    def run(m: Any, x: Any, lengths: Any) -> Any:
        mask = torch.arange(x.size(1), device=x.device)[None, :] < lengths[:, None]
        outputs, _ = m[0](x)
        scores = m[1](torch.tanh(outputs)).squeeze(-1).masked_fill(~mask, float("-inf"))
        context = torch.bmm(torch.softmax(scores, 1).unsqueeze(1), outputs).squeeze(1)
        return context, (outputs * mask.unsqueeze(-1)).sum(1) / lengths.unsqueeze(1)

    net_module = module(run, nn.GRU(3, 5, batch_first=True), nn.Linear(5, 1))
    return net_module, (normal(3, 6, 3), torch.tensor([2, 6, 4])), (normal(2, 9, 3), torch.tensor([9, 1]))


@case
def triangles() -> tuple[Any, ...]:
    def run(m: Any, x: Any) -> Any:
        time, scores = x.size(1), x @ x.transpose(1, 2)
        above = torch.triu(torch.ones(time, time), diagonal=1).bool()
        return scores.masked_fill(above, float("-inf")).softmax(-1) @ x, scores.masked_fill(
            torch.tril(torch.ones(time, time)) == 0, -1e4
        )

    return module(run), (normal(2, 5, 3),), (normal(3, 8, 3),)


@case
def choices_by_index() -> tuple[Any, ...]:
    def run(m: Any, x: Any, ids: Any) -> Any:
        return m[0](ids), x.gather(2, ids.unsqueeze(-1)), F.embedding(ids, m[0].weight)

    return module(run, nn.Embedding(6, 4)), (normal(3, 5, 6), whole(6, 3, 5)), (normal(2, 9, 6), whole(6, 2, 9))


@pytest.mark.parametrize("name", CASES)
def test_against_torch(name: str) -> None:
    torch.manual_seed(0)
    check(*CASES[name]())


# What a reader sees ---------------------------------------------------------------------------------


def test_a_saved_net_is_a_module_with_the_program(tmp_path: Any) -> None:
    check(nn.Sequential(nn.Linear(3, 4), nn.Tanh()).eval(), (normal(2, 3),), (normal(5, 3),), folder=tmp_path)


def test_arrays_are_copies() -> None:
    linear = nn.Linear(3, 2).eval()
    net = rg.read_torch(linear, normal(4, 3))
    before = net.parameters["dense/kernel"].copy()
    with torch.no_grad():
        linear.weight.zero_()
    assert np.array_equal(net.parameters["dense/kernel"], before)


def test_names_of_inputs_and_outputs() -> None:
    def run(m: Any, x: Any, states: Any) -> Any:
        return {"a": x + states["h"], "b": (states["h"], [x])}

    net = rg.read_torch(module(run), (normal(2, 3), {"h": normal(2, 3)}))
    assert [*net.inputs] == ["inputs_0", "inputs_1_h"]
    assert [*net.outputs] == ["a", "b_0", "b_1_0"]
    by_name = rg.read_torch(nn.GRU(3, 4).eval(), {"input": normal(5, 2, 3), "hx": normal(1, 2, 4)})
    assert [*by_name.inputs] == ["input", "hx"]
    assert [*by_name.outputs] == ["y_0", "y_1"]


def test_gradients_agree_with_torch() -> None:
    torch.manual_seed(1)
    gru, head = nn.GRU(3, 5, 2, batch_first=True), nn.Linear(5, 2)
    net_module = module(lambda m, x: m[1](torch.tanh(m[0](x)[0])), gru, head)
    x, target = normal(2, 7, 3), normal(2, 7, 2)
    net = rg.read_torch(net_module, (x,))
    wanted = rg.placeholder("target", (None, None, 2))
    program = net.program(loss=rg.mean_squared_error(wanted, net.outputs["y"]))
    loss, gradients = program.training.gradients(inputs_0=x.numpy(), target=target.numpy(), seed=0)
    with torch.enable_grad():
        theirs = F.mse_loss(net_module(x), target)
        theirs.backward()
    np.testing.assert_allclose(loss, theirs.item(), rtol=1e-5)
    np.testing.assert_allclose(gradients["m/1/kernel"], head.weight.grad.numpy().T, atol=1e-6)
    np.testing.assert_allclose(gradients["m/1/bias"], head.bias.grad.numpy(), atol=1e-6)
    inner = gradients["m/0/multi_rnn_cell/cell_0/gru_cell/candidate/input_projection/kernel"]
    np.testing.assert_allclose(inner, gru.weight_ih_l0.grad.numpy()[10:].T, atol=1e-6)
    losses = [rg.Trainer(program, rg.Adam(1e-2)).step(inputs_0=x.numpy(), target=target.numpy()) for _ in range(2)]
    assert np.isfinite(losses).all()


class _Detached(nn.Module):  # type: ignore[misc, name-defined]
    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(5, 3, padding_idx=-4, **options), nn.Linear(3, 2)

    def forward(self, ids: Any) -> Any:
        rows = self.table(ids)
        return self.head(rows * rows.detach() + rows.data)


def test_no_gradient_passes_through_detach_and_the_row_of_padding() -> None:
    torch.manual_seed(2)
    net_module, ids = _Detached().eval(), torch.tensor([[0, 1, 1], [2, 1, 4]])
    net = rg.read_torch(net_module, (ids,))
    program = net.program()
    feeds, factors = {"ids": ids.numpy()}, {"y": np.ones((2, 3, 2), "float32")}
    gradients = program.training.gradients(feeds, output_gradients=factors)[1]
    with torch.enable_grad():
        net_module(ids).sum().backward()
    assert not net_module.table.weight.grad[1].any()
    np.testing.assert_allclose(gradients["table/table"], net_module.table.weight.grad.numpy(), rtol=1e-6)
    assert "select" not in {node.op for node in program.inference.graph.nodes}


def test_a_gradient_that_is_shared_among_rows_is_a_warning_with_the_modules_line() -> None:
    with pytest.warns(UserWarning, match="scale_grad_by_freq=True divides") as caught:
        rg.read_torch(_Detached(scale_grad_by_freq=True).eval(), (torch.zeros(2, 3, dtype=torch.long),))
    lines = [(item.filename, item.lineno) for item in caught]
    assert lines == [(__file__, _Detached.forward.__code__.co_firstlineno + 1)]
