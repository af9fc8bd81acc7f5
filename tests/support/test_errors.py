"""Every mistake that a user can make: an error with the line in this file, the cause, and the remedy.

A case is a function that makes one mistake on the line that ends in ``# here``.
"""

from __future__ import annotations

import asyncio
import inspect
import re
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.support.errors import Where


def test_lines_of_pythons_own_library_are_nobodys() -> None:
    with ThreadPoolExecutor(1) as pool:
        alone = pool.submit(rg.GRUCell, 0).exception()
        inside = pool.submit(lambda: rg.GRUCell(0)).exception()
    assert isinstance(alone, rg.ArgumentError)
    assert isinstance(inside, rg.ArgumentError)
    assert alone.where is None
    assert str(alone) == alone.what
    assert inside.where is not None
    assert inside.where.file == __file__

    class Kept:
        @cached_property
        def cell(self) -> rg.Cell:
            return rg.GRUCell(0)

    with pytest.raises(rg.ArgumentError, match=r"test_errors\.py:\d+: "):
        _ = Kept().cell


def test_lines_of_notebooks_are_named_by_their_cells(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """IPython's names of cells are preserved in saved files, even if they are read outside of a notebook."""
    cells = {"/tmp/ipykernel_7/123.py": ("Cell", "In[12]")}
    shell = SimpleNamespace(compile=SimpleNamespace(format_code_name=cells.get))
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    where = Where("/tmp/ipykernel_7/123.py", 2)
    assert str(where) == "In [12], line 2"
    assert str(rg.ShapeError("sizes differ", where)) == "In [12], line 2: sizes differ"
    assert str(Where("/tmp/elsewhere.py", 2)) == "/tmp/elsewhere.py:2"
    names: dict[str, Any] = {"rg": rg}
    source = 'x = rg.placeholder("x", (None, 2))\nprogram = rg.compile(rg.tanh(x))\n'
    exec(compile(source, "/tmp/ipykernel_7/123.py", "exec"), names)
    assert "# In [12], line 1" in str(names["program"].inference.graph)
    names["program"].save(tmp_path / "net")
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    assert "# In [12], line 1" in str(rg.load(tmp_path / "net").inference.graph)


Case = tuple[Callable[[], Any], type[Exception], tuple[str, ...]]
CASES: dict[str, Case] = {}


def mistake(kind: type[Exception], *words: str) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """Register a case: the matching built-in error, and words of the message."""

    def register(function: Callable[[], Any]) -> Callable[[], Any]:
        CASES[function.__name__] = (function, kind, words)
        return function

    return register


def sequence(width: int = 5, dtype: str = "float32", time: int | None = None) -> rg.Tensor:
    return rg.placeholder("x", (None, time, width), dtype)


def program(**options: Any) -> rg.Program:
    n = rg.placeholder("n", (None,), "int64")
    outputs, state = rg.dynamic_rnn(rg.GRUCell(7), sequence(), sequence_length=n)
    labels = rg.placeholder("y", (None,), "int64")
    logits = rg.dense(state, 3)
    loss = rg.sparse_softmax_cross_entropy(labels, logits)
    return rg.compile({"outputs": outputs, "logits": logits}, loss=loss, **options)


def feeds(batch: int = 2, time: int = 4, **changes: Any) -> dict[str, Any]:
    return {"x": np.zeros((batch, time, 5), np.float32), "n": np.full(batch, min(1, time))} | changes


# Declaring ----------------------------------------------------------------------------------------


@mistake(TypeError, "numbers or bools", "text")
def a_constant_of_text() -> None:
    rg.constant("a")  # here


@mistake(TypeError, "numbers or bools", "objects")
def a_constant_with_a_gap() -> None:
    rg.constant([1.0, None])  # here


@mistake(TypeError, "uint8", "int32")
def a_constant_of_a_dtype_that_is_not_offered() -> None:
    rg.constant(np.zeros(3, np.uint8))  # here


@mistake(ValueError, "GRUCell(128)", "width 128", "initial_state has width 100", "give initial_state a width of 128")
def initial_state_of_another_width() -> None:
    start = rg.placeholder("start", (None, 100))
    rg.dynamic_rnn(rg.GRUCell(128), sequence(64), initial_state=start)  # here


@mistake(ValueError, "initial_state")
def initial_state_of_another_structure() -> None:
    start = rg.placeholder("start", (None, 7))
    rg.dynamic_rnn(rg.BasicLSTMCell(7), sequence(), initial_state=start)  # here


@mistake(TypeError, "float32", "float64", "initial_state")
def initial_state_of_another_dtype() -> None:
    start = rg.placeholder("start", (None, 7), "float64")
    rg.dynamic_rnn(rg.GRUCell(7), sequence(), initial_state=start)  # here


@mistake(ValueError, "rank 2", "batch, time, features")
def inputs_without_time() -> None:
    x = rg.placeholder("x", (None, 5))
    rg.dynamic_rnn(rg.GRUCell(7), x)  # here


@mistake(ValueError, "fixed width", "declare the last size")
def inputs_of_open_width() -> None:
    x = rg.placeholder("x", (None, None, None))
    rg.dynamic_rnn(rg.GRUCell(7), x)  # here


@mistake(TypeError, "float", "int64", "rg.cast")
def inputs_of_integers() -> None:
    x = rg.placeholder("x", (None, None, 5), "int64")
    rg.dynamic_rnn(rg.GRUCell(7), x)  # here


@mistake(TypeError, "Tensor", "ndarray")
def inputs_that_are_an_array() -> None:
    rg.dynamic_rnn(rg.GRUCell(7), np.zeros((1, 2, 3)))  # type: ignore[arg-type]  # here


@mistake(TypeError, "needs a cell", "GRUCell(")
def a_class_for_a_cell() -> None:
    rg.dynamic_rnn(rg.GRUCell, sequence())  # type: ignore[arg-type]  # here


@mistake(TypeError, "list of cells", "MultiRNNCell([")
def a_stack_of_one_cell() -> None:
    rg.MultiRNNCell(rg.GRUCell(3))  # type: ignore[arg-type]  # here


@mistake(ValueError, "at least one cell")
def a_stack_of_nothing() -> None:
    rg.MultiRNNCell([])  # here


@mistake(ValueError, "state_is_tuple=False", "one state")
def a_joined_stack_of_tuples() -> None:
    rg.MultiRNNCell([rg.BasicLSTMCell(3)], state_is_tuple=False)  # here


@mistake(ValueError, "(0, 1]", "probability to keep", "1.5")
def keep_prob_above_one() -> None:
    rg.DropoutWrapper(rg.GRUCell(3), input_keep_prob=1.5)  # here


@mistake(ValueError, "(0, 1]", "output_keep_prob=0")
def keep_prob_zero() -> None:
    rg.DropoutWrapper(rg.GRUCell(3), output_keep_prob=0.0)  # here


@mistake(TypeError, "state_keep_prob", "scalar")
def keep_prob_a_vector() -> None:
    rg.DropoutWrapper(rg.GRUCell(3), state_keep_prob=rg.placeholder("k", (3,)))  # here


@mistake(TypeError, "state_keep_prob", "half")
def keep_prob_a_word() -> None:
    rg.DropoutWrapper(rg.GRUCell(3), state_keep_prob="half")  # type: ignore[arg-type]  # here


@mistake(ValueError, "num_units", "positive", "-3")
def negative_units() -> None:
    rg.GRUCell(-3)  # here


@mistake(TypeError, "num_units", "int", "3.5")
def fractional_units() -> None:
    rg.BasicRNNCell(3.5)  # type: ignore[arg-type]  # here


@mistake(ValueError, "tanhh", "tanh", "relu")
def an_unknown_activation() -> None:
    rg.BasicRNNCell(3, activation="tanhh")  # here


@mistake(ValueError, "cell_clip", "positive")
def a_negative_clip() -> None:
    rg.LSTMCell(3, cell_clip=-1.0)  # here


@mistake(ValueError, "width 5", "width 7", "give the cell 5 units")
def a_residual_of_another_width() -> None:
    cell = rg.ResidualWrapper(rg.GRUCell(7))  # here
    rg.dynamic_rnn(cell, sequence())


@mistake(ValueError, "sequence_length", "batch")
def lengths_of_another_batch() -> None:
    x = rg.placeholder("x", (4, None, 5))
    rg.dynamic_rnn(rg.GRUCell(7), x, sequence_length=[1, 2, 3])  # here


@mistake(TypeError, "sequence_length", "ints")
def lengths_of_floats() -> None:
    rg.dynamic_rnn(rg.GRUCell(7), sequence(), sequence_length=rg.placeholder("n", (None,)))  # here


@mistake(ValueError, "5", "7")
def sizes_that_do_not_fit() -> None:
    rg.placeholder("a", (None, 5)) + rg.placeholder("b", (None, 7))  # here


@mistake(TypeError, "float32", "float64", "rg.cast")
def dtypes_that_do_not_fit() -> None:
    rg.placeholder("a", (3,)) + rg.placeholder("b", (3,), "float64")  # here


@mistake(ValueError, "5 columns", "7 rows")
def a_product_that_does_not_fit() -> None:
    rg.placeholder("a", (None, 5)) @ rg.placeholder("b", (7, 3))  # here


@mistake(ValueError, "axis", "rank 2")
def an_axis_that_is_not_there() -> None:
    rg.reduce_sum(rg.placeholder("a", (3, 4)), axis=2)  # here


@mistake(ValueError, "index 9", "axis of 4")
def an_index_outside() -> None:
    rg.placeholder("a", (3, 4))[:, 9]  # here


@mistake(ValueError, "3 indices", "rank 2")
def too_many_indices() -> None:
    rg.placeholder("a", (3, 4))[0, 0, 0]  # here


@mistake(TypeError, "rg.where")
def a_truth_value() -> None:
    if rg.placeholder("a", ()) > 0:  # here
        pass


@mistake(TypeError, "iterated")
def iteration() -> None:
    list(rg.placeholder("a", (3,)))  # here


@mistake(ValueError, "reshape", "12", "5")
def a_reshape_that_does_not_fit() -> None:
    rg.reshape(rg.placeholder("a", (3, 4)), (5, -1))  # here


@mistake(ValueError, "split", "7")
def a_split_that_does_not_fit() -> None:
    rg.split(rg.placeholder("a", (None, 7)), 2)  # here


@mistake(TypeError, "float16", "float32")
def an_unknown_dtype() -> None:
    rg.placeholder("a", (3,), "float16")  # here


@mistake(ValueError, "not a size", "identifier")
def a_size_that_is_none() -> None:
    rg.placeholder("a", (-3,))  # here


@mistake(TypeError, "labels", "int")
def labels_of_floats() -> None:
    rg.sparse_softmax_cross_entropy(rg.placeholder("y", (None,)), rg.placeholder("l", (None, 3)))  # here


@mistake(ValueError, "reduction", "mean")
def an_unknown_reduction() -> None:
    rg.mean_squared_error(rg.placeholder("y", (3,)), rg.placeholder("p", (3,)), reduction="max")  # here


class Wordless(rg.Cell):
    """Cell whose step forgets the state."""

    def state(self) -> Any:
        return {"h": 3}

    def step(self, p: Any, x: rg.Tensor, state: Any) -> Any:
        return x


class Wrong(rg.Cell):
    """Cell whose step returns a state of another width."""

    def state(self) -> Any:
        return {"h": 3}

    def step(self, p: Any, x: rg.Tensor, state: Any) -> Any:
        return x, {"h": x}


class Renaming(rg.Cell):
    """Cell that requests one parameter with two shapes."""

    def state(self) -> Any:
        return {"h": 5}

    def step(self, p: Any, x: rg.Tensor, state: Any) -> Any:
        return x, {"h": x @ p.kernel("w", (5, 5)) + p.bias("w", (5,))}


@mistake(TypeError, "Wordless", "(output, state)")
def a_step_without_state() -> None:
    rg.dynamic_rnn(Wordless(), sequence())  # here


@mistake(ValueError, "Wrong", "width 3")
def a_step_with_a_state_of_another_width() -> None:
    rg.dynamic_rnn(Wrong(), sequence())  # here


@mistake(ValueError, "w", "another name")
def a_parameter_of_two_shapes() -> None:
    rg.dynamic_rnn(Renaming(), sequence())  # here


@mistake(TypeError, "zero_state", "positive int")
def zero_state_of_an_open_batch() -> None:
    rg.GRUCell(3).zero_state(None, "float32")  # type: ignore[arg-type]  # here


# Compiling ----------------------------------------------------------------------------------------


@mistake(ValueError, "two placeholders", "'x'", "rename")
def two_placeholders_of_one_name() -> None:
    first = rg.placeholder("x", (3,))
    second = rg.placeholder("x", (3,))  # here
    rg.compile(first + second)


@mistake(ValueError, "float scalar", "rg.reduce_mean")
def a_loss_that_is_no_scalar() -> None:
    x = rg.placeholder("x", (3,))
    rg.compile(x, loss=x)  # here


@mistake(ValueError, "mapping", "list")
def outputs_in_a_list() -> None:
    rg.compile([rg.placeholder("x", (3,))])  # here


@mistake(TypeError, "must be a Tensor")
def an_output_that_is_no_tensor() -> None:
    rg.compile({"y": 3.0})  # here


@mistake(ValueError, "two outputs", '"a/b"', "rename")
def two_outputs_of_one_path() -> None:
    x = rg.placeholder("x", (3,))
    rg.compile({"a/b": x * 1, "a": {"b": x * 2}})  # here


@mistake(ValueError, '"gradient/w"', "rename")
def an_output_named_like_a_gradient() -> None:
    rg.compile({"gradient": {"w": rg.placeholder("x", (3,)) * 2}})  # here


@mistake(ValueError, "target", "x86-64-v9", "x86-64-v3")
def an_unknown_target() -> None:
    rg.compile(rg.placeholder("x", (3,)), target="x86-64-v9")  # here


@mistake(ValueError, "unroll", "full")
def an_unroll_of_zero() -> None:
    rg.compile(rg.placeholder("x", (3,)), unroll=0)  # here


@mistake(ValueError, "fixed length", "int")
def a_full_unroll_of_an_open_length() -> None:
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(7), sequence())  # here
    rg.compile(outputs, unroll="full").inference(x=np.zeros((1, 2, 5)))


@mistake(ValueError, "size 4 does not match size 6")
def sizes_that_contradict_each_other() -> None:
    a, b = rg.placeholder("a", ("n", 3)), rg.placeholder("b", (4, 3))
    c = rg.placeholder("c", (6, 3))
    both = a + b
    product = a * c  # here
    rg.compile({"p": both, "q": product})


# Feeding ------------------------------------------------------------------------------------------


@mistake(KeyError, "needs x", "feed it by name")
def a_missing_feed() -> None:
    program().inference(n=[1])  # here


@mistake(KeyError, "no input 'z'", "x")
def an_unknown_feed() -> None:
    program().inference(**feeds(z=1))  # here


@mistake(KeyError, "no input 'y'")
def a_feed_of_the_loss_to_inference() -> None:
    program().inference(**feeds(y=[0, 0]))  # here


@mistake(ValueError, "feed x", "(2, 5)", "rank 3")
def a_feed_of_another_rank() -> None:
    program().inference(**feeds(x=np.zeros((2, 5))))  # here


@mistake(ValueError, "feed x", "axis 2 must be 5", "not 6")
def a_feed_of_another_width() -> None:
    program().inference(**feeds(x=np.zeros((2, 4, 6))))  # here


@mistake(ValueError, "feed n", "(3,)", "as in feed x (2, 4, 5)")
def feeds_of_different_batches() -> None:
    program().inference(**feeds(n=[1, 1, 1]))  # here


@mistake(ValueError, "feed n", "(1,)")
def a_feed_that_would_broadcast() -> None:
    program().inference(**feeds(n=[1]))  # here


@mistake(ValueError, "(0, 4, 5)", "at least one row")
def a_training_step_without_rows() -> None:
    trainer = rg.Trainer(program(), rg.SGD(0.1))
    trainer.step(**feeds(batch=0), y=np.zeros(0, np.int64))  # here


@mistake(ValueError, "holds 5", "sequence_length", "0..4")
def a_length_beyond_the_end() -> None:
    program().inference(**feeds(n=[1, 5]))  # here


@mistake(ValueError, "holds -1", "0..4")
def a_negative_length() -> None:
    program().inference(**feeds(n=[-1, 2]))  # here


@mistake(TypeError, "feed n", "float64", "int64")
def floats_for_integers() -> None:
    program().inference(**feeds(n=[1.0, 2.0]))  # here


@mistake(TypeError, "feed x", "complex128")
def complex_numbers() -> None:
    program().inference(**feeds(x=np.zeros((2, 4, 5), complex)))  # here


@mistake(TypeError, "feed x", "<U")
def words() -> None:
    program().inference(**feeds(x=np.full((2, 4, 5), "a")))  # here


@mistake(ValueError, "feed x", "pad")
def rows_of_different_lengths() -> None:
    program().inference(**feeds(x=[[[1.0] * 5] * 4, [[1.0] * 5] * 3]))  # here


@mistake(ValueError, "slice", "does not fit")
def a_zero_length_sequence_where_the_last_step_is_read() -> None:
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(7), sequence())
    rg.compile(outputs[:, -1]).inference(x=np.zeros((2, 0, 5)))  # here


@mistake(ValueError, "holds 9", "0..2")
def an_id_outside_the_table() -> None:
    ids = rg.placeholder("ids", (None,), "int64")
    rg.compile(rg.embedding(ids, 3, 4)).inference(ids=[0, 9])  # here


@mistake(TypeError, "seed", "int")
def a_seed_that_is_no_int() -> None:
    program().training(**feeds(), seed="a")  # here


@mistake(ValueError, "seed", "64 bits")
def a_seed_that_is_too_large() -> None:
    program().training(**feeds(), seed=2**70)  # here


@mistake(KeyError, "'nothing'", "outputs")
def a_result_that_is_not_there() -> None:
    program().inference(**feeds(), out={"nothing": np.zeros(3)})  # here


@mistake(ValueError, "logits", "[2, 3]")
def a_result_of_another_shape() -> None:
    program().inference(**feeds(), out={"logits": np.zeros((2, 4), np.float32)})  # here


@mistake(ValueError, "out= for outputs and for logits", "share memory")
def two_results_in_one_memory() -> None:
    memory = np.zeros(2 * 4 * 7, np.float32)
    out = {"outputs": memory.reshape(2, 4, 7), "logits": memory[:6].reshape(2, 3)}
    program().inference(**feeds(), out=out)  # here


@mistake(ValueError, "out= for", "share memory")
def two_results_of_a_stream_in_one_memory() -> None:
    x = sequence()
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(7), x)
    stream = rg.compile({"one": outputs, "two": outputs * 2}).inference.stream(batch=2)
    memory = np.zeros((3, 7), np.float32)
    stream.step(x=np.zeros((2, 5), np.float32), out={"one": memory[:2], "two": memory[1:]})  # here


@mistake(TypeError, "writable")
def a_result_that_is_no_array() -> None:
    program().inference(**feeds(), out={"logits": 3.0})  # here


@mistake(KeyError, "nonsense", "loops", "asm")
def an_unknown_stage() -> None:
    program().inference.show("nonsense")  # here


@mistake(ValueError, "loss", "rg.compile")
def an_evaluation_without_loss() -> None:
    rg.compile(sequence()).evaluate(x=np.zeros((1, 1, 5)))  # here


@mistake(ValueError, "(0, 1]", "2")
def a_fed_keep_prob_above_one() -> None:
    keep = rg.placeholder("keep", ())
    outputs, _ = rg.dynamic_rnn(rg.DropoutWrapper(rg.GRUCell(7), input_keep_prob=keep), sequence())
    rg.compile(outputs).training(x=np.zeros((1, 2, 5)), keep=2.0, seed=1)  # here


# Parameters and streams ---------------------------------------------------------------------------


@mistake(KeyError, "no parameter", "'w'", "dense/kernel")
def an_unknown_parameter() -> None:
    program().parameters["w"]  # here


@mistake(ValueError, "dense/bias", "(3,)", "(4,)")
def a_parameter_of_another_shape() -> None:
    program().parameters["dense/bias"] = np.zeros(4)  # here


@mistake(TypeError, "dense/bias", "can't be converted")
def a_parameter_of_words() -> None:
    program().parameters["dense/bias"] = ["a", "b", "c"]  # here


@mistake(KeyError, "missing", "strict=False")
def parameters_that_are_missing() -> None:
    program().parameters.load({"dense/bias": np.zeros(3)})  # here


@mistake(ValueError, "no file")
def parameters_from_nowhere() -> None:
    program().parameters.load("nowhere.npz")  # here


@mistake(ValueError, ".npz or .safetensors")
def parameters_to_another_kind_of_file() -> None:
    program().parameters.save("weights.pickle")  # here


@mistake(ValueError, "can't be streamed", "sequence_length")
def a_stream_over_lengths() -> None:
    program().inference.stream()  # here


@mistake(ValueError, "can't be streamed", "backward", "declared at")
def a_stream_backward() -> None:
    (_, outputs), _ = rg.bidirectional_dynamic_rnn(rg.GRUCell(3), rg.GRUCell(3), sequence())
    rg.compile(outputs).inference.stream()  # here


@mistake(ValueError, "can't be streamed", "reduce_sum runs over time")
def a_stream_of_a_sum_over_time() -> None:
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(3), sequence())
    rg.compile(rg.reduce_sum(outputs, 1)).inference.stream()  # here


@mistake(ValueError, "can't be streamed", "4", "None")
def a_stream_of_a_fixed_length() -> None:
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(3), sequence(time=4))
    rg.compile(outputs).inference.stream()  # here


@mistake(ValueError, "can't be streamed", "waits for the end")
def a_stream_of_a_decoder_with_its_encoder() -> None:
    _, state = rg.dynamic_rnn(rg.GRUCell(3), sequence())
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(3), rg.placeholder("z", (None, None, 2)), initial_state=state)
    rg.compile(outputs).inference.stream()  # here


def stream() -> rg.Stream:
    outputs, _ = rg.dynamic_rnn(rg.BasicLSTMCell(3), sequence())
    return rg.compile(outputs).inference.stream(batch=2)


@mistake(ValueError, "batch", "at least 1")
def a_stream_of_no_rows() -> None:
    rg.compile(sequence()).inference.stream(batch=0)  # here


@mistake(KeyError, "needs x")
def a_step_without_its_feed() -> None:
    stream().step()  # here


@mistake(ValueError, "feed x", "(3, 5)", "2 rows", "batch=3")
def a_step_of_another_batch() -> None:
    stream().step(x=np.zeros((3, 5), np.float32))  # here


@mistake(ValueError, "(2, 1, 5)", "takes one step", "stream.process")
def a_step_with_time() -> None:
    stream().step(x=np.zeros((2, 1, 5), np.float32))  # here


@mistake(ValueError, "takes a nest (c, h)", "ndarray")
def a_state_of_another_structure() -> None:
    stream().state = np.zeros((2, 3), np.float32)  # here


@mistake(ValueError, "(2, 3)", "(2, 4)")
def a_state_of_another_width() -> None:
    stream().state = (np.zeros((2, 4), np.float32), np.zeros((2, 4), np.float32))  # here


# The test -----------------------------------------------------------------------------------------


def line_of(function: Callable[[], Any]) -> int:
    """Return the line of a case that ends in ``# here``."""
    lines, first = inspect.getsourcelines(function)
    (offset,) = [number for number, line in enumerate(lines) if line.rstrip().endswith("# here")]
    return first + offset


@pytest.mark.parametrize("name", CASES)
def test_mistake(name: str) -> None:
    function, kind, words = CASES[name]
    with pytest.raises(rg.RnnGraphError) as caught:
        function()
    error, message = caught.value, str(caught.value)
    assert isinstance(error, kind), f"{type(error).__mro__} is no {kind.__name__}: {message}"
    place = re.match(r"(\S+?):(\d+): ", message)
    assert place, f"no place in: {message}"
    assert Path(place[1]).name == Path(__file__).name, message
    assert int(place[2]) == line_of(function), message
    assert [word for word in words if word not in message] == [], message


def test_a_rate_for_a_keep_prob_is_a_warning() -> None:
    with pytest.warns(UserWarning, match=r"test_errors.py:\d+.*probability to keep, not a dropout rate.*0.9"):
        rg.DropoutWrapper(rg.GRUCell(3), input_keep_prob=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rg.DropoutWrapper(rg.GRUCell(3), input_keep_prob=0.3)


def test_a_sequence_of_no_steps_has_a_defined_result() -> None:
    start = rg.placeholder("start", (None, 7))
    outputs, state = rg.dynamic_rnn(rg.GRUCell(7), sequence(), initial_state=start)
    actual = rg.compile({"outputs": outputs, "state": state}).inference(x=np.zeros((2, 0, 5)), start=np.ones((2, 7)))
    assert actual["outputs"].shape == (2, 0, 7)
    np.testing.assert_array_equal(actual["state"], np.ones((2, 7), np.float32))


def test_a_length_of_zero_has_a_defined_result() -> None:
    actual = program().inference(**feeds(n=[0, 4]))
    np.testing.assert_array_equal(actual["outputs"][0], np.zeros((4, 7), np.float32))
    assert np.isfinite(actual["logits"]).all()


def test_nan_past_the_end_has_no_effect() -> None:
    x = np.zeros((2, 4, 5), np.float32)
    clean = program(seed=1).inference(**feeds(x=x, n=[2, 3]))
    x[0, 2:], x[1, 3:] = np.nan, np.inf
    actual = program(seed=1).inference(**feeds(x=x, n=[2, 3]))
    for name, array in clean.items():
        np.testing.assert_array_equal(actual[name], array, name)


def test_an_error_leaves_the_program_usable() -> None:
    subject = program()
    expected = subject.inference(**feeds())
    for changes in ({"x": np.zeros((2, 4, 6))}, {"n": [9, 9]}, {"x": np.zeros((0, 4, 5)), "n": []}):
        with pytest.raises(rg.RnnGraphError):
            subject.inference(**feeds(**changes))
    np.testing.assert_array_equal(subject.inference(**feeds())["logits"], expected["logits"])


def test_errors_in_coroutines_name_the_line_that_runs_them() -> None:
    """An error in a coroutine names the line that runs it, not a line of Python's event loop."""

    async def declares() -> None:
        rg.GRUCell(-1)

    async def begins() -> None:
        await asyncio.create_task(rg_task())

    async def rg_task() -> None:
        rg.GRUCell(-1)

    x = rg.placeholder("x", (None, None, 3))
    pool = rg.compile(rg.dynamic_rnn(rg.GRUCell(2), x)[0]).inference.streams(1)
    handle = pool.open()
    runs = [declares, begins, lambda: pool.step_async(handle, x=[1, 2, 3])]
    for run in runs:
        with pytest.raises(rg.RnnGraphError) as error:
            asyncio.run(run())
        assert error.value.where.file == __file__
