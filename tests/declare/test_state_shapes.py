"""States of any shape and dtype: values, gradients, streams, pools, exports, saved programs, and errors."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import rnngraph as rg
from rnngraph.declare.carried import unrounded
from rnngraph.storage.checkpoint_file import unpacked

BATCH, STEPS, WIDTH = 3, 7, 5


class Mixed(rg.Cell):
    """Cell with a matrix, a counter, bools and a bfloat16 state."""

    output_size = 6  # type: ignore[assignment]

    def state(self) -> Any:
        return {
            "S": rg.memory((2, 3, 4)),
            "count": rg.state((), dtype="int64"),
            "seen": rg.state(WIDTH, dtype="bool"),
            "b": rg.state((2, 3), dtype="bfloat16"),
        }

    def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        q, k = (rg.reshape(part, (None, 2, 3, 1)) for part in rg.split(x @ p.kernel("w", (x.width, 12)), 2))
        S = 0.9 * state["S"] + k * rg.reshape(x[:, :4], (None, 1, 1, 4))
        y = rg.reduce_sum(q * S, 3)
        b = rg.tanh(0.5 * state["b"] + y)
        count = state["count"] + 1
        output = rg.reshape(b + y, (None, 6)) * rg.expand_dims(rg.cast(count, "float32"), 1)
        return output, {"S": S, "count": count, "seen": rg.logical_or(state["seen"], x[:, :5] > 1), "b": b}


def rounded(x: np.ndarray) -> np.ndarray:
    """Round to the nearest bfloat16, ties to even."""
    bits = x.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)


def expected(x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return outputs of one row [time, features] and its final state, in float64."""
    S, b, outputs = np.zeros((2, 3, 4)), np.zeros((2, 3)), []
    for number, now in enumerate(x.astype(np.float64), 1):
        q, k = (part.reshape(2, 3, 1) for part in np.split(now @ w, 2))
        S = 0.9 * S + k * now[:4]
        y = (q * S).sum(2)
        after = np.tanh(0.5 * b + y)
        outputs.append((after + y).reshape(6) * number)
        b = rounded(after)
    return np.array(outputs), {"S": S, "b": b, "count": np.int64(len(x)), "seen": (x > 1).any(0)}


def program(wrap: Callable[[rg.Cell], rg.Cell] = lambda cell: cell) -> rg.Program:
    x = rg.placeholder("x", shape=(None, None, WIDTH))
    outputs, state = rg.dynamic_rnn(wrap(Mixed()), x)
    return rg.compile({"y": outputs, "state": state}, loss=rg.reduce_mean(rg.square(outputs)))


def feeds() -> np.ndarray:
    return np.random.default_rng(3).standard_normal((BATCH, STEPS, WIDTH)).astype("float32")


def test_values_and_dtypes_are_those_of_the_equations() -> None:
    x = rg.placeholder("x", shape=(None, None, WIDTH))
    lengths = rg.placeholder("lengths", shape=(None,), dtype="int64")
    outputs, state = rg.dynamic_rnn(Mixed(), x, sequence_length=lengths)
    compiled = rg.compile({"y": outputs, "state": state})
    fed, w = feeds(), np.asarray(compiled.parameters["rnn/mixed/w"], np.float64)
    result = compiled.inference(x=fed, lengths=[7, 4, 0])
    kinds = {name: (array.shape, array.dtype.name) for name, array in result["state"]._asdict().items()}
    assert kinds == {
        "S": ((3, 2, 3, 4), "float32"),
        "count": ((3,), "int64"),
        "seen": ((3, 5), "bool"),
        "b": ((3, 2, 3), "float32"),
    }
    for row, length in enumerate([7, 4, 0]):
        y, after = expected(fed[row, :length], w)
        assert_allclose(result["y"][row, :length], y.reshape(length, 6), rtol=2e-5, atol=2e-6)
        assert not result["y"][row, length:].any()
        for name, value in after.items():
            assert_allclose(getattr(result["state"], name)[row], value, rtol=2e-5, atol=2e-6)
    assert_array_equal(result["state"].b, rounded(result["state"].b))


@pytest.mark.slow
def test_streams_and_pools_have_the_bits_of_the_whole() -> None:
    compiled, fed = program(), feeds()
    whole = compiled.inference(x=fed)
    stream = compiled.inference.stream(batch=BATCH)
    outputs = [stream.step(x=fed[:, step])["y"] for step in range(3)]
    other = compiled.inference.stream(batch=BATCH)
    other.load_state_bytes(stream.state_bytes())
    outputs += [*other.process(x=fed[:, 3:])["y"].swapaxes(0, 1)]
    assert_array_equal(np.stack(outputs, 1), whole["y"])
    for mine, wanted in zip(other.state, whole["state"], strict=True):
        assert_array_equal(mine, wanted, strict=True)
    stream.state = whole["state"]
    assert_array_equal(stream.state.S, whole["state"].S)
    pool = compiled.inference.streams(2)
    handles = [pool.open() for _ in range(BATCH)]
    for step in range(STEPS):
        assert_array_equal(pool.step_rows(handles, x=fed[:, step])["y"], whole["y"][:, step])


@pytest.mark.slow
def test_narrow_states_are_stored_in_16_bits(tmp_path: Path) -> None:
    """Loops, streams, pools, files and exports store 16 bits. Callers read and feed float32."""
    compiled, fed = program(), feeds()
    whole = compiled.inference(x=fed)["state"]
    assert "carry b = cast : bf16[B,2,3]" in str(compiled.inference.show("narrow_loops"))
    stream = compiled.inference.stream(batch=BATCH)
    stream.process(x=fed)
    arrays, _ = unpacked(stream.state_bytes(), "stream's state", "a state")
    assert_array_equal(arrays["state/0/b"], (whole.b.view(np.uint32) >> 16).astype(np.uint16), strict=True)
    stream.state = whole._replace(b=np.full((BATCH, 2, 3), 0.7))
    assert_array_equal(stream.state.b, np.full((BATCH, 2, 3), 0.69921875, np.float32), strict=True)
    stream.save(tmp_path / "saved")
    assert_array_equal(compiled.inference.stream(state=tmp_path / "saved").state.b, stream.state.b)
    pool = compiled.inference.streams(2)
    pool.step_rows([pool.open()], x=fed[:1, 0])
    (table,) = pool._tables.values()
    assert {name: array.dtype.name for name, array in table._tables.items()}["state/0/b"] == "uint16"
    if shutil.which("cc"):
        compiled.inference.export(tmp_path, "net", batch=BATCH)
        sys.path.insert(0, str(tmp_path))
        net = importlib.import_module("net").Model()
        sys.path.remove(str(tmp_path))
        net.state = {f"state/0/{name}": array for name, array in stream.state._asdict().items()}
        assert_array_equal(net.state["state/0/b"], stream.state.b, strict=True)
        assert_array_equal(net.step(x=fed[:, 0])["y"], stream.step(x=fed[:, 0])["y"])


@pytest.mark.slow
def test_a_narrow_state_that_streams_keep_by_name(tmp_path: Path) -> None:
    class Matrix(rg.Cell):
        output_size = 4  # type: ignore[assignment]

        def state(self) -> Any:
            return {"S": rg.state((3, 4), dtype="bfloat16")}

        def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
            S = rg.tanh(0.7 * state["S"] + rg.reshape(x @ p.kernel("w", (WIDTH, 12)), (None, 3, 4)))
            return rg.reduce_sum(S, 1), {"S": S}

    x, before = rg.placeholder("x", shape=(None, None, WIDTH)), rg.placeholder("before", (None, 3, 4))
    outputs, after = rg.dynamic_rnn(Matrix(), x, initial_state=before)
    compiled, fed = rg.compile({"y": outputs, "after": after}, states={"after": "before"}), feeds()
    whole = compiled.inference(x=fed, before=np.zeros((BATCH, 3, 4)))
    stream = compiled.inference.stream(batch=BATCH)
    assert_array_equal(stream.process(x=fed)["y"], whole["y"])
    assert_array_equal(stream.state["before"], whole["after"], strict=True)
    stream.state = stream.state
    assert_array_equal(stream.state["before"], whole["after"])
    if shutil.which("cc"):
        compiled.inference.export(tmp_path, "net", batch=2)
        subprocess.run(["cc", "net_test.c", "net.o", "-o", "test"], cwd=tmp_path, check=True)
        done = subprocess.run(["./test"], cwd=tmp_path, check=True, capture_output=True, text=True)
        assert done.stdout.strip() == "ok, largest difference 0"


def test_the_value_before_rounding_is_found_for_rounded_states_alone() -> None:
    ids, x = rg.placeholder("ids", (None,), "int64"), rg.placeholder("x", (None, 3))
    table = rg.parameter("table", (5, 3), np.zeros((5, 3), np.uint16), trainable=False, dtype="bfloat16")
    rows = rg.cast(rg.gather(table, ids), "float32")
    assert unrounded(rows.node) is rows.node
    assert unrounded(rg.reduce_precision(x).node) is x.node


@pytest.mark.slow
def test_a_narrow_state_is_written_as_onnx(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    compiled, fed = program(), feeds()
    rg.write_onnx(compiled, tmp_path / "net.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    wanted = compiled.inference(x=fed)["y"]
    assert_allclose(session.run(["y"], {"x": fed})[0], wanted, rtol=2e-5, atol=2e-5)
    read = rg.read_onnx(tmp_path / "net.onnx").program().inference(x=fed)["y"]  # without rounding
    assert_allclose(read, wanted, atol=0.02 * abs(wanted).max())


@pytest.mark.slow
def test_gradients_pass_a_narrow_state_as_if_it_were_not_rounded() -> None:
    torch = pytest.importorskip("torch")
    compiled, fed = program(), feeds()
    _, gradients = compiled.training.gradients(x=fed)
    w = torch.tensor(np.asarray(compiled.parameters["rnn/mixed/w"]), dtype=torch.float64, requires_grad=True)
    S = torch.zeros(BATCH, 2, 3, 4, dtype=torch.float64)
    b, outputs = torch.zeros(BATCH, 2, 3, dtype=torch.float64), []
    for number, now in enumerate(torch.tensor(fed, dtype=torch.float64).unbind(1), 1):
        q, k = (part.reshape(BATCH, 2, 3, 1) for part in (now @ w).split(6, 1))
        S = 0.9 * S + k * now[:, None, None, :4]
        y = (q * S).sum(3)
        after = torch.tanh(0.5 * b + y)
        outputs.append((after + y).reshape(BATCH, 6) * number)
        b = after + (after.float().bfloat16().double() - after).detach()
    torch.stack(outputs, 1).square().mean().backward()
    wanted = w.grad.numpy()
    assert_allclose(gradients["rnn/mixed/w"], wanted, atol=2e-6 * abs(wanted).max())


@pytest.mark.slow
@pytest.mark.parametrize("unroll", [None, 2])
def test_gradients_of_narrow_states_whose_rows_end(unroll: int | None) -> None:
    """The derivative reads 16 bits of each step, and zeros past the end of a row."""
    x, lengths = rg.placeholder("x", shape=(None, None, WIDTH)), rg.placeholder("lengths", (None,), "int64")

    class Product(rg.Cell):
        output_size = 6  # type: ignore[assignment]

        def state(self) -> Any:
            return {"b": rg.state((2, 3), dtype="bfloat16")}

        def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
            drive = rg.reshape(x @ p.kernel("w", (x.width, 6)), (None, 2, 3))
            b = 0.5 * state["b"] + rg.tanh(drive + drive * state["b"])
            return rg.reshape(b, (None, 6)), {"b": b}

    cell = rg.DropoutWrapper(Product(), input_keep_prob=0.9, state_keep_prob=0.8)
    outputs, _ = rg.dynamic_rnn(cell, x, sequence_length=lengths)
    compiled = rg.compile(outputs, loss=rg.reduce_mean(rg.square(outputs)), unroll=unroll, seed=0)
    fed = feeds()
    saved = compiled.training.gradients(x=fed, lengths=[7, 4, 0], seed=3, wrt=["x"], recompute=None)
    recomputed = compiled.training.gradients(x=fed, lengths=[7, 4, 0], seed=3, wrt=["x"], recompute=2)
    assert_array_equal(recomputed[0], saved[0])
    for name, gradient in saved[1].items():
        assert_array_equal(recomputed[1][name], gradient)
    alone = compiled.training.gradients(x=fed[1:2, :4], lengths=[4], seed=3, first_row=1, wrt=["x"])[1]["x"]
    assert_allclose(saved[1]["x"][1, :4] * 21, alone[0] * 4, rtol=1e-4, atol=1e-7)
    assert not saved[1]["x"][1, 4:].any()


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")
def test_a_saved_program_and_an_exported_net(tmp_path: Path) -> None:
    compiled, fed = program(), feeds()
    compiled.save(tmp_path / "net.rnng")
    reloaded = rg.load(tmp_path / "net.rnng").inference(x=fed)
    for mine, wanted in zip(reloaded["state"], compiled.inference(x=fed)["state"], strict=True):
        assert_array_equal(mine, wanted, strict=True)
    compiled.inference.export(tmp_path, "net", batch=2)
    subprocess.run(["cc", "net_test.c", "net.o", "-o", "test"], cwd=tmp_path, check=True)
    done = subprocess.run(["./test"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "ok, largest difference 0"


@pytest.mark.slow
def test_wrappers_do_not_change_memories_and_states_that_are_not_float() -> None:
    def dropped(cell: rg.Cell) -> rg.Cell:
        return rg.DropoutWrapper(cell, state_keep_prob=0.5)

    def kept(cell: rg.Cell) -> rg.Cell:
        return rg.ZoneoutWrapper(cell, state_keep_prob=0.5)

    fed = feeds()
    whole = program().inference(x=fed)["state"]
    after = program(dropped).training(x=fed, seed=1)["state"]
    assert_array_equal(after.count, whole.count)
    assert_array_equal(after.S != 0, whole.S != 0)
    assert (after.b == 0).any()
    assert_array_equal(after.b, rounded(after.b))
    assert_array_equal(program(kept).training(x=fed, seed=1)["state"].count, whole.count)


class Given(rg.Cell):
    """Cell with the new state that a test chooses."""

    output_size = WIDTH  # type: ignore[assignment]

    def __init__(self, new: Callable[[Any], Any]) -> None:
        self.new = new

    def state(self) -> Any:
        return {"S": rg.state((2, 3)), "n": rg.state((), dtype="int32")}

    def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        return x, self.new(state)


@pytest.mark.parametrize(
    ("new", "message"),
    [
        (
            lambda s: {**s, "S": rg.transpose(s["S"], (0, 2, 1))},
            r"a state S \[batch, 2, 3\], not .*3,2\]>, made",
        ),
        (lambda s: {**s, "S": s["S"][:, 0]}, r"a state S \[batch, 2, 3\], not .*\?,3\]>"),
        (lambda s: {**s, "n": rg.cast(s["n"], "float32")}, r"a state n of int32, not .* with rg.cast"),
        (lambda s: {**s, "n": rg.expand_dims(s["n"], 1)}, r"a state n \[batch\], not .*1\]>, made"),
        (lambda s: {**s, "n": rg.reduce_max(s["n"])}, r"turns a state i32\[\?\] into .* i32\[\]>, made"),
        (lambda s: {**s, "n": 1}, r"the state n must be a Tensor \[batch, …\], not 1; compute it from"),
    ],
)
def test_a_step_that_changes_a_state_is_an_error_with_its_line(new: Callable[[Any], Any], message: str) -> None:
    x = rg.placeholder("x", shape=(None, None, WIDTH))
    with pytest.raises((rg.ShapeError, rg.DtypeError), match=message) as caught:
        rg.dynamic_rnn(Given(new), x)
    assert "test_state_shapes.py" in str(caught.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rg.state((2, 0)), "must be a positive int, not 0"),
        (lambda: rg.state((2, None)), "must be a positive int, not None"),
        (lambda: rg.state(2, dtype="float16"), "can't be 'float16'; use one of .*bfloat16"),
        (lambda: rg.joined(3, rg.state((2, 2))), r"state\(\(2, 2\)\) has its own shape or dtype"),
    ],
)
def test_wrong_states_are_errors(call: Callable[[], Any], message: str) -> None:
    with pytest.raises((rg.DtypeError, rg.StructureError), match=message):
        call()


def test_initial_states_of_any_shape() -> None:
    cell, x = Given(lambda s: s), rg.placeholder("x", shape=(None, None, WIDTH))
    begun = {"S": np.arange(6, dtype="float32").reshape(2, 3), "n": np.int32(4)}
    _, state = rg.dynamic_rnn(cell, x, initial_state=begun)
    result = rg.compile({"state": state}).inference(x=np.zeros((2, 1, WIDTH)))["state"]
    assert_array_equal(result.S, np.stack([begun["S"]] * 2), strict=True)
    assert_array_equal(result.n, np.array([4, 4], np.int32), strict=True)
    with pytest.raises(rg.ShapeError, match=r"give \[batch, 2, 3\] or \[2, 3\]"):
        rg.dynamic_rnn(cell, x, initial_state={**begun, "S": np.zeros((4, 6), "float32")})
    assert cell.zero_state(2).n.dtype == "int32"
    assert cell.state_size.n == rg.state((), dtype="int32")
    assert rg.state_placeholder("begun", cell).S.shape == (None, 2, 3)


@pytest.mark.parametrize(("rows", "steps"), [(0, 2), (2, 0)])
def test_calls_without_rows_or_steps(rows: int, steps: int) -> None:
    class Kept(rg.Cell):
        def state(self) -> Any:
            return {"S": rg.state((2, 2))}

        def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
            S = 0.5 * state["S"] + rg.reshape(x, (None, 2, 2))
            return S, {"S": S}

    x = rg.placeholder("x", shape=(None, None, 4))
    outputs, state = rg.dynamic_rnn(Kept(), x)
    result = rg.compile({"y": outputs, "state": state}).inference(x=np.ones((rows, steps, 4)))
    assert result["y"].shape == (rows, steps, 2, 2)
    assert_array_equal(result["state"], np.zeros((rows, 2, 2), np.float32))


class WithoutBatch(rg.Cell):
    """Cell whose output or next state has two rows for any batch."""

    def __init__(self, is_state: bool) -> None:
        self.is_state = is_state

    def state(self) -> Any:
        return {"h": 4}

    def step(self, p: Any, x: Any, state: Any) -> Any:
        fixed = p.parameter("fixed", (2, 4), "ones")
        return (x, {"h": fixed}) if self.is_state else (fixed, {"h": state["h"] + x})


@pytest.mark.parametrize("is_state", [False, True])
def test_a_result_without_the_batch_is_an_error_and_does_not_set_the_batch(is_state: bool) -> None:
    out, _ = rg.dynamic_rnn(WithoutBatch(is_state), rg.placeholder("x", (None, None, 4)))
    with pytest.raises(rg.ShapeError, match=r"f32\[2,4\], made at .*test_state_shapes.py:\d+, with 2 rows") as caught:
        rg.compile(out)
    assert "placeholder's batch as 2" in str(caught.value)
    out, _ = rg.dynamic_rnn(WithoutBatch(is_state), rg.placeholder("x", (2, None, 4)))
    assert rg.compile(out).inference(x=np.ones((2, 3, 4), np.float32)).shape == (2, 3, 4)
