"""Counts of a summary against counts by hand."""

import numpy as np

import rnngraph as rg
from rnngraph.program.reports.summary import REST, layers_of


def declared() -> rg.Program:
    x = rg.placeholder("x", (None, None, 6))
    first = rg.DropoutWrapper(rg.LSTMCell(8, num_proj=5), input_keep_prob=0.5)
    stack = rg.MultiRNNCell([first, rg.HighwayWrapper(rg.GRUCell(5))])
    outputs, _ = rg.dynamic_rnn(stack, rg.sin(x))
    free = rg.parameter("free", (3, 4))
    return rg.compile(rg.dense(outputs, 3) @ free)


def test_layers_are_counted() -> None:
    program = declared()
    layers = layers_of(program.inference.graph, program.parameters)
    products = {name: (layer.parameters, layer.multiply_adds) for name, layer in layers.items()}
    rnn = "rnn/multi_rnn_cell"
    assert products == {
        f"{rnn}/cell_0/lstm_cell": (11 * 32 + 32 + 8 * 5, 11 * 32 + 8 * 5),
        f"{rnn}/cell_1/gru_cell": (10 * 15 + 15, 10 * 15),
        f"{rnn}/cell_1": (5 * 5 + 5, 5 * 5),
        "dense": (5 * 3 + 3, 5 * 3),
        "free": (12, 12),
        REST: (0, 0),
    }
    assert layers[REST].operations >= 6
    assert all(layer.bytes == 4 * layer.parameters for layer in layers.values())
    assert layers["free"].operations == 0


def test_a_declared_length_counts_in_full() -> None:
    x = rg.placeholder("x", (None, 9, 4), "float64")
    program = rg.compile(rg.dynamic_rnn(rg.BasicRNNCell(3), x)[1])
    (layer,) = layers_of(program.inference.graph, program.parameters).values()
    assert (layer.multiply_adds, layer.bytes) == (9 * 7 * 3, 8 * (7 * 3 + 3))


def test_the_table_adds_up() -> None:
    program = declared()
    head, *rows, total = program.summary().splitlines()
    assert head.split() == ["layer", "parameters", "bytes", "FMAs", "a", "step", "about"]
    numbers = [[float(text.replace(",", "")) for text in row.rsplit(maxsplit=5)[1:5]] for row in (*rows, total)]
    np.testing.assert_allclose(np.sum(numbers[:-1], axis=0), numbers[-1], atol=0.01)
    assert numbers[-1][0] == sum(array.size for array in program.parameters.values())
    assert total.endswith("us")


def test_more_work_takes_longer_and_wider_vectors_less() -> None:
    x = rg.placeholder("x", (None, None, 64))
    outputs = rg.dynamic_rnn(rg.BasicRNNCell(64), x)[0]
    seconds = []
    for target in ("x86-64-v2", "x86-64-v4"):
        program = rg.compile(outputs, target=target)
        (layer,) = layers_of(program.inference.graph, program.parameters).values()
        seconds.append(layer.seconds(program.target, layer.bytes))
    assert 0 < seconds[1] < seconds[0] < 1e-4


def test_a_program_of_no_parameters_has_a_summary() -> None:
    x = rg.placeholder("x", (None, 3))
    assert REST in rg.compile(rg.tanh(x)).summary()
    assert "in all" in rg.compile(rg.transpose(x)).summary()


def test_a_loaded_program_tells_the_same(tmp_path: object) -> None:
    program = declared()
    program.save(f"{tmp_path}/program")
    assert rg.load(f"{tmp_path}/program").summary() == program.summary()
