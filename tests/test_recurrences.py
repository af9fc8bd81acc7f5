"""Current recurrences: built-in cells against torch, for whole inputs and for parts; stacked, streamed, exported."""

from __future__ import annotations

import importlib
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import thirteen_recurrences
from numpy.testing import assert_allclose, assert_array_equal
from recurrence_cells import CELLS, OF_PARTS, READY, D, H, Projections, V, W

import rnngraph as rg

BATCH, STEPS, WIDTH = 2, 9, 5


def activated(name: str, part: str, array: np.ndarray) -> np.ndarray:
    """Map normal numbers to a projection's range: decays below 0, rates in (0, 1), keys of length 1."""
    if part in ("g", "w"):
        return -np.log1p(np.exp(array))
    if part == "dt":
        return np.log1p(np.exp(array))
    if part in ("beta", "a") or (name, part) in (("MinGRU", "z"), ("MinLSTM", "f"), ("MinLSTM", "i")):
        return 1 / (1 + np.exp(-array))
    is_key = part == "kappa" or (part in "qk" and name in ("DeltaNet", "GDN"))
    return array / np.linalg.norm(array, axis=-1, keepdims=True) if is_key else array


def of_parts(name: str) -> tuple[rg.Program, dict[str, np.ndarray]]:
    cell, generator = CELLS[name](), np.random.default_rng(4)
    shapes = cell.parts()
    inputs = {key: rg.placeholder(key, shape=(None, None, *shape)) for key, shape in shapes.items()}
    outputs, state = rg.dynamic_rnn(cell, inputs)
    fed = {
        key: activated(name, key, generator.standard_normal((BATCH, STEPS, *shape))).astype("float32")
        for key, shape in shapes.items()
    }
    return rg.compile({"y": outputs, "state": state}, loss=rg.reduce_mean(rg.square(outputs)), seed=0), fed


def of_whole(name: str) -> tuple[rg.Program, dict[str, np.ndarray]]:
    x = rg.placeholder("x", (None, None, WIDTH))
    outputs, state = rg.dynamic_rnn(CELLS[name](), x)
    fed = {"x": np.random.default_rng(4).standard_normal((BATCH, STEPS, WIDTH)).astype("float32")}
    program = rg.compile({"y": outputs, "state": state}, loss=rg.reduce_mean(rg.square(outputs)), seed=0)
    generator = np.random.default_rng(5)
    for key, array in program.parameters.items():
        program.parameters[key] = array + 0.3 * generator.standard_normal(array.shape)
    return program, fed


def compare(name: str, program: rg.Program, fed: dict[str, np.ndarray], step: Any, torch: Any) -> None:
    """Compare outputs, the loss and all gradients with those of a step in torch in float64."""
    x = {key: torch.tensor(array, dtype=torch.float64, requires_grad=True) for key, array in fed.items()}
    prefix = len("rnn/") + len(next(iter(program.parameters), "rnn//").split("/")[1]) + 1
    parameters = {
        key[prefix:]: torch.tensor(np.asarray(array), dtype=torch.float64, requires_grad=True)
        for key, array in program.parameters.items()
    }
    result = program.inference(fed)
    leaves = result["state"] if isinstance(result["state"], tuple) else [result["state"]]
    states = [torch.zeros(array.shape, dtype=torch.float64) for array in leaves]
    outputs = []
    for now in range(STEPS):
        y, states = step([array[:, now] for array in x.values()], states, parameters)
        outputs.append(y.reshape(BATCH, -1))
    stacked = torch.stack(outputs, 1)
    stacked.square().mean().backward()
    wanted = stacked.detach().numpy()
    assert_allclose(result["y"], wanted, atol=5e-6 * abs(wanted).max())
    for leaf, state in zip(leaves, states, strict=True):
        assert_allclose(leaf, state.detach().numpy(), rtol=1e-4, atol=1e-5)
    loss, gradients = program.training.gradients(fed, wrt=[*fed])
    assert_allclose(loss, np.mean(wanted**2), rtol=1e-5)
    arrays = {key if key in x else key[prefix:]: array for key, array in gradients.items()}
    for key, tensor in {**x, **parameters}.items():
        wanted = np.zeros(tensor.shape) if tensor.grad is None else tensor.grad.numpy()
        assert_allclose(arrays[key], wanted, atol=3e-5 * max(abs(wanted).max(), 1e-2), err_msg=f"{name} {key}")


def check_parts(name: str) -> None:
    torch = pytest.importorskip("torch")
    step = getattr(Projections(torch), name)
    program, fed = of_parts(name)
    compare(name, program, fed, lambda parts, states, own: step(*parts, *states, **own), torch)


def check_whole(name: str) -> None:
    torch = pytest.importorskip("torch")
    peers = Projections(torch)
    program, fed = of_whole(name)
    compare(name, program, fed, lambda x, states, own: peers.of(name, *x, states, own), torch)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", OF_PARTS)
def test_recurrences_of_parts_are_those_of_torch(name: str) -> None:
    check_parts(name)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", READY)
def test_cells_are_those_of_torch(name: str) -> None:
    check_whole(name)


def test_a_gated_delta_net_is_that_of_numpy() -> None:
    program, fed = of_whole("GDN")
    kernel, bias, A_log = (
        np.float64(program.parameters[f"rnn/gated_delta_net_cell/{key}"]) for key in ("kernel", "gate/bias", "A_log")
    )
    S, wanted = np.zeros((BATCH, H, D, V)), []
    for now in range(STEPS):
        rows = fed["x"][:, now].astype("float64") @ kernel
        q, k = (part.reshape(BATCH, H, D) for part in (rows[:, :W], rows[:, W : 2 * W]))
        q, k = (part / np.linalg.norm(part, axis=2, keepdims=True) for part in (q, k))
        v, rate = rows[:, 2 * W : -2 * H].reshape(BATCH, H, V), 1 / (1 + np.exp(-rows[:, -2 * H : -H]))
        decay = np.exp(-np.exp(A_log) * np.log1p(np.exp(rows[:, -H:] + bias)))
        S = decay[..., None, None] * S
        S = S + np.einsum("bhk,bh,bhv->bhkv", k, rate, v - np.einsum("bhk,bhkv->bhv", k, S))
        wanted.append(np.einsum("bhk,bhkv->bhv", q, S).reshape(BATCH, -1))
    assert_allclose(program.inference(fed)["y"], np.stack(wanted, 1), atol=1e-6)


def test_the_first_step_of_exponential_gates_does_not_depend_on_their_size() -> None:
    for name, width in (("SLSTM", W), ("MLSTM", H)):
        program, fed = of_parts(name)
        first = {key: array[:, :1] for key, array in fed.items()}
        small = {**first, "i": first["i"] - 90}
        assert np.isfinite(program.inference(small)["y"]).all(), width
    cell = rg.SLSTMCell(H, D)
    inputs = {key: rg.placeholder(key, (None, None, H, D)) for key in "zifo"}
    program = rg.compile(rg.dynamic_rnn(cell, inputs)[0], seed=0)
    x = {key: np.full((1, 1, H, D), value, "float32") for key, value in zip("zifo", (0.5, -200, -1, 2), strict=True)}
    assert_allclose(program.inference(x), np.full((1, 1, W), np.tanh(0.5) / (1 + np.exp(-2))), rtol=1e-6)


def layered(name: str) -> tuple[rg.Tensor, rg.Tensor]:
    """Return a residual layer with dropout, and one with zoneout on top."""
    x = rg.placeholder("x", (None, None, CELLS[name]().output_size))
    drop = rg.DropoutWrapper(
        rg.ResidualWrapper(CELLS[name]()), output_keep_prob=0.8, state_keep_prob=0.9, variational_recurrent=True
    )
    zone = rg.ZoneoutWrapper(CELLS[name](), state_keep_prob=0.9)
    return x, rg.dynamic_rnn(rg.MultiRNNCell([drop, zone]), x)[0]


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", READY)
def test_cells_are_wrapped_stacked_trained_and_narrowed(name: str) -> None:
    x, y = layered(name)
    labels = rg.placeholder("labels", (None, None, y.width))
    loss = rg.mean_squared_error(labels=labels, predictions=y)
    program = rg.compile({"y": y}, loss=loss, seed=0)
    generator = np.random.default_rng(6)
    feeds = {
        "x": generator.standard_normal((BATCH, STEPS, x.width)).astype("float32"),
        "labels": 0.3 * generator.standard_normal((BATCH, STEPS, y.width)).astype("float32"),
    }
    trainer = rg.Trainer(program, rg.Adam(1e-2), clip_norm=1.0)
    losses = [trainer.step(feeds) for _ in range(40)]
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])
    whole, stream = program.inference(x=feeds["x"])["y"], program.inference.stream(batch=BATCH)
    for step in range(STEPS):
        assert_array_equal(stream.step(x=feeds["x"][:, step])["y"], whole[:, step])
    for kind, bound in (("bfloat16", 0.03), ("int8", 0.06)):
        matrices = [key for key, array in program.parameters.items() if array.ndim == 2]
        kinds = {key: rg.Narrow(kind, force=True) for key in matrices if not key.endswith(("A_log", "bias"))}
        if not kinds:  # weights in blocks for each head, which stay float32
            continue
        narrow = rg.compile({"y": y}, parameters=program.parameters, weights=kinds).inference(x=feeds["x"])["y"]
        assert 0 < abs(narrow - whole).max() < bound * abs(whole).max()


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", READY)
def test_cells_run_both_ways_over_rows_of_any_length(name: str) -> None:
    """In float64 on two threads, short rows have the bits of shorter calls, and gradients match differences."""
    x, lengths = rg.placeholder("x", (None, None, WIDTH), "float64"), rg.placeholder("lengths", (None,), "int64")
    both, _ = rg.bidirectional_dynamic_rnn(CELLS[name](), CELLS[name](), x, sequence_length=lengths)
    loss = rg.reduce_mean(rg.square(rg.concat(both, 2)))
    program = rg.compile(dict(zip(("fw", "bw"), both, strict=True)), loss=loss, seed=0, threads=2)
    fed, counts = np.random.default_rng(0).standard_normal((3, 6, WIDTH)), np.array([6, 3, 0])
    alone = program.inference(x=fed[1:2, :3], lengths=counts[1:2])
    for key, whole in program.inference(x=fed, lengths=counts).items():
        assert_array_equal(whole[1, :3], alone[key][0])
        assert not whole[1, 3:].any()
        assert not whole[2].any()
    _, gradients = program.training.gradients(x=fed, lengths=counts, wrt=["x"])
    step = np.zeros_like(fed)
    step[1, 1, 2] = 1e-6
    up, down = (program.training.gradients(x=fed + sign * step, lengths=counts)[0] for sign in (1, -1))
    assert_allclose(gradients["x"][1, 1, 2], (up - down) / 2e-6, rtol=1e-5, atol=1e-9)
    assert not gradients["x"][2].any()


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["SSD", "GLA", "DeltaNet", "GDN", "RWKV7", "MLSTM"])
def test_matrix_states_are_trained_in_chunks(name: str) -> None:
    x = rg.placeholder("x", (None, None, WIDTH))
    y, _ = rg.dynamic_rnn(CELLS[name](), x)
    by_steps, in_chunks = (
        rg.compile({"y": y}, loss=rg.reduce_mean(rg.square(y)), seed=0, chunked=chunked) for chunked in (None, 4)
    )
    fed = np.random.default_rng(7).standard_normal((BATCH, 11, WIDTH)).astype("float32")
    (loss, wanted), (same, gradients) = (program.training.gradients(x=fed) for program in (by_steps, in_chunks))
    assert_allclose(same, loss, rtol=1e-6)
    for key, gradient in wanted.items():
        assert_allclose(gradients[key], gradient, atol=1e-5 * max(abs(gradient).max(), 1e-3), err_msg=key)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", [*OF_PARTS, "LRU"])
def test_streams_and_exports(name: str, tmp_path: Path) -> None:
    program, fed = of_parts(name) if name in OF_PARTS else of_whole(name)
    whole, stream = program.inference(fed)["y"], program.inference.stream(batch=BATCH)
    for step in range(STEPS):
        assert_array_equal(stream.step({key: array[:, step] for key, array in fed.items()})["y"], whole[:, step])
    if shutil.which("cc"):
        program.inference.export(tmp_path, "net")
        subprocess.run(["cc", "net_test.c", "net.o", "-o", "test"], cwd=tmp_path, check=True)
        done = subprocess.run(["./test"], cwd=tmp_path, check=True, capture_output=True, text=True)
        assert done.stdout.strip() == "ok, largest difference 0"


def test_a_matrix_state_streams() -> None:
    program, fed = of_parts("GLA")
    stream = program.inference.stream(batch=BATCH)
    steps = [stream.step({key: array[:, step] for key, array in fed.items()})["y"] for step in range(STEPS)]
    assert_array_equal(np.stack(steps, 1), program.inference(fed)["y"])


@pytest.mark.parametrize(
    ("declare", "error", "text"),
    [
        (lambda x: rg.dynamic_rnn(rg.DeltaNetCell(H, D), {"q": x}), rg.StructureError, r"or q \[2, 4\], k .*has q"),
        (lambda x: rg.dynamic_rnn(rg.MinGRUCell(3), {"z": x, "c": x}), rg.ShapeError, r"reads z as \[batch, 3\]"),
        (lambda x: rg.SSDCell(4, 2, num_groups=3), rg.ArgumentError, "num_groups=3 must divide num_heads=4"),
        (lambda x: rg.RGLRUCell(4, 3), rg.ArgumentError, "num_heads=3 must divide num_units=4"),
        (lambda x: rg.LRUCell(4, r_min=1.0), rg.ArgumentError, "r_min=1.0 and r_max=1.0"),
        (lambda x: rg.MLSTMCell(2, 0), rg.ArgumentError, "head_dim must be positive"),
        (lambda x: rg.mamba2(x, head_dim=4), rg.ArgumentError, "head_dim=4 must divide the 10 channels"),
    ],
)
def test_errors_name_the_code_to_write(declare: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        declare(rg.placeholder("x", (None, None, WIDTH)))


def blocks_of_torch(torch: Any, x: Any, P: dict[str, Any], second: bool) -> Any:
    """Return the blocks of the papers' code, with recurrences step by step."""
    F, peers = torch.nn.functional, Projections(torch)
    width = x.shape[2]
    channels, states, heads, groups = 2 * width, 3, 3, 1
    rows = x @ P["in_proj/kernel"]
    if second:
        z, u, dt = rows.split([channels, channels + 2 * groups * states, heads], 2)
    else:
        u, z = rows.split(channels, 2)
    kernel = P["conv1d/kernel"][:, 0].T[:, None]
    u = F.conv1d(u.transpose(1, 2), kernel, P["conv1d/bias"], padding=kernel.shape[2] - 1, groups=u.shape[2])
    u = F.silu(u[:, :, : x.shape[1]].transpose(1, 2))
    own = {key.split("/", 1)[1]: value for key, value in P.items() if "_cell/" in key}
    outputs = []
    S = x.new_zeros((BATCH, heads, states, channels // heads) if second else (BATCH, channels, states))
    for now in range(x.shape[1]):
        if second:
            part, B, C = u[:, now].split([channels, states, states], 1)
            step = F.softplus(dt[:, now] + P["dt/bias"])
            parts = (part.reshape(BATCH, heads, -1), step, B[:, None], C[:, None])
            y, (S,) = peers.SSD(*parts, S, **own)
        else:
            B, C = (u[:, now] @ own["kernel"]).split(states, 1)
            step = F.softplus(u[:, now] @ own["dt/down"] @ own["dt/up"] + own["dt/bias"])
            y, (S,) = peers.S6(u[:, now], step, B, C, S, own["A_log"], own["D"])
        outputs.append(y.reshape(BATCH, channels))
    y = torch.stack(outputs, 1) * F.silu(z)
    if second:
        y = y * (y.square().mean(2, keepdim=True) + 1e-5).rsqrt() * P["norm/gamma"]
    return y @ P["out_proj/kernel"]


@pytest.mark.exhaustive
@pytest.mark.parametrize("second", [False, True])
def test_blocks_of_mamba_are_those_of_torch(second: bool) -> None:
    torch = pytest.importorskip("torch")
    x = rg.placeholder("x", (None, None, 6))
    y = rg.mamba2(x, head_dim=4, state_dim=3) if second else rg.mamba(x, state_dim=3)
    program = rg.compile({"y": y}, loss=rg.reduce_mean(rg.square(y)), seed=0)
    fed = np.random.default_rng(3).standard_normal((BATCH, STEPS, 6)).astype("float32")
    P = {
        key.split("/", 1)[1]: torch.tensor(np.asarray(array), dtype=torch.float64, requires_grad=True)
        for key, array in program.parameters.items()
    }
    wanted = blocks_of_torch(torch, torch.tensor(fed, dtype=torch.float64), P, second)
    wanted.square().mean().backward()
    wanted = wanted.detach()
    whole = program.inference(x=fed)["y"]
    assert_allclose(whole, wanted.numpy(), atol=2e-5 * float(wanted.abs().max()))
    _, gradients = program.training.gradients(x=fed)
    for key, tensor in P.items():
        scale = max(float(tensor.grad.abs().max()), 1e-2)
        name = f"{'mamba2' if second else 'mamba'}/{key}"
        assert_allclose(gradients[name], tensor.grad.numpy(), atol=5e-5 * scale, err_msg=key)
    stream = program.inference.stream(batch=BATCH)
    for now in range(STEPS):
        assert_array_equal(stream.step(x=fed[:, now])["y"], whole[:, now])


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", thirteen_recurrences.KINDS)
def test_thirteen_recurrences_in_few_lines(name: str, tmp_path: Path) -> None:
    """Results and gradients equal torch's in float64, streams have the bits of whole calls, and exports pass."""
    torch = pytest.importorskip("torch")
    peers = importlib.import_module("thirteen_in_torch")
    x = rg.placeholder("x", (None, None, sum(thirteen_recurrences.KINDS[name][0])))
    y = thirteen_recurrences.outputs_of(name, x)
    program = rg.compile({"y": y}, loss=rg.reduce_mean(rg.square(y)), seed=0)
    fed = np.random.default_rng(2).standard_normal((BATCH, STEPS, x.width)).astype("float32")
    leaf = torch.tensor(fed, dtype=torch.float64, requires_grad=True)
    arrays = {key.rpartition("/")[2]: np.float64(array) for key, array in program.parameters.items()}
    own = {key: torch.tensor(array, requires_grad=True) for key, array in arrays.items()}
    wanted = peers.outputs_of(name, leaf, own)
    wanted.square().mean().backward()
    whole, largest = program.inference(x=fed)["y"], float(wanted.detach().abs().max())
    assert_allclose(whole, wanted.detach().numpy(), atol=3e-6 * largest)
    _, gradients = program.training.gradients(x=fed, wrt=["x"])
    for key, gradient in gradients.items():
        tensor = leaf if key == "x" else own[key.rpartition("/")[2]]
        assert_allclose(gradient, tensor.grad.numpy(), atol=1e-5 * max(float(tensor.grad.abs().max()), 1e-2))
    stream = program.inference.stream(batch=BATCH)
    for now in range(STEPS):
        assert_array_equal(stream.step(x=fed[:, now])["y"], whole[:, now])
    if shutil.which("cc"):
        program.inference.export(tmp_path, "net")
        subprocess.run(["cc", "net_test.c", "net.o", "-o", "test"], cwd=tmp_path, check=True)
        done = subprocess.run(["./test"], cwd=tmp_path, check=True, capture_output=True, text=True)
        assert done.stdout.strip() == "ok, largest difference 0"
