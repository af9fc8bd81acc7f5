"""Programs, graphs, streams and trainers in pickle, copy and deepcopy: restored state, and refusals."""

from __future__ import annotations

import copy
import io
import multiprocessing
import os
import pickle
import pickletools
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import saved_cases
import teams
from numpy.testing import assert_array_equal
from saved_behaviour import differences, recorded
from systems import not_on_windows

import rnngraph as rg
from rnngraph.codegen import compile as code
from rnngraph.program.program import Program
from rnngraph.runtime.native.weight_options import weight_rules
from rnngraph.runtime.native.worker_pool import POOL
from rnngraph.storage.checkpoint_file import packed, unpacked

WAYS: dict[str, Callable[[Any], Any]] = {
    "pickle": lambda item: pickle.loads(pickle.dumps(item)),
    "oldest pickle": lambda item: pickle.loads(pickle.dumps(item, protocol=0)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "dumps": lambda item: rg.loads(rg.dumps(item)),
}


@pytest.fixture(scope="module", autouse=True)
def kept_code(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Cache code on disk, as users do, so that tests share compiled code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(params=["pickle", "deepcopy"])
def copied(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    return WAYS[request.param]


def words(lengths: Any = (3, 7, 1, 2), seed: int = 0) -> list[np.ndarray]:
    """Return sequences of several lengths."""
    generator = np.random.default_rng(seed)
    return [generator.normal(size=(steps, 4)).astype(np.float32) for steps in lengths]


def tagger(**options: Any) -> rg.Program:
    """Return a program for ragged sequences, with a loss and dropout."""
    x, n = rg.placeholder("x", (None, None, 4)), rg.placeholder("n", (None,), "int64")
    cell = rg.DropoutWrapper(rg.GRUCell(7), output_keep_prob=0.5)
    outputs, state = rg.dynamic_rnn(cell, x, sequence_length=n)
    labels = rg.placeholder("y", (None,), "int64")
    logits = rg.dense(state, 3)
    loss = rg.sparse_softmax_cross_entropy(labels, logits)
    return rg.compile({"logits": logits, "outputs": outputs}, loss=loss, **options)


def batch(rows: int = 3, steps: int = 5) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(rows)
    x = generator.normal(size=(rows, steps, 4)).astype(np.float32)
    return {"x": x, "n": np.arange(rows) % steps + 1, "y": np.arange(rows) % 3}


def feeds() -> dict[str, np.ndarray]:
    return {name: array for name, array in batch().items() if name != "y"}


@pytest.fixture(scope="module")
def ours() -> bytes:
    """Return a pickled program."""
    return rg.dumps(tagger())


# Restored programs -----------------------------------------------------------------------------------


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", saved_cases.CASES)
def test_all_that_a_program_does(name: str) -> None:
    program, fed = saved_cases.CASES[name]()
    restored = pickle.loads(pickle.dumps(program))
    assert differences(recorded(program, fed), recorded(restored, fed)) == []


def test_programs_and_graphs(copied: Callable[[Any], Any]) -> None:
    program = tagger(seed=5)
    program.training(batch())  # the generator of seeds has advanced
    restored: Program[rg.Result] = copied(program)
    assert (restored.seed, restored.threads, restored.target) == (5, 1, program.target)
    assert_array_equal(restored.inference(feeds())["logits"], program.inference(feeds())["logits"])
    assert_array_equal(copied(program.inference)(feeds())["logits"], program.inference(feeds())["logits"])
    assert copied(program.evaluation)(batch())["loss"] == program.evaluate(batch())["loss"]
    training = copied(program.training)
    for _ in range(2):
        assert_array_equal(training(batch())["logits"], program.training(batch())["logits"])
    ours, theirs = (one.gradients(batch(), seed=3)[1] for one in (program.training, training))
    assert ours.keys() == theirs.keys()
    assert all((ours[name] == theirs[name]).all() for name in ours)


@pytest.mark.parametrize("form", WAYS)
def test_copies_share_nothing(form: str) -> None:
    program = tagger()
    before = program.inference(feeds())["logits"]
    restored: Program[Any] = WAYS[form](program)
    name = next(iter(restored.parameters))
    restored.parameters[name] = restored.parameters[name] + 1
    restored.training(batch())
    restored.threads = 2
    assert_array_equal(program.inference(feeds())["logits"], before)
    assert (restored.inference(feeds())["logits"] != before).any()
    fresh = tagger()
    assert program.threads == 1
    assert program.parts.seeds.state == fresh.parts.seeds.state != restored.parts.seeds.state


def test_a_change_after_one_pickle_is_in_the_next() -> None:
    program = tagger()
    first = pickle.dumps(program)
    assert {pickle.dumps(program) for _ in range(5)} == {first}
    name = next(iter(program.parameters))
    program.parameters[name] = program.parameters[name] * 2
    second = pickle.loads(pickle.dumps(program))
    assert_array_equal(second.parameters[name], 2 * pickle.loads(first).parameters[name])
    program.training(batch())
    third = pickle.loads(pickle.dumps(program))
    assert_array_equal(third.training(batch())["logits"], program.training(batch())["logits"])


def test_options_are_pickled(tmp_path: Path) -> None:
    narrow = rg.Narrow("int8", force=True)
    program = tagger(threads=2, target="x86-64-v2", unroll=2, weights=narrow, cache=tmp_path / "code")
    restored = pickle.loads(pickle.dumps(program))
    options, theirs = program.options, restored.options
    assert (restored.threads, theirs.target, theirs.unroll) == (2, options.target, 2)
    assert theirs.weights == options.weights == weight_rules(narrow)
    assert theirs.cache.directory == options.cache.directory
    assert tagger(cache=False).options.cache is None
    assert pickle.loads(pickle.dumps(tagger(cache=False))).options.cache is None


def test_a_program_of_another_ones_outputs() -> None:
    hidden = rg.dense(rg.placeholder("z", (None, 4)), 3)
    program = rg.compile(hidden)
    with pytest.warns(UserWarning, match="drawn anew"):
        other = rg.compile(rg.dense(hidden, 2), parameters=program)
    restored = pickle.loads(pickle.dumps(other))
    assert_array_equal(restored.inference(z=np.ones((2, 4))), other.inference(z=np.ones((2, 4))))


def test_a_loaded_program_pickles(tmp_path: Path) -> None:
    program = tagger()
    program.save(tmp_path / "model")
    loaded = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(rg.load(tmp_path / "model")))))
    assert_array_equal(loaded.inference(feeds())["logits"], program.inference(feeds())["logits"])


def test_methods_pickle() -> None:
    program = tagger()
    predict = pickle.loads(pickle.dumps(program.predict))
    assert_array_equal(predict({"x": words()})["logits"], program.predict({"x": words()})["logits"])


# Streams and trainers --------------------------------------------------------------------------------


def listener() -> tuple[rg.Program, np.ndarray]:
    """Return a program with a state, and with a feed whose last value streams store."""
    x, gain = rg.placeholder("x", (None, None, 4)), rg.placeholder("gain", (None, 1))
    outputs, _ = rg.dynamic_rnn(rg.MultiRNNCell([rg.LSTMCell(5), rg.GRUCell(3)]), x)
    return rg.compile(outputs * rg.expand_dims(gain, 1)), np.random.default_rng(0).normal(size=(2, 9, 4))


def test_streams(copied: Callable[[Any], Any]) -> None:
    program, x = listener()
    stream = program.inference.stream(batch=2)
    gain = np.array([[2.0], [3.0]])
    whole = program.inference(x=x, gain=gain)
    fresh = copied(stream)
    assert_array_equal(fresh.step(x=x[:, 0], gain=gain), whole[:, 0])
    stream.process(x=x[:, :4], gain=gain)
    there = copied(stream)
    assert_array_equal(there.step(x=x[:, 4]), whole[:, 4])  # with the held feeds
    assert_array_equal(stream.process(x=x[:, 4:]), whole[:, 4:])
    assert_array_equal(there.process(x=x[:, 5:]), whole[:, 5:])


def test_a_stream_that_is_late(copied: Callable[[Any], Any]) -> None:
    """A copy of a stream with a delay has the outputs that the stream still has to return."""
    x = rg.placeholder("x", (None, None, 4))
    program = rg.compile(rg.conv1d(x, 3, 5, padding="same"))
    data = np.random.default_rng(0).normal(size=(2, 9, 4)).astype(np.float32)
    stream = program.inference.stream(batch=2)
    assert stream.delay == 2
    stream.process(x=data[:, :4])
    there = copied(stream)
    for one in (there, stream):
        later = np.concatenate([one.process(x=data[:, 4:]), one.flush()], axis=1)
        assert_array_equal(later, program.inference(x=data)[:, 2:])


def test_a_stream_without_a_state() -> None:
    x = rg.placeholder("x", (None, None, 4))
    stream = rg.compile(rg.tanh(x)).inference.stream(batch=2)
    restored = pickle.loads(pickle.dumps(stream))
    assert_array_equal(restored.step(x=np.ones((2, 4))), stream.step(x=np.ones((2, 4))))
    assert_array_equal(pickle.loads(pickle.dumps(stream)).step(x=np.ones((2, 4))), np.tanh(np.ones((2, 4), np.float32)))


def test_trainers(copied: Callable[[Any], Any]) -> None:
    trainer = rg.Trainer(tagger(seed=2), rg.Adam(0.1), clip_norm=1.0, accumulate=3)
    for _ in range(2):
        trainer.step(batch(), carry=True)
    restored = copied(trainer)
    assert (restored.updates, restored.clip_norm, restored.trained) == (trainer.updates, 1.0, trainer.trained)
    ours, theirs = ([one.step(batch(), carry=True) for _ in range(4)] for one in (trainer, restored))
    assert ours == theirs
    assert all((array == restored.program.parameters[name]).all() for name, array in trainer.program.parameters.items())
    assert restored.program is not trainer.program


@pytest.mark.exhaustive
def test_a_fit_continues_in_another_process() -> None:
    examples = {**batch(7), "n": np.full(7, 5)}
    trainer = rg.Trainer(tagger(seed=2), rg.Adam(0.1))
    trainer.fit(examples, epochs=2, batch_size=3, progress=False)
    restored = pickle.loads(pickle.dumps(trainer))
    histories = [one.fit(examples, epochs=2, batch_size=3, progress=False) for one in (trainer, restored)]
    assert_array_equal(histories[0]["loss"], histories[1]["loss"])


def test_an_optimizer_of_ones_own_is_refused() -> None:
    class Mine(rg.SGD):
        pass

    trainer = rg.Trainer(tagger(), Mine(0.1))
    with pytest.raises(rg.ArgumentError, match="Mine"):
        pickle.dumps(trainer)


# Columns ---------------------------------------------------------------------------------------------


def test_a_table_has_further_columns(copied: Callable[[Any], Any]) -> None:
    program = tagger()
    expected = program.inference(feeds())
    table = {**feeds(), "id": np.array([30, 10, 20]), "text": ["a", "b", "c"]}
    for call in (program.inference.on_columns("x", "n"), program.inference.on_columns()):
        actual = copied(call)(table)
        assert actual.keys() == expected.keys()
        assert_array_equal(actual["outputs"], expected["outputs"])
    renamed = {"pixels": table["x"], "count": table["n"], "x": None}
    call = copied(program.inference.on_columns({"x": "pixels"}, {"n": "count"}))
    assert_array_equal(call(renamed)["logits"], expected["logits"])
    kept = copied(program.inference.on_columns("x", "n", keep=["id", "text"]))(table)
    assert list(kept) == ["logits", "outputs", "id", "text"]
    assert kept["id"] is table["id"]


def test_columns_of_a_bare_output() -> None:
    x = rg.placeholder("x", (None, 3))
    program = rg.compile(x * 2.0)
    table = {"x": np.ones((2, 3)), "id": np.arange(2)}
    assert_array_equal(program.inference.on_columns("x")(table), np.full((2, 3), 2.0))
    assert_array_equal(program.inference.on_columns(x)(table), np.full((2, 3), 2.0))
    assert list(program.inference.on_columns("x", keep=["id"])(table)) == ["output", "id"]


def test_columns_that_are_not_there() -> None:
    program = tagger()
    with pytest.raises(rg.NameLookupError, match=r"test_pickling.py:\d+: .*no input 'xs'; it takes x, n"):
        program.inference.on_columns("xs")
    with pytest.raises(rg.ArgumentError, match="the result already has logits"):
        program.inference.on_columns("x", "n", keep=["logits"])
    x, y = rg.placeholder("x", (None, 2)), rg.placeholder("y", (None, 2))
    with_loss = rg.compile(2 * x, loss=rg.mean_squared_error(y, 2 * x))
    rows = {name: np.ones((1, 2), np.float32) for name in ("x", "y", "loss")}
    assert list(with_loss.inference.on_columns("x", keep=["loss"])(rows)) == ["output", "loss"]
    for name in ("output", "loss"):
        with pytest.raises(rg.ArgumentError, match=f"the result already has {name}"):
            with_loss.evaluation.on_columns(keep=[name])
    with pytest.raises(rg.DtypeError, match="keep"):
        program.inference.on_columns(keep=3)  # type: ignore[arg-type]
    with pytest.raises(rg.NameLookupError, match=r"test_pickling.py:\d+: the table has no column 'n'; its columns"):
        program.inference.on_columns()({"x": feeds()["x"], "id": [1, 2, 3]})
    with pytest.raises(rg.DtypeError, match="batch_format"):
        program.inference.on_columns()(feeds()["x"])  # type: ignore[arg-type]


# Refusals --------------------------------------------------------------------------------------------


def test_objects_that_can_not_be_pickled_raise_errors() -> None:
    x = rg.placeholder("x", (None, None, 4))
    program = tagger()
    attention = rg.AttentionWrapper(rg.GRUCell(3), rg.LuongAttention(3, x))
    for item in (x, {"a": x * 2.0}, attention, rg.dynamic_rnn(rg.GRUCell(3), x)):
        with pytest.raises(rg.GraphError, match=r"test_pickling.py:\d+: .*cannot be pickled.*pickle the program"):
            pickle.dumps(item)
    with pytest.raises(rg.GraphError, match="dict\\(parameters\\)"):
        pickle.dumps(program.parameters)
    with pytest.raises(rg.GraphError, match=r"test_pickling.py:\d+: .*dict\(parameters\)"):
        copy.deepcopy(program.parameters)
    with pytest.raises(rg.DtypeError, match="dumps takes a Program"):
        rg.dumps(x)
    assert_array_equal(*(pickle.loads(pickle.dumps(dict(program.parameters)))["dense/bias"] for _ in range(2)))


def test_a_copy_of_a_tensor_is_the_tensor() -> None:
    x = rg.placeholder("x", (None, 4))
    assert copy.copy(x) is x
    assert copy.deepcopy({"x": [x]})["x"][0] is x


def test_cells_without_tensors_can_be_pickled() -> None:
    cell = rg.DropoutWrapper(rg.MultiRNNCell([rg.GRUCell(5), rg.LSTMCell(3, use_peepholes=True)]), output_keep_prob=0.5)

    def of(cell: rg.Cell) -> np.ndarray:
        x = rg.placeholder("x", (None, None, 4))
        return rg.compile(rg.dynamic_rnn(cell, x)[0], seed=1).inference(x=batch()["x"])

    assert_array_equal(of(pickle.loads(pickle.dumps(cell))), of(cell))


def test_a_pickle_calls_one_function_of_bytes() -> None:
    """An unpickler that allows only the function of bytes can read a pickled program."""
    called = []

    class Careful(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            called.append((module, name))
            return super().find_class(module, name)

    program = tagger(threads=2)
    items = (
        program,
        program.inference,
        program.training,
        program.inference.on_columns("x", "n"),
        listener()[0].inference.stream(2),
        rg.Trainer(program),
    )
    for item in items:
        called.clear()
        data = pickle.dumps(item)
        Careful(io.BytesIO(data)).load()
        name = "loads_trainer" if isinstance(item, rg.Trainer) else "loads"
        assert [function for _, function in called] == [name]
        assert name in rg.__all__
        operations = [operation.name for operation, _, _ in pickletools.genops(data)]
        assert operations.count("REDUCE") == 1
        assert not {"BUILD", "GLOBAL", "INST", "OBJ", "NEWOBJ"} & {*operations}


def test_damaged_bytes_are_rejected() -> None:
    program = tagger()
    for read, data in ((rg.loads, rg.dumps(program)), (rg.loads_trainer, rg.Trainer(program).__reduce__()[1][0])):
        for place in range(0, len(data), len(data) // 23):
            damaged = bytearray(data)
            damaged[place] ^= 0x5A
            with pytest.raises(rg.FileError, match=r"pickled|checkpoint"):
                read(bytes(damaged))
        for cut in (0, 1, 7, 8, 100, len(data) // 2, len(data) - 1):
            with pytest.raises(rg.FileError):
                read(data[:cut])
        with pytest.raises(rg.DtypeError, match="bytes"):
            read("text")  # type: ignore[arg-type]
    with pytest.raises(rg.FileError, match="not of a pickled program"):
        rg.loads(rg.Trainer(program).__reduce__()[1][0])


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 99},
        {"version": None},
        {"part": "masks"},
        {"part": "__class__"},
        {"part": ["inference"]},
        {"made": {"batch": 2}, "part": "training"},
        {"made": {"batch": -1}, "part": "inference"},
        {"made": {"batch": "2"}, "part": "inference"},
        {"made": {"stream": 1}, "part": "inference"},
        {"made": 3},
        {"made": {"columns": 3, "keep": []}, "part": "inference"},
        {"made": {"columns": {"q": "x"}, "keep": []}, "part": "inference"},
        {"made": {"columns": {"x": 5}, "keep": []}, "part": "inference"},
        {"threads": 0},
        {"threads": True},
        {"threads": 1e9},
        {"target": 3},
        {"target": "z80"},
        {"cache": "/tmp/elsewhere"},
        {"cache": 1},
    ],
    ids=str,
)
def test_bytes_of_someone_else(changes: dict[str, Any], ours: bytes) -> None:
    """Contents are validated even if the digest matches, and cannot choose a directory."""
    arrays, text = unpacked(ours, "pickled program", "here")
    data = b"".join(packed("pickled program", arrays, {**text, **changes}, "there"))
    with pytest.raises(rg.RnnGraphError):
        rg.loads(data)


def test_a_state_of_another_program_is_refused() -> None:
    program, x = listener()
    stream = program.inference.stream(batch=2)
    stream.step(x=x[:, 0], gain=np.ones((2, 1)))
    arrays, text = unpacked(rg.dumps(stream), "pickled program", "here")
    states = [name for name in arrays if name.startswith("beside/state/")]
    assert len(states) == 3
    for change in (
        {states[0]: arrays[states[0]][:1]},
        {"beside/held/x": np.zeros((2, 3, 4), np.float32)},
        {"beside/held/gain": np.zeros((3, 1), np.float32)},
        {"beside/state/other": np.zeros((2, 3), np.float32)},
    ):
        with pytest.raises(rg.RnnGraphError):
            rg.loads(b"".join(packed("pickled program", {**arrays, **change}, text, "there")))


def test_no_files_are_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    program = tagger(cache=False)
    for item in (program, program.inference, rg.Trainer(program), listener()[0].inference.stream(2)):
        pickle.loads(pickle.dumps(item))
    assert os.listdir(tmp_path) == []


# Other processes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [pytest.param("fork", marks=not_on_windows("there is no fork")), "spawn"])
def test_processes(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker process, forked after threads were used, runs cached code and does not compile."""
    if method == "fork":
        teams.share_everything(monkeypatch, 2)
    program = tagger(cache=tmp_path / "code", threads=2 if method == "fork" else 1)
    parts = [{**batch(5, steps), "y": np.zeros(5, np.int64)} for steps in (3, 4, 6)]
    calls = [{name: part[name] for name in ("x", "n")} for part in parts]
    ragged = [{"x": words(seed=seed)} for seed in range(3)]
    expected = [program.inference(call)["outputs"] for call in calls]
    whole = [program.predict(part) for part in ragged]
    kept = sorted((tmp_path / "code").glob("*.code"))
    assert method != "fork" or POOL._started >= 2

    def never(*_: Any) -> None:
        raise AssertionError("a worker compiles")

    monkeypatch.setattr(code, "compile_graph", never)
    with ProcessPoolExecutor(2, multiprocessing.get_context(method)) as pool:
        actual = [result["outputs"] for result in pool.map(program.inference, calls)]
        predicted = list(pool.map(program.predict, ragged))
        kinds = list(pool.map(program.inference.on_columns("x", "n"), [{**call, "id": 3} for call in calls]))
        if method == "spawn":
            compilers = [pool.submit(eval, "'rnngraph.codegen.compile' in __import__('sys').modules") for _ in range(4)]
            assert not any(future.result() for future in compilers)
    for ours, theirs, same in zip(expected, actual, kinds, strict=True):
        assert_array_equal(ours, theirs)
        assert_array_equal(ours, same["outputs"])
    for ours, theirs in zip(whole, predicted, strict=True):
        assert_array_equal(ours["logits"], theirs["logits"])
        assert all((one == other).all() for one, other in zip(ours["outputs"], theirs["outputs"], strict=True))
    assert sorted((tmp_path / "code").glob("*.code")) == kept


def _called(data: bytes, log: str) -> np.ndarray:
    """Call a program in a worker, and log its compilations, which are slowed down."""
    compile_graph = code.compile_graph

    def slow(*arguments: Any) -> Any:
        with open(log, "a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(0.3)
        return compile_graph(*arguments)

    code.compile_graph = slow
    return pickle.loads(data).inference(feeds())["logits"]


@not_on_windows("there is no fork")
def test_workers_that_start_together_compile_once(tmp_path: Path) -> None:
    program, log = tagger(cache=tmp_path / "code"), tmp_path / "log"
    with ProcessPoolExecutor(3, multiprocessing.get_context("fork")) as pool:
        futures = [pool.submit(_called, pickle.dumps(program), str(log)) for _ in range(3)]
        actual = [future.result() for future in futures]
    assert len(log.read_text().splitlines()) == 1
    for result in actual:
        assert_array_equal(result, program.inference(feeds())["logits"])
