"""Ray, Dask and joblib run programs without changes, and no worker compiles."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import rnngraph as rg

pytestmark = [pytest.mark.engines, pytest.mark.filterwarnings("ignore")]

COUNT, BATCH, WIDTH = 90, 30, 4
COMPILER = "rnngraph.codegen.compile"
"""Module that a process only imports when it compiles."""
LENGTHS = np.arange(COUNT) % 7 + 1
SEQUENCES = [
    np.random.default_rng(number).normal(size=(steps, WIDTH)).astype(np.float32) for number, steps in enumerate(LENGTHS)
]
PADDED = np.stack([np.pad(item, ((0, 7 - len(item)), (0, 0))) for item in SEQUENCES])


class Net:
    """Program with its expected results, and the cache of its code."""

    def __init__(self, folder: Path) -> None:
        x, n = rg.placeholder("x", (None, None, WIDTH)), rg.placeholder("n", (None,), "int64")
        _, state = rg.dynamic_rnn(rg.GRUCell(7), x, sequence_length=n)
        self.program = rg.compile({"scores": rg.dense(state, 3)}, cache=folder)
        self.expected = self.program.inference(x=PADDED, n=LENGTHS)["scores"]
        for start in range(0, COUNT, BATCH):
            rows = slice(start, start + BATCH)
            assert_array_equal(self.program.inference(x=PADDED[rows], n=LENGTHS[rows])["scores"], self.expected[rows])
        assert_array_equal(self.program.predict({"x": SEQUENCES})["scores"], self.expected)
        self.folder = folder
        self.kept = self.code()

    def code(self) -> set[str]:
        return {path.name for path in self.folder.glob("*.code")}


@pytest.fixture(scope="module")
def one_net(tmp_path_factory: pytest.TempPathFactory) -> Net:
    return Net(tmp_path_factory.mktemp("code"))


@pytest.fixture
def net(one_net: Net) -> Iterator[Net]:
    yield one_net
    assert one_net.code() == one_net.kept, "a worker compiled"


# Ray -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ray_data() -> Iterator[Any]:
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'ray[data]'")
    data = pytest.importorskip("ray.data", reason="ray.data is not installed: pip install 'ray[data]'")
    with tempfile.TemporaryDirectory(prefix="ray") as folder:  # sockets need a short path
        ray.init(num_cpus=2, include_dashboard=False, object_store_memory=100 << 20, _temp_dir=folder)
        data.DataContext.get_current().enable_progress_bars = False
        yield data
        ray.shutdown()


def table(ray_data: Any) -> Any:
    rows = [{"x": PADDED[row], "n": LENGTHS[row], "id": row} for row in range(COUNT)]
    return ray_data.from_items(rows, override_num_blocks=3)


def scores(rows: list[dict[str, Any]]) -> np.ndarray:
    """Return scores in the order of the inputs; Ray's tasks end in any order."""
    return np.stack([row["scores"] for row in sorted(rows, key=lambda row: row["id"])])


def test_ray_takes_the_inference_graph(ray_data: Any, net: Net) -> None:
    plain = (
        table(ray_data).drop_columns(["id"]).map_batches(net.program.inference, batch_format="numpy", batch_size=BATCH)
    )
    actual = np.stack([row["scores"] for row in plain.take_all()])
    assert_array_equal(np.sort(actual, axis=0), np.sort(net.expected, axis=0))
    call = net.program.inference.on_columns("x", "n", keep=["id"])
    with_others = table(ray_data).map_batches(call, batch_format="numpy", batch_size=BATCH).take_all()
    assert_array_equal(scores(with_others), net.expected)


def test_rays_actors(ray_data: Any, net: Net) -> None:
    class Scorer:
        """Class from which Ray creates actors."""

        def __init__(self, program: rg.Program) -> None:
            self.call = program.inference.on_columns("x", "n", keep=["id"])

        def __call__(self, batch: dict[str, np.ndarray]) -> Any:
            actual = self.call(batch)
            return {**actual, "compiler": np.full(len(batch["id"]), COMPILER in sys.modules)}

    rows_of_actors = table(ray_data).map_batches(
        Scorer,
        fn_constructor_args=(net.program,),
        compute=ray_data.ActorPoolStrategy(size=2),
        batch_format="numpy",
        batch_size=BATCH,
    )
    rows = rows_of_actors.take_all()
    assert_array_equal(scores(rows), net.expected)
    assert not any(row["compiler"] for row in rows)


@pytest.mark.parametrize("actors", [False, True])
def test_rays_ragged_columns(actors: bool, ray_data: Any, net: Net) -> None:
    class Scorer:
        def __init__(self, program: rg.Program) -> None:
            self.program = program

        def __call__(self, batch: dict[str, np.ndarray]) -> Any:
            return {"id": batch["id"], **self.program.predict({"x": batch["x"]})}

    rows = ray_data.from_items([{"x": item, "id": number} for number, item in enumerate(SEQUENCES)])
    if actors:
        actual = rows.map_batches(
            Scorer,
            fn_constructor_args=(net.program,),
            compute=ray_data.ActorPoolStrategy(size=2),
            batch_format="numpy",
            batch_size=COUNT,
        )
    else:
        actual = rows.map_batches(Scorer(net.program).__call__, batch_format="numpy", batch_size=COUNT)
    assert_array_equal(scores(actual.take_all()), net.expected)
    if not actors:
        bare = rows.drop_columns(["id"]).map_batches(net.program.predict, batch_format="numpy", batch_size=COUNT)
        actual = np.stack([row["scores"] for row in bare.take_all()])
        assert_array_equal(np.sort(actual, axis=0), np.sort(net.expected, axis=0))


# Dask ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["processes", "threads", "cluster"])
def dask_scheduler(request: pytest.FixtureRequest) -> Iterator[Any]:
    dask = pytest.importorskip("dask", reason="Dask is not installed: pip install 'dask[array]' distributed")
    if request.param != "cluster":
        with dask.config.set(scheduler=request.param, num_workers=2):
            yield request.param
        return
    distributed = pytest.importorskip("distributed", reason="pip install distributed")
    with (
        tempfile.TemporaryDirectory() as folder,
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, local_directory=folder
        ) as cluster,
        distributed.Client(cluster),
    ):
        yield "cluster"


def test_dasks_arrays(dask_scheduler: str, net: Net) -> None:
    arrays = pytest.importorskip("dask.array", reason="pip install 'dask[array]'")
    program = net.program

    def score(x: np.ndarray, n: np.ndarray) -> np.ndarray:
        return program.inference(x=x, n=n)["scores"]

    x, n = arrays.from_array(PADDED, chunks=(BATCH, -1, -1)), arrays.from_array(LENGTHS, chunks=BATCH)
    actual = arrays.blockwise(score, "bk", x, "btf", n, "b", new_axes={"k": 3}, dtype=np.float32, concatenate=True)
    assert_array_equal(actual.compute(), net.expected)


def test_dasks_blocks(dask_scheduler: str, tmp_path: Path) -> None:
    """Dask maps a graph with one input and one output over blocks, as a function of arrays."""
    arrays = pytest.importorskip("dask.array", reason="pip install 'dask[array]'")
    x = rg.placeholder("x", (None, None, WIDTH))
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(5), x)
    program = rg.compile(outputs[:, -1], cache=tmp_path)
    expected = program.predict(PADDED, batch_size=BATCH)
    blocks = arrays.from_array(PADDED, chunks=(BATCH, -1, -1))
    actual = blocks.map_blocks(
        program.predict,
        batch_size=BATCH,
        dtype=np.float32,
        chunks=(BATCH, 5),
        drop_axis=[1, 2],
        new_axis=[1],
        meta=np.empty((0, 0), np.float32),
    )
    assert_array_equal(actual.compute(), expected)


def test_dasks_bags(dask_scheduler: str, net: Net) -> None:
    bags = pytest.importorskip("dask.bag", reason="pip install dask")
    program = net.program

    def score(items: Any) -> list[np.ndarray]:
        return list(program.predict({"x": list(items)})["scores"])

    actual = bags.from_sequence(SEQUENCES, npartitions=3).map_partitions(score).compute()
    assert_array_equal(np.stack(actual), net.expected)


def test_dask_recognises_equal_programs(net: Net) -> None:
    """Dask identifies results by tokens, which are equal for equal programs."""
    base = pytest.importorskip("dask.base", reason="pip install dask")
    assert base.tokenize(net.program.inference) == base.tokenize(net.program.inference)


# joblib ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["loky", "multiprocessing", "threading"])
def test_joblib(backend: str, net: Net) -> None:
    joblib = pytest.importorskip("joblib", reason="pip install joblib")
    program = net.program
    parts = [slice(start, start + BATCH) for start in range(0, COUNT, BATCH)]

    def has_compiler() -> bool:
        return COMPILER in sys.modules

    with joblib.Parallel(n_jobs=2, backend=backend) as parallel:
        whole = parallel(joblib.delayed(program.inference)(x=PADDED[part], n=LENGTHS[part]) for part in parts)
        ragged = parallel(joblib.delayed(program.predict)({"x": SEQUENCES[part]}) for part in parts)
        if backend == "loky":  # other backends fork, or use this process
            assert not any(parallel(joblib.delayed(has_compiler)() for _ in range(4)))
    for actual in (whole, ragged):
        assert_array_equal(np.concatenate([part["scores"] for part in actual]), net.expected)
