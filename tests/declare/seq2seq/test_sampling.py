"""``rg.sample``: the distribution, equal draws in calls, streams, pools, threads and exports, and errors."""

from __future__ import annotations

import pickle
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import rnngraph as rg
from rnngraph.ir.numbers.random import random_key, random_uniform

CLASSES, BATCH, STEPS = 6, 3, 40
SHARES = np.array([0.4, 0.25, 0.15, 0.1, 0.06, 0.04])


class Drawn(rg.Cell):
    """Cell that draws from its input with several options."""

    def __init__(self, **ways: dict[str, Any]) -> None:
        self.ways = ways

    def state(self) -> Any:
        return {"last": rg.state((), dtype="int64")}

    def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[Any, Any]:
        drawn = {name: rg.sample(x, **options) for name, options in self.ways.items()}
        return drawn, {"last": next(iter(drawn.values()))}


def frequencies(**options: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return how often each class is drawn."""
    count = 20_000
    logits = rg.placeholder("logits", shape=(None, None, CLASSES))
    outputs, _ = rg.dynamic_rnn(Drawn(**options), logits)
    drawn = rg.compile(outputs).inference(logits=np.tile(np.log(SHARES), (1, count, 1)))
    return {name: np.bincount(array[0], minlength=CLASSES) / count for name, array in drawn.items()}


@pytest.mark.slow
def test_classes_are_drawn_as_often_as_they_are_probable() -> None:
    actual = frequencies(
        warm={"temperature": 0.7},
        three={"top_k": 3, "seed": 2},
        half={"top_p": 0.6, "seed": 3},
        best={"temperature": 0},
        both={"top_k": 4, "top_p": 0.7, "seed": 4},
    )
    warm = SHARES ** (1 / 0.7)
    expected = {
        "warm": warm,
        "three": SHARES * [1, 1, 1, 0, 0, 0],
        "half": SHARES * [1, 1, 0, 0, 0, 0],
        "best": [1, 0, 0, 0, 0, 0],
        "both": SHARES * [1, 1, 0, 0, 0, 0],
    }
    for name, weights in expected.items():
        assert_allclose(actual[name], weights / np.sum(weights), atol=0.012, err_msg=name)


@pytest.mark.slow
def test_thresholds_of_many_classes_are_those_of_sorted_ones() -> None:
    classes, count = 300, 2000
    logits = rg.placeholder("logits", shape=(None, None, classes))
    program = rg.compile({"k": rg.sample(logits, top_k=5), "p": rg.sample(logits, top_p=0.5)})
    values = 3 * np.random.default_rng(3).standard_normal(classes).astype("float32")
    drawn = program.inference(logits=np.tile(values, (1, count, 1)))
    order = np.argsort(-values)
    assert {*drawn["k"][0].tolist()} == {*order[:5].tolist()}
    shares = np.exp(values.astype(np.float64))
    num_kept = int(np.searchsorted(np.cumsum(shares[order]) / shares.sum(), 0.5)) + 1
    assert {*drawn["p"][0].tolist()} == {*order[:num_kept].tolist()}


def net() -> rg.Program:
    x = rg.placeholder("x", shape=(None, None, 4))
    h, _ = rg.dynamic_rnn(rg.GRUCell(5), x)
    logits = 3 * rg.dense(h, CLASSES)
    return rg.compile({"token": rg.sample(logits, temperature=0.8, top_k=4, seed=1), "logits": logits}, seed=0)


def fed() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((BATCH, STEPS, 4)).astype("float32")


def test_a_draw_depends_on_step_and_number_alone() -> None:
    program, x = net(), fed()
    zero = program.inference(x=x)
    scaled = zero["logits"].astype(np.float64) / np.float32(0.8)
    scaled[scaled < np.sort(scaled)[..., -4:-3]] = -np.inf
    key = random_key(np.int64(0), np.arange(STEPS)[:, None], np.int64(0), "sample", 1)
    noise = np.maximum(random_uniform(key, np.arange(CLASSES)), 2.0**-25).astype(np.float64)
    assert_array_equal(zero["token"], np.argmax(scaled - np.log(-np.log(noise)), -1))
    by_row = program.inference(x=x, number=[0, 1, 2])["token"]
    assert_array_equal(by_row[0], zero["token"][0])
    assert not np.array_equal(by_row[1], zero["token"][1])
    assert_array_equal(program.inference(x=x[2:], number=2)["token"][0], by_row[2])


@pytest.mark.slow
def test_streams_pools_chunks_and_threads_draw_the_same(tmp_path: Path) -> None:
    program, x, numbers = net(), fed(), [0, 7, 2]
    whole = program.inference(x=x, number=numbers)["token"]
    stream = program.inference.stream(batch=BATCH, number=numbers)
    drawn = [stream.step(x=x[:, step])["token"] for step in range(10)]
    other = program.inference.stream(batch=BATCH)
    other.load_state_bytes(stream.state_bytes())
    drawn += [*other.process(x=x[:, 10:25])["token"].T]
    unpickled = pickle.loads(pickle.dumps(other))
    drawn += [unpickled.step(x=x[:, step])["token"] for step in range(25, STEPS)]
    assert_array_equal(np.stack(drawn, 1), whole)
    other.reset(rows=[1])
    assert other.step(x=x[:, 0])["token"][1] == program.inference(x=x[1:2], number=0)["token"][0, 0]

    pool = program.inference.streams(2)
    first = pool.open(number=2)
    alone = [pool.step_rows([first], x=x[2:, step])["token"][0] for step in range(5)]
    second = pool.open(number=7)
    for step in range(5, 20):
        late, early = pool.step_rows([second, first], x=x[[1, 2], [step - 5, step]])["token"]
        alone.append(early)
        assert late == whole[1, step - 5]
    assert_array_equal(alone, whole[2, :20])

    program.save(tmp_path / "net.rnng")
    loaded = rg.load(tmp_path / "net.rnng", threads=2)
    assert_array_equal(loaded.inference(x=x, number=numbers)["token"], whole)
    assert_array_equal(program.predict({"x": x})["token"], program.inference(x=x)["token"])


class Fed(rg.Cell):
    """Cell that reads its own last draw."""

    def state(self) -> Any:
        return {"h": 4, "token": rg.state((), dtype="int64")}

    def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[Any, Any]:
        table = p.parameter("table", (CLASSES, 4), lambda shape, generator: generator.standard_normal(shape))
        h = rg.tanh(state["h"] @ p.kernel("u", (4, 4)) + rg.gather(table, state["token"]) + x)
        token = rg.sample(2 * h @ p.kernel("out", (4, CLASSES)))
        return token, {"h": h, "token": token}


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")
def test_cells_that_read_their_draws_and_exports(tmp_path: Path) -> None:
    x = rg.placeholder("x", shape=(None, None, 4))
    tokens, _ = rg.dynamic_rnn(Fed(), x)
    program, values = rg.compile({"token": tokens}), fed()
    whole = program.inference(x=values)["token"]
    stream = program.inference.stream(batch=BATCH)
    assert_array_equal(np.stack([stream.step(x=values[:, step])["token"] for step in range(STEPS)], 1), whole)
    for exported in (program, net()):
        for options in ({"rows": 3},) if exported is program else ({"batch": 2},):
            exported.inference.export(tmp_path, "net", **options)  # type: ignore[arg-type]
            subprocess.run(["cc", "net_test.c", "net.o", "-o", "test"], cwd=tmp_path, check=True)
            done = subprocess.run(["./test"], cwd=tmp_path, check=True, capture_output=True, text=True)
            assert done.stdout.strip() == "ok, largest difference 0"


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")
def test_nets_of_one_step_count_their_calls(tmp_path: Path) -> None:
    h, token = rg.placeholder("h", (None, 5)), rg.placeholder("token", (None,), dtype="int64")
    table = rg.parameter("table", (CLASSES, 5), lambda shape, generator: generator.standard_normal(shape))
    after = rg.tanh(rg.dense(rg.concat([h, rg.gather(table, token)]), 5))
    drawn = rg.sample(3 * rg.dense(after, CLASSES), seed=4)
    program = rg.compile({"drawn": drawn, "after": after, "last": drawn}, states={"after": "h", "last": "token"})
    stream = program.inference.stream(batch=2, number=[0, 3])
    steps = np.stack([stream.step()["drawn"] for _ in range(12)], 1)
    assert len({*steps[0].tolist()}) > 1
    pool = program.inference.streams(2)
    handle = pool.open(number=3)
    assert_array_equal([pool.step_rows([handle])["drawn"][0] for _ in range(12)], steps[1])
    other = program.inference.stream(batch=2, number=[0, 3])
    for _ in range(5):
        other.step()
    restored = program.inference.stream(batch=2)
    restored.load_state_bytes(other.state_bytes())
    assert_array_equal(restored.step()["drawn"], steps[:, 5])
    program.inference.export(tmp_path, "net")
    subprocess.run(["cc", "net_test.c", "net.o", "-o", "test"], cwd=tmp_path, check=True)
    done = subprocess.run(["./test"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "ok, largest difference 0"


@pytest.mark.slow
def test_decoders_draw() -> None:
    class Given(rg.Cell):
        def state(self) -> Any:
            return {"h": CLASSES}

        def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[Any, Any]:
            h = rg.tanh(state["h"] @ p.kernel("u", (CLASSES, CLASSES)) + x)
            return {"token": rg.sample(5 * h, seed=3), "h": h}, {"h": h}

    first = rg.placeholder("first", shape=(None, CLASSES))
    outputs, _, lengths = rg.dynamic_decode(
        Given(),
        first,
        lambda out, x_t: rg.one_hot(out["token"], CLASSES),
        9,
        stop=lambda out: rg.equal(out["token"], 2),
    )
    program = rg.compile({"out": outputs, "lengths": lengths})
    start = np.random.default_rng(1).standard_normal((4, CLASSES)).astype("float32")
    together = program.inference(first=start, number=[0, 1, 2, 3])
    for row in range(4):
        alone = program.inference(first=start[row : row + 1], number=row)
        assert_array_equal(alone["out"]["token"][0], together["out"]["token"][row])
    assert len({tuple(row) for row in together["out"]["token"].tolist()}) > 1


def logits() -> rg.Tensor:
    return rg.placeholder("logits", shape=(None, None, CLASSES))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rg.sample(logits(), temperature=-1), "temperature=-1 is negative; 0 takes the largest logit"),
        (lambda: rg.sample(logits(), top_k=7), "top_k=7 of 6 classes"),
        (lambda: rg.sample(logits(), top_k=0), "top_k must be at least 1"),
        (lambda: rg.sample(logits(), top_p=0), r"top_p=0 is outside \(0, 1\]"),
        (lambda: rg.sample([1.0]), "needs logits as a float Tensor"),
        (lambda: rg.sample(rg.placeholder("i", (None, 3), "int64")), "needs floats"),
        (lambda: rg.sample(rg.placeholder("i", (None, None))), "a fixed number of classes"),
    ],
)
def test_wrong_arguments_are_errors_with_their_line(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(rg.RnnGraphError, match=message) as caught:
        call()
    assert "test_sampling.py" in str(caught.value)


@pytest.mark.slow
def test_nan_logits_give_minus_one_which_calls_report() -> None:
    program, x = net(), fed()
    x[1, 7, 2] = np.nan
    pool = program.inference.streams(2)
    handle, stream = pool.open(), program.inference.stream(batch=BATCH)
    calls: list[Callable[[], Any]] = [
        lambda: program.inference(x=x),
        lambda: stream.process(x=x),
        lambda: pool.step_rows([handle], x=x[1:2, 7]),
    ]
    for call in calls:
        with pytest.raises(
            rg.NonFiniteError, match=r"test_sampling.py.*output token is drawn from NaN logits, and is -1"
        ):
            call()
    out = {"token": np.zeros((BATCH, STEPS), np.int64), "logits": np.zeros((BATCH, STEPS, CLASSES), np.float32)}
    with pytest.raises(rg.NonFiniteError):
        program.inference(x=x, out=out)
    assert (out["token"][1, 7:] == -1).all()
    assert (out["token"][0] >= 0).all()


class ReadsItsDraw(rg.Cell):
    """A cell that reads its last draw, and returns logits."""

    output_size = CLASSES  # type: ignore[assignment]

    def state(self) -> Any:
        return {"token": rg.state((), dtype="int64")}

    def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        scores = x + rg.gather(p.parameter("table", (CLASSES, CLASSES)), state["token"])
        return scores, {"token": rg.sample(scores, seed=1)}


def reports(call: Callable[[], Any]) -> None:
    with pytest.raises(
        rg.NonFiniteError, match=r"test_sampling.py.*a value of rg.sample is drawn from NaN logits, and is -1"
    ):
        call()


@pytest.mark.slow
def test_draws_that_only_the_next_step_reads_are_reported() -> None:
    x = rg.placeholder("x", shape=(None, None, CLASSES))
    program, fed = (
        rg.compile({"y": rg.dynamic_rnn(ReadsItsDraw(), x)[0]}, seed=0),
        np.zeros((2, 4, CLASSES), np.float32),
    )
    fed[1, 2:, 3] = np.nan
    reports(lambda: program.inference(x=fed))
    reports(lambda: program.predict(fed))
    stream = program.inference.stream(batch=2)
    stream.step(x=fed[:, 0])
    stream.step(x=fed[:, 2], rows=[0])
    stream.process(x=fed[:, 2:], rows=[0])
    reports(lambda: stream.step(x=fed[:, 2], rows=[1]))
    reports(lambda: stream.process(x=fed[:, 2:], rows=[1]))
    reports(lambda: stream.step(x=fed[:, 2]))
    pool = program.inference.streams(2)
    handles = [pool.open(), pool.open()]
    for _ in range(2):
        pool.step_rows(handles, x=fed[:, 1])
        reports(lambda: pool.step_rows(handles, x=fed[:, 2]))
    reports(lambda: pool.step({handle: {"x": row} for handle, row in zip(handles, fed[:, 2], strict=True)}))
    with pool.serve(max_wait=0.01):
        futures = [pool.submit(handle, x=row) for handle, row in zip(handles, fed[:, 2], strict=True)]
        assert np.isfinite(futures[0].result()["y"]).all()
        reports(futures[1].result)


@pytest.mark.slow
def test_draws_of_rows_that_have_ended_are_none() -> None:
    x, lengths = rg.placeholder("x", shape=(None, None, CLASSES)), rg.placeholder("lengths", (None,), "int64")
    program = rg.compile(rg.dynamic_rnn(ReadsItsDraw(), x, sequence_length=lengths)[0], seed=0)
    fed = np.zeros((2, 4, CLASSES), np.float32)
    fed[1, 2:] = np.nan
    assert np.isfinite(program.inference(x=fed, lengths=[4, 2])).all()
    reports(lambda: program.inference(x=fed, lengths=[4, 3]))


@pytest.mark.slow
def test_draws_of_a_decoder_are_reported() -> None:
    first = rg.placeholder("first", shape=(None, CLASSES))
    outputs, _, _ = rg.dynamic_decode(
        ReadsItsDraw(), first, lambda scores, x_t: rg.one_hot(rg.sample(scores), CLASSES), 3
    )
    program = rg.compile({"scores": outputs}, seed=0)
    start = np.zeros((2, CLASSES), np.float32)
    assert program.inference(first=start)["scores"].shape == (2, 3, CLASSES)
    start[0] = np.nan
    reports(lambda: program.inference(first=start))


@pytest.mark.slow
def test_a_draw_of_one_caller_ends_no_other() -> None:
    """The token 3 has NaN logits. All other callers get the tokens of a separate generation."""
    ids = rg.placeholder("ids", shape=(None, None), dtype="int64")
    table = np.random.default_rng(0).standard_normal((CLASSES, CLASSES)).astype("float32")
    table[:, 3] = -30
    table[3] = np.nan
    scores, _ = rg.dynamic_rnn(ReadsItsDraw(), rg.gather(rg.parameter("ids", table.shape, table), ids))
    program = rg.compile({"scores": scores, "token": rg.sample(scores, seed=2)}, seed=0)
    wanted = [*program.inference.generate([1, 2], max_new=5, output="scores", input="ids")]
    for output in ("scores", "token"):
        with program.inference.generator(slots=4, input="ids", output=output) as generator:
            good, bad = generator.submit([1, 2], max_new=5), generator.submit([1, 3], max_new=5)
            with pytest.raises(rg.NonFiniteError):
                list(bad)
            assert output == "token" or [*good] == wanted


def test_number_is_an_error_for_programs_without_draws() -> None:
    x = rg.placeholder("x", shape=(None, None, 4))
    program = rg.compile(rg.dynamic_rnn(rg.GRUCell(5), x)[0])
    with pytest.raises(rg.NameLookupError, match=r"calls no rg\.sample"):
        program.inference.stream(number=3)


def test_draws_of_temperature_0_ignore_a_number() -> None:
    x = rg.placeholder("x", shape=(None, None, 4))
    inference = rg.compile(rg.sample(rg.dynamic_rnn(rg.GRUCell(5), x)[0], temperature=0), seed=0).inference
    fed = np.random.default_rng(0).standard_normal((2, 3, 4)).astype("float32")
    whole = inference(x=fed)
    assert_array_equal(inference(x=fed, number=[3, 4]), whole)
    assert_array_equal(inference.stream(batch=2, number=3).process(x=fed), whole)
    pool = inference.streams(2)
    assert_array_equal(pool.step_rows([pool.open(number=5)], x=fed[:1, 0]), whole[:1, 0])


@pytest.mark.parametrize("classes", [6, pytest.param(300, marks=pytest.mark.exhaustive)])
def test_rows_have_arguments_of_their_own(classes: int) -> None:
    """Arguments of shape [batch] draw the tokens that scalars draw in each row."""
    logits, warmth, share = (
        rg.placeholder(name, shape)
        for name, shape in zip("xtp", ((None, None, classes), (None,), (None,)), strict=True)
    )
    count = rg.placeholder("k", (None,), "int64")
    program = rg.compile(rg.sample(logits, temperature=warmth, top_k=count, top_p=share, seed=3))
    x = 3 * np.random.default_rng(5).standard_normal((5, 50, classes)).astype("float32")
    rows = [(0.8, 5, 0.9), (1.0, classes, 0.5), (0.0, 3, 0.9), (1.3, classes, 1.0), (0.5, 4, 1.0)]
    t, k, p = (np.array(column, kind) for column, kind in zip(zip(*rows, strict=True), "fif", strict=True))
    drawn = program.inference(x=x, t=t, k=k, p=p, number=np.arange(5))
    pool = program.inference.streams()
    handles = [pool.open(t=t[row], k=k[row], p=p[row], number=row) for row in range(5)]
    assert_array_equal(drawn[:, :3], np.stack([pool.step_rows(handles, x=x[:, step]) for step in range(3)], 1))
    for row, (temperature, top_k, top_p) in enumerate(rows):
        one = rg.compile(rg.sample(logits, temperature, top_k, top_p, seed=3)).inference
        number = {"number": row} if temperature else {}
        assert_array_equal(drawn[row], one(x=x[row : row + 1], **number)[0])


@pytest.mark.parametrize("argument", ["temperature", "top_k", "top_p"])
def test_tensors_of_another_kind_are_refused(argument: str) -> None:
    logits = rg.placeholder("logits", (None, None, 4))
    with pytest.raises(rg.DtypeError, match=rf"{argument} must be an? .* Tensor, a scalar or \[batch\], not"):
        rg.sample(logits, **{argument: rg.placeholder("x", (None, 4))})


def test_values_of_tensors_are_clamped() -> None:
    logits, count, warmth = (
        rg.placeholder(name, shape) for name, shape in (("x", (None, None, 4)), ("k", (None,)), ("t", (None,)))
    )
    program = rg.compile(rg.sample(logits, temperature=warmth, top_k=rg.cast(count, "int64")))
    x = np.random.default_rng(0).standard_normal((4, 30, 4)).astype("float32")
    drawn = program.inference(x=x, k=[0, -3, 9, 4], t=[1, 1, -1, 0])
    assert_array_equal(drawn, x.argmax(-1))


@pytest.mark.parametrize("seed", [2**64, -(2**63) - 1])
def test_seeds_have_64_bits(seed: int) -> None:
    logits = rg.placeholder("logits", (None, None, 4))
    with pytest.raises(rg.ArgumentError, match="does not fit 64 bits"):
        rg.sample(logits, seed=seed)
    with pytest.raises(rg.ArgumentError, match="does not fit 64 bits"):
        rg.DropoutWrapper(rg.GRUCell(2), input_keep_prob=0.5, seed=seed)
    rg.sample(logits, seed=seed - 1 if seed > 0 else seed + 1)


class Speaker(rg.Cell):
    """Cell that returns a token and the state from which it is drawn."""

    def state(self) -> Any:
        return {"h": 8}

    def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[Any, Any]:
        h = rg.tanh(x + state["h"] @ p.kernel("u", (8, 8)))
        return {"token": rg.sample(4 * h @ p.kernel("out", (8, CLASSES)), top_k=5, seed=3), "h": h}, {"h": h}


def test_a_decoder_draws_the_tokens_of_a_stream_that_is_fed_by_hand() -> None:
    start, x = rg.placeholder("start", (None, 8)), rg.placeholder("x", (None, None, 8))
    table = np.random.default_rng(1).standard_normal((CLASSES, 8)).astype("float32")
    decoded, _, _ = rg.dynamic_decode(Speaker(), start, lambda y, _: rg.gather(rg.constant(table), y["token"]), 12)
    decoder = rg.compile({"token": decoded["token"]}, seed=0)
    driven, _ = rg.dynamic_rnn(Speaker(), x, scope="decoder")
    driver = rg.compile({"token": driven["token"]}, seed=0)
    first, numbers = fed()[:, 0].repeat(2, 1), [0, 5, 9]
    whole = decoder.inference(start=first, number=numbers)["token"]
    assert len({*map(tuple, whole)}) == BATCH
    stream, pool = driver.inference.stream(batch=BATCH, number=numbers), driver.inference.streams(2)
    handles, now = [pool.open(number=number) for number in numbers], first
    for step in range(12):
        assert_array_equal(pool.step_rows(handles, x=now)["token"], whole[:, step])
        token = stream.step(x=now)["token"]
        assert_array_equal(token, whole[:, step])
        now = table[token]
