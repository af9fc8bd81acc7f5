"""Attention over a memory with lengths, against its equations in NumPy, one row and one entry at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference
from numpy.testing import assert_allclose, assert_array_equal

import rnngraph as rg
from rnngraph import tf1

Arrays = dict[str, np.ndarray]
ENTRIES, WIDTH, INPUTS, UNITS = 6, 9, 5, 7
FEEDS: Arrays = {
    "x": np.random.default_rng(0).normal(size=(3, 4, INPUTS)),
    "memory": np.random.default_rng(1).normal(size=(3, ENTRIES, WIDTH)),
    "lengths": np.array([ENTRIES, 0, 3]),
    "n": np.array([4, 2, 3]),
}
OPTIONS: dict[str, dict[str, Any]] = {
    "bahdanau": {"kind": "bahdanau"},
    "bahdanau_normalize": {"kind": "bahdanau", "normalize": True, "layer": 3},
    "luong": {"kind": "luong", "layer": 11},
    "luong_scale": {"kind": "luong", "scale": True},
    "output_of_the_cell": {"kind": "bahdanau", "layer": 3, "output_attention": False},
    "no_lengths": {"kind": "luong", "lengths": False},
}


def mechanism(memory: rg.Tensor, lengths: rg.Tensor | None, kind: str, **options: Any) -> Any:
    if kind == "luong":
        return rg.LuongAttention(UNITS, memory, lengths, **options)
    return rg.BahdanauAttention(11, memory, lengths, **options)


def declared(
    kind: str,
    layer: int | None = None,
    output_attention: bool = True,
    lengths: bool = True,
    dtype: str = "float64",
    cell: rg.Cell | None = None,
    **options: Any,
) -> rg.Program:
    x = rg.placeholder("x", (None, None, INPUTS), dtype)
    memory = rg.placeholder("memory", (None, None, WIDTH), dtype)
    limit = rg.placeholder("lengths", (None,), "int64") if lengths else None
    n = rg.placeholder("n", (None,), "int64")
    attention = mechanism(memory, limit, kind, **options)
    wrapper = rg.AttentionWrapper(cell or rg.GRUCell(UNITS), attention, layer, output_attention)
    outputs, state = rg.dynamic_rnn(wrapper, x, sequence_length=n)
    program = rg.compile({"outputs": outputs, "state": state}, loss=rg.reduce_sum(rg.square(outputs)))
    generator = np.random.default_rng(3)
    for key, array in program.parameters.items():
        program.parameters[key] = generator.normal(0.0, 0.5, array.shape)
    return program


def expected(
    parameters: Any,
    feeds: Arrays,
    kind: str,
    layer: int | None = None,
    output_attention: bool = True,
    lengths: bool = True,
    normalize: bool = False,
    scale: bool = False,
) -> np.ndarray:
    """Return outputs [batch, time, width], computed row by row."""
    p = {name: np.asarray(array, np.float64) for name, array in parameters.items()}
    scope = "rnn/attention_wrapper"
    rows = []
    for row, steps in enumerate(feeds["x"]):
        entries = feeds["memory"][row][: feeds["lengths"][row] if lengths else None]
        h, attention = np.zeros((1, UNITS)), np.zeros(layer or WIDTH)
        outputs = []
        for t, x in enumerate(steps):
            if t >= feeds["n"][row]:
                outputs.append(np.zeros(UNITS if not output_attention else layer or WIDTH))
                continue
            joined = np.concatenate([x, attention])[np.newaxis]
            _, h = reference.gru_step(reference.GRU(UNITS), p, scope, joined, h)
            scores = []
            for entry in entries:
                key = entry @ p["memory_layer/kernel"]
                if kind == "luong":
                    score = h[0] @ key * (p[f"{scope}/luong_attention/attention_g"] if scale else 1.0)
                else:
                    own = f"{scope}/bahdanau_attention"
                    v, query = p[f"{own}/attention_v"], h[0] @ p[f"{own}/query_layer/kernel"]
                    if normalize:
                        v = v * p[f"{own}/attention_g"] / np.linalg.norm(v)
                        query = query + p[f"{own}/attention_b"]
                    score = v @ np.tanh(key + query)
                scores.append(score)
            weights = np.exp(np.array(scores) - max(scores, default=0.0))
            context = sum((w * e for w, e in zip(weights / weights.sum(), entries, strict=True)), np.zeros(WIDTH))
            attention = context
            if layer is not None:
                attention = np.concatenate([h[0], context]) @ p[f"{scope}/attention_layer/kernel"]
            outputs.append(attention if output_attention else h[0])
        rows.append(np.stack(outputs))
    return np.stack(rows)


def fed(program: rg.Program, feeds: Arrays = FEEDS) -> Arrays:
    return {name: array for name, array in feeds.items() if name in program.inference.input_names()}


@pytest.mark.parametrize("name", OPTIONS)
def test_equations(name: str) -> None:
    options = OPTIONS[name]
    for dtype, bound in (("float64", 1e-12), ("float32", 3e-5)):
        program = declared(**options, dtype=dtype)
        feeds = {key: array.astype(dtype) if array.dtype.kind == "f" else array for key, array in fed(program).items()}
        wanted = expected(program.parameters, FEEDS, **options)
        for graph in (program.inference, program.training):
            assert_allclose(graph(feeds)["outputs"], wanted, rtol=bound, atol=bound)


@pytest.mark.parametrize("name", ["bahdanau_normalize", "luong_scale"])
def test_gradients(name: str) -> None:
    options = OPTIONS[name]
    program = declared(**options)
    parameters = {key: np.array(array) for key, array in program.parameters.items()}
    _, gradients = program.training.gradients(fed(program), wrt=["x", "memory"])
    generator = np.random.default_rng(4)
    for key in (*parameters, "x", "memory"):
        direction = generator.normal(size=(parameters[key] if key in parameters else FEEDS[key]).shape)
        moved = []
        for sign in (1e-6, -1e-6):
            near = {k: v + sign * direction if k == key else v for k, v in {**parameters, **FEEDS}.items()}
            moved.append((expected(near, near, **options) ** 2).sum())
        slope = (moved[0] - moved[1]) / 2e-6
        assert_allclose((gradients[key] * direction).sum(), slope, rtol=1e-6, atol=1e-7, err_msg=key)


def test_names_are_tensorflows() -> None:
    names = {key: array.shape for key, array in declared(**OPTIONS["bahdanau_normalize"]).parameters.items()}
    scope = "rnn/attention_wrapper"
    assert names == {
        "memory_layer/kernel": (WIDTH, 11),
        f"{scope}/gru_cell/gates/kernel": (INPUTS + 3 + UNITS, 2 * UNITS),
        f"{scope}/gru_cell/gates/bias": (2 * UNITS,),
        f"{scope}/gru_cell/candidate/kernel": (INPUTS + 3 + UNITS, UNITS),
        f"{scope}/gru_cell/candidate/bias": (UNITS,),
        f"{scope}/bahdanau_attention/query_layer/kernel": (UNITS, 11),
        f"{scope}/bahdanau_attention/attention_v": (11,),
        f"{scope}/bahdanau_attention/attention_g": (),
        f"{scope}/bahdanau_attention/attention_b": (11,),
        f"{scope}/attention_layer/kernel": (UNITS + WIDTH, 3),
    }
    x = rg.placeholder("x", (None, None, INPUTS))
    attention = rg.BahdanauAttention(25, x, normalize=True)
    program = rg.compile(rg.dynamic_rnn(rg.AttentionWrapper(rg.GRUCell(3), attention), x)[0])
    assert program.parameters[f"{scope}/bahdanau_attention/attention_g"] == np.float32(0.2)


@pytest.mark.parametrize("name", ["bahdanau", "luong"])
def test_the_memorys_product_is_outside_of_the_loop(name: str) -> None:
    graph = declared(**OPTIONS[name]).inference.graph
    (scan,) = [node for node in graph.nodes if node.op == "scan"]
    assert any(node.op == "matmul" and node.tensor.rank == 3 for node in graph.nodes)
    assert all(node.tensor.rank == 2 for node in scan["body"].nodes if node.op == "matmul")


def test_steps_after_a_rows_end_are_not_read() -> None:
    program = declared(**OPTIONS["bahdanau"])
    spoiled = {name: array.copy() for name, array in fed(program).items()}
    for row, length in enumerate(FEEDS["lengths"]):
        spoiled["memory"][row, length:] = np.nan
    assert_array_equal(program.inference(spoiled)["outputs"], program.inference(fed(program))["outputs"])
    _, gradients = program.training.gradients(spoiled, wrt=["memory"])
    for array in gradients.values():
        assert np.all(np.isfinite(array))
    assert np.all(gradients["memory"][2, 3:] == 0)


@pytest.mark.parametrize("name", ["bahdanau", "luong"])
def test_streams_and_rows_alone(name: str) -> None:
    program = declared(**OPTIONS[name], dtype="float32")
    feeds = {key: array.astype(np.float32) if array.dtype.kind == "f" else array for key, array in FEEDS.items()}
    feeds["n"] = np.array([4, 4, 4])
    whole = program.inference(feeds)["outputs"]
    row = {key: array[[2]] for key, array in feeds.items()}
    assert_array_equal(program.inference(row)["outputs"], whole[[2]])
    x = rg.placeholder("x", (None, None, INPUTS))
    memory = rg.placeholder("memory", (None, None, WIDTH))
    lengths = rg.placeholder("lengths", (None,), "int64")
    wrapper = rg.AttentionWrapper(rg.GRUCell(UNITS), mechanism(memory, lengths, OPTIONS[name]["kind"]), 3)
    listener = rg.compile(rg.dynamic_rnn(wrapper, x)[0])
    del feeds["n"]
    whole = listener.inference(feeds)
    stream = listener.inference.stream(batch=3)
    first = stream.step(x=feeds["x"][:, 0], memory=feeds["memory"], lengths=feeds["lengths"])
    rest = [stream.step(x=feeds["x"][:, t]) for t in range(1, 4)]
    assert_array_equal(np.stack([first, *rest], 1), whole)


def test_a_decoder_starts_where_its_encoder_ended() -> None:
    x, y = rg.placeholder("x", (None, None, 3), "float64"), rg.placeholder("y", (None, None, 2), "float64")
    n = rg.placeholder("n", (None,), "int64")
    encoder = rg.MultiRNNCell([rg.GRUCell(5), rg.LSTMCell(UNITS)])
    memory, final = rg.dynamic_rnn(encoder, x, sequence_length=n, scope="encoder")
    stack = rg.MultiRNNCell([rg.GRUCell(5), rg.LSTMCell(UNITS)])
    hooked = rg.AttentionWrapper(stack, rg.LuongAttention(UNITS, memory, n), initial_cell_state=final)
    outputs, state = rg.dynamic_rnn(rg.OutputProjectionWrapper(rg.DropoutWrapper(hooked, input_keep_prob=0.8), 3), y)
    assert isinstance(state, rg.AttentionWrapperState)
    zeros = rg.constant(np.zeros(UNITS))
    encoded, _ = rg.dynamic_rnn(
        rg.shared(rg.AttentionWrapper(stack, rg.LuongAttention(UNITS, memory, n))),
        y,
        scope="given",
        initial_state=rg.AttentionWrapperState(final, zeros),
    )
    program = rg.compile(
        {"outputs": outputs, "given": encoded, "state": state}, loss=rg.reduce_sum(outputs) + rg.reduce_sum(encoded)
    )
    for name, array in program.parameters.items():
        twin = name.replace("given/attention_wrapper", "rnn/output_projection_wrapper/attention_wrapper")
        twin = twin.replace("memory_layer_1", "memory_layer")
        program.parameters[name] = program.parameters.get(twin, array)
    feeds = {"x": FEEDS["x"][:, :, :3], "y": FEEDS["memory"][:, :, :2], "n": FEEDS["n"]}
    result = program.inference(feeds)
    kernel, bias = (program.parameters[f"rnn/output_projection_wrapper/{name}"] for name in ("kernel", "bias"))
    assert_allclose(result["outputs"], result["given"] @ kernel + bias, rtol=1e-12, atol=1e-13)
    _, gradients = program.training.gradients(feeds, seed=1)
    assert all(np.any(gradients[name]) for name in gradients if name.startswith("encoder") and "kernel" in name)


@pytest.mark.parametrize("name", ["bahdanau", "luong_scale"])
def test_alignments_can_be_looked_at(name: str) -> None:
    """The tap ``alignments`` has the weights of the memory's entries in the context, which the wrapper outputs."""
    program = declared(**OPTIONS[name])
    taps = program.inference.taps(fed(program))
    assert list(taps) == ["alignments"]
    alignments = taps["alignments"]
    assert alignments.shape == (3, 4, ENTRIES)
    contexts = np.einsum("bte,bew->btw", alignments, FEEDS["memory"])
    assert_allclose(contexts, program.inference(fed(program))["outputs"], atol=1e-13)
    real = np.arange(ENTRIES) < FEEDS["lengths"][:, np.newaxis]
    live = np.arange(4) < FEEDS["n"][:, np.newaxis]
    assert_array_equal(alignments > 0, live[:, :, np.newaxis] & real[:, np.newaxis])
    assert_allclose(alignments.sum(2), live & (FEEDS["lengths"] > 0)[:, np.newaxis], rtol=1e-13)


def test_it_learns_to_copy() -> None:
    """A net learns to return the entry of the memory to which its input points."""
    x, memory = rg.placeholder("x", (None, None, 5)), rg.placeholder("memory", (None, 5, 8))
    y = rg.placeholder("y", (None, None, 3))
    attention = rg.BahdanauAttention(17, memory)
    outputs, _ = rg.dynamic_rnn(rg.AttentionWrapper(rg.GRUCell(17), attention), x)
    program = rg.compile(outputs, loss=rg.mean_squared_error(y, outputs[:, :, :3]), seed=2)
    generator = np.random.default_rng(0)
    which = generator.integers(0, 5, (40, 4))
    entries = np.concatenate([generator.normal(size=(40, 5, 3)), np.tile(np.eye(5), (40, 1, 1))], 2)
    feeds = {"x": np.eye(5)[which], "memory": entries, "y": entries[np.arange(40)[:, None], which, :3]}
    trainer = rg.Trainer(program, rg.Adam(2e-2))
    losses = [float(trainer.step(feeds)) for _ in range(150)]
    assert losses[-1] < 0.2 * losses[0]


def test_tensorflows_arguments() -> None:
    seq2seq = tf1.contrib.seq2seq
    x = tf1.placeholder(tf1.float32, [None, None, INPUTS], "x")
    lengths = tf1.placeholder(tf1.int32, [None], "lengths")
    mechanism = seq2seq.BahdanauAttention(num_units=5, memory=x, memory_sequence_length=lengths, normalize=True)
    cell = seq2seq.AttentionWrapper(tf1.nn.rnn_cell.GRUCell(7), mechanism, attention_layer_size=3)
    assert cell.output_size == 3
    assert seq2seq.AttentionWrapperState is rg.AttentionWrapperState
    outputs, _ = tf1.nn.dynamic_rnn(cell, x, dtype=tf1.float32)
    assert rg.compile(outputs).inference(x=np.ones((2, 3, INPUTS)), lengths=[3, 1]).shape == (2, 3, 3)
    assert seq2seq.LuongAttention(7, x, None, True).scale
    records = seq2seq.AttentionWrapper(tf1.nn.rnn_cell.GRUCell(7), mechanism, alignment_history=True)
    with pytest.raises(rg.NotOfferedError, match="BeamSearchDecoder records no alignments"):
        seq2seq.BeamSearchDecoder(records, tf1.ones([4, INPUTS]), [1], 0, records.zero_state(2, tf1.float32), 2)
    twice = tf1.nn.rnn_cell.MultiRNNCell([records, cell])
    decoder = seq2seq.BasicDecoder(twice, seq2seq.TrainingHelper(x, lengths), None)
    with pytest.raises(rg.NotOfferedError, match="several AttentionWrappers"):
        seq2seq.dynamic_decode(decoder)
    with pytest.raises(rg.RnnGraphError, match="probability_fn"):
        seq2seq.LuongAttention(7, x, probability_fn=rg.softmax)


def test_errors() -> None:
    x, n = rg.placeholder("x", (None, None, INPUTS)), rg.placeholder("n", (None,), "int64")
    with pytest.raises(rg.ShapeError, match=r"test_attention\.py:\d+: the memory of attention must be"):
        rg.BahdanauAttention(7, x[:, 0])
    with pytest.raises(rg.DtypeError, match="must be a float Tensor"):
        rg.LuongAttention(7, n)
    with pytest.raises(rg.DtypeError, match="must be a float Tensor"):
        rg.LuongAttention(7, np.zeros((1, 2, 3)))  # type: ignore[arg-type]
    with pytest.raises(rg.ArgumentError, match="num_units must be positive"):
        rg.LuongAttention(0, x)
    with pytest.raises(rg.RnnGraphError, match=r"test_attention\.py:\d+"):
        rg.LuongAttention(7, x, x)
    attention = rg.LuongAttention(7, x, n)
    with pytest.raises(rg.ShapeError, match="query of width 5; give it num_units=5"):
        rg.dynamic_rnn(rg.AttentionWrapper(rg.GRUCell(5), attention), x)
    with pytest.raises(rg.DtypeError, match="needs an attention such as"):
        rg.AttentionWrapper(rg.GRUCell(7), x)  # type: ignore[arg-type]
    with pytest.raises(rg.ArgumentError, match="attention_layer_size must be positive"):
        rg.AttentionWrapper(rg.GRUCell(7), attention, 0)
    with pytest.raises(rg.StructureError, match=r"initial_cell_state takes a nest \(c, h\)"):
        rg.AttentionWrapper(rg.LSTMCell(7), attention, initial_cell_state=x[:, 0])
    program = rg.compile(rg.dynamic_rnn(rg.AttentionWrapper(rg.GRUCell(7), attention), x)[0])
    with pytest.raises(rg.RnnGraphError, match="n"):
        program.inference(x=np.zeros((2, 3, INPUTS)), n=[4, 1])
