"""Objects suggest what to write for missing attributes and calls, and otherwise behave normally."""

from __future__ import annotations

import copy
import json
import pickle
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.support.attribute_hints import (
    CALLED,
    INDEXED,
    OF_HANDLES,
    OF_HISTORIES,
    OF_NETS,
    OF_PARAMETERS,
    OF_RESULTS,
    OF_TENSORS,
    OF_TRAINERS,
    OPERATORS,
    Telling,
    Uncalled,
)

NAM = {
    "version": "0.5.0",
    "architecture": "LSTM",
    "config": {"input_size": 1, "hidden_size": 2, "num_layers": 1},
    "weights": [0.1] * 39,
}


@cache
def subjects() -> dict[str, Any]:
    x = rg.placeholder("x", (None, None, 3))
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(4), x)
    program = rg.compile({"y": outputs}, loss=rg.reduce_sum(outputs))
    return {
        "Program": program,
        "InferenceGraph": program.inference,
        "TrainingGraph": program.training,
        "Trainer": rg.Trainer(program),
        "Stream": program.inference.stream(),
        "StreamPool": program.inference.streams(),
        "Net": rg.read_nam(json.dumps(NAM).encode()),
        "Tensor": x,
        "Serving": program.inference.streams().serve(),
        "MemoryUsage": program.inference.memory(),
        "Cell": rg.GRUCell(3),
        "Parameters": program.parameters,
        "Arrays": rg.read_nam(json.dumps(NAM).encode()).parameters,
        "Result": program.inference(x=np.ones((1, 2, 3), np.float32)),
    }


@pytest.mark.parametrize(
    "name", ["Program", "InferenceGraph", "TrainingGraph", "Trainer", "Stream", "StreamPool", "Net"]
)
def test_names_of_other_frameworks_suggest_replacements(name: str) -> None:
    item = subjects()[name]
    for word, remedy in (OF_TRAINERS if name == "Trainer" else OF_NETS).items():
        if not hasattr(type(item), word) and word not in vars(item):
            with pytest.raises(rg.NotOfferedError, match=f"{name} has no attribute {word}; ") as error:
                getattr(item, word)
            assert remedy in str(error.value)
            assert "test_attribute_hints.py:" in str(error.value)


def test_answers_name_the_program_of_a_net_and_of_a_trainer() -> None:
    for name, text in (("Net", r"net\.program\(\)"), ("Trainer", r"trainer\.program")):
        with pytest.raises(rg.NotOfferedError, match=f"program.predict.*; program is {text}"):
            subjects()[name].predict(np.ones((1, 2, 3)))


KINDS = ("Program", "InferenceGraph", "TrainingGraph", "Trainer", "Stream", "StreamPool")
INTERNAL = {"gather", "sizes", "taps"}
"""Undocumented methods of graphs; docs/api.md uses these words in other senses."""
API = (Path(__file__).parents[2] / "docs/api.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["Net", *KINDS])
def test_names_of_another_object_of_rnngraph_are_suggested_there(name: str) -> None:
    item = subjects()[name]
    ours = {word for kind in KINDS for word in dir(type(subjects()[kind])) if word[0] != "_"} - INTERNAL
    documented = {word for word in ours if re.search(rf"`(\w+\.)*{word}\b", API)}
    assert {"explore", "process", "export_plugin", "clip_norm"} <= documented
    for word in sorted(documented):
        if not hasattr(type(item), word) and word not in vars(item):
            with pytest.raises(rg.NotOfferedError, match=f"{name} has no attribute {word}; "):
                getattr(item, word)


FIRST_LINES: dict[str, Callable[[Any, Any, Any], object]] = {
    "model(x)": lambda p, n, r: p(1),
    "net(x)": lambda p, n, r: n(1),
    "model.parameters()": lambda p, n, r: p.parameters(),
    "net.parameters()": lambda p, n, r: n.parameters(),
    "result()": lambda p, n, r: r(),
    "result.numpy()": lambda p, n, r: r.numpy(),
    "model.fit(x, y)": lambda p, n, r: p.fit(1, 2),
    "model.evaluate(x, y)": lambda p, n, r: p.evaluate(1, 2),
    "trainer.evaluate(x, y)": lambda p, n, r: subjects()["Trainer"].evaluate(1, 2),
    "trainer.step(x, y)": lambda p, n, r: subjects()["Trainer"].step(1, 2),
    "model.inference(x, y)": lambda p, n, r: p.inference(1, 2),
    "model.compile(optimizer, loss)": lambda p, n, r: p.compile(optimizer="adam", loss="mse"),
    "net.compile(optimizer, loss)": lambda p, n, r: n.compile(optimizer="adam", loss="mse"),
    "session.run(None, feeds)": lambda p, n, r: p.run(None, {"x": 1}),
    "session.get_inputs()": lambda p, n, r: n.get_inputs(),
    "model.score(x, y)": lambda p, n, r: p.score(1, 2),
    "compile(net)": lambda p, n, r: rg.compile(n),
}


@pytest.mark.parametrize("words", FIRST_LINES)
def test_first_lines_of_other_frameworks_are_answered(words: str) -> None:
    """Users' first lines from other frameworks raise an error with the line and the replacement."""
    program = subjects()["Program"]
    result = program.inference(x=np.ones((1, 2, 3), np.float32))
    with pytest.raises(rg.RnnGraphError, match=r"test_attribute_hints.py:[0-9]+: .*(write|has|give|see|runs)") as error:
        FIRST_LINES[words](program, subjects()["Net"], result)
    assert not isinstance(error.value, rg.NameLookupError)


def test_handles_of_a_pool_close_and_suggest_methods() -> None:
    pool = subjects()["Program"].inference.streams()
    handle = pool.open()
    for word, remedy in OF_HANDLES.items():
        with pytest.raises(rg.NotOfferedError, match=f"StreamHandle has no attribute {word}; ") as error:
            getattr(handle, word)
        assert remedy in str(error.value)
    handle.close()
    assert "closed" in repr(handle)
    with pytest.raises(rg.RnnGraphError):
        handle.close()


def test_attributes_of_other_tensors_suggest_replacements() -> None:
    x = subjects()["Tensor"]
    for word, remedy in OF_TENSORS.items():
        if hasattr(type(x), word):  # Tensors of TensorFlow 1 have some of these attributes once its names were used
            continue
        with pytest.raises(rg.NotOfferedError) as error:
            getattr(x, word)
        assert remedy in str(error.value)


def test_suggested_names_exist() -> None:
    """All suggested names exist: in ``rg``, or as methods of a program, graph, trainer, stream or Tensor."""
    tables = OF_NETS, OF_TRAINERS, OF_RESULTS, OF_TENSORS, OPERATORS, OF_HISTORIES, OF_PARAMETERS, CALLED, INDEXED
    for remedy in (remedy for table in tables for remedy in table.values()):
        for before, after in zip(remedy.split("rg.")[:-1], remedy.split("rg.")[1:], strict=True):
            name = after.split("(")[0].split(" ")[0].split(",")[0].split(".")[0]
            assert before == "" or not before[-1].isalpha()
            assert name in rg.__all__, remedy
        owners = {"program.": "Program", "trainer.": "Trainer", "stream.": "Stream", "memory.": "MemoryUsage"}
        for owner, item in owners.items():
            if f" {owner}" in f" {remedy}" and (name := remedy.split(owner)[1].split("(")[0].split(" ")[0]):
                place: Any = subjects()[item]
                for part in name.split("[")[0].rstrip(".,)").split("."):
                    place = getattr(place, part)


def test_unsupported_operators_suggest_replacements() -> None:
    x: Any = subjects()["Tensor"]

    def set_entry() -> None:
        x[0] = 1.0

    calls: list[Callable[[], object]] = [
        set_entry,
        lambda: round(x),
        lambda: np.asarray(x),
        lambda: np.array([x, x]),
        lambda: np.float32(x),
        lambda: f"{x:.3f}",
        lambda: x == 0,
        lambda: x != 1.5,
        lambda: x == np.float32(2),
        lambda: (x > 0) & (x < 1),
        lambda: ~x,
        lambda: 1 | x,
    ]
    for call in calls:
        with pytest.raises(rg.DtypeError, match=r"test_attribute_hints.py:[0-9]+: a Tensor (has no|never|is ==)"):
            call()
    assert f"{x}" == repr(x)


def test_misspelt_names_are_suggested() -> None:
    for name, word, meant in (
        ("Program", "infer", "inference"),
        ("Stream", "stepp", "step"),
        ("Tensor", "shap", "shape"),
    ):
        with pytest.raises(rg.NotOfferedError, match=f"did you mean {meant}"):
            getattr(subjects()[name], word)


def test_results_are_mappings() -> None:
    result = subjects()["Program"].inference(x=np.ones((1, 2, 3), np.float32))
    for word in ("y", "shape"):
        with pytest.raises(rg.NotOfferedError, match=r"write result\['y'\]"):
            getattr(result, word)


@pytest.mark.parametrize("key", ["out", 0, ["y"], slice(None), (slice(None), -1)], ids=str)
def test_results_and_nets_have_names_for_keys(key: Any) -> None:
    result = subjects()["Program"].inference(x=np.ones((1, 2, 3), np.float32))
    with pytest.raises(rg.NameLookupError, match=r"the result has no .*; it has y"):
        result[key]
    with pytest.raises(rg.NameLookupError, match=r"the net has no .* in this mapping; there are y"):
        subjects()["Net"].outputs[key]
    assert result["y"].shape == (1, 2, 4)
    assert result.get("out") is None


class TwoStates(rg.Cell):
    """Cell with a state of two names, which a namedtuple has as its fields."""

    def state(self) -> Any:
        return {"first": 2, "second": 2}

    def step(self, p: Any, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        h = rg.tanh(x @ p.kernel("w", (x.width, 2)) + state["first"])
        return h, {"first": state["second"], "second": h}


def test_mappings_within_results_suggest_names() -> None:
    """Mappings in results of every kind of call suggest the nearest name for a missing name."""
    x = rg.placeholder("x", (None, None, 3))
    outputs, state = rg.dynamic_rnn(rg.GRUCell(4), x)
    program = rg.compile(
        {"y": outputs, "deep": {"state": state, "more": [{"y": outputs}]}}, loss=rg.reduce_sum(outputs)
    )
    fed, trainer = np.ones((1, 2, 3), np.float32), rg.Trainer(program, rg.SGD(0.0))
    stream, fetch = program.inference.stream(), {"deep": {"state": state}}
    calls: list[Callable[[], Any]] = [
        lambda: program.inference(x=fed),
        lambda: program.training(x=fed),
        lambda: program.evaluate(x=fed),
        lambda: program.predict(fed),
        lambda: stream.process(x=fed),
        lambda: stream.step(x=fed[:, 0]),
        lambda: trainer.step(x=fed, fetch=fetch)[1],
    ]
    for call in calls:
        for _ in range(20):  # enough calls to switch to machine code
            result = call()
        with pytest.raises(rg.NameLookupError, match="the result has no 'stat'; did you mean state"):
            result["deep"]["stat"]
        if "more" in result["deep"]:
            with pytest.raises(rg.NameLookupError, match="the result has no 'out'; it has y"):
                result["deep"]["more"][0]["out"]


def test_errors_for_wrong_names_list_similar_ones() -> None:
    program, fed = subjects()["Program"], np.ones((1, 2, 3), np.float32)
    history = rg.History()
    history.append({"epoch": 1, "loss": 0.5})
    for _ in range(20):
        gradients = program.training.gradients(x=fed)[1]
    mappings: list[Any] = [
        gradients,
        program.inputs,
        program.inference.taps(x=fed),
        program.training.taps(x=fed),
        program.training.dropout_masks(x=fed, seed=0),
        history.row(1),
        rg.Trainer(program).evaluate(fed),
    ]
    for mapping in mappings:
        with pytest.raises(rg.NameLookupError, match="has no 'nothing_like_it'; it has "):
            mapping["nothing_like_it"]


def test_states_with_fields_suggest_names() -> None:
    x = rg.placeholder("x", (None, None, 3))
    fed = np.ones((1, 2, 3), np.float32)
    for cell, name, word in ((rg.LSTMCell(2), "LSTMStateTuple", "h"), (TwoStates(), "TwoStatesState", "second")):
        program = rg.compile({"state": rg.dynamic_rnn(cell, x)[1]})
        for _ in range(20):
            state = program.inference(x=fed)["state"]
        with pytest.raises(rg.NameLookupError, match=f"{name} has no entry '{word}'; write .{word}"):
            state[word]
        with pytest.raises(rg.NameLookupError, match=f"{name} has no entry 'memory'; it has .* .{word}"):
            state["memory"]
        with pytest.raises(rg.NotOfferedError, match=f"{name} has no attribute memory; it has .*{word}"):
            _ = state.memory
        assert not hasattr(state, "memory")
        np.testing.assert_array_equal(state[-1], getattr(state, word))
        assert [*state] == [state[0], state[1]]
        assert len(state[:1]) == 1
        with pytest.raises(IndexError):
            state[2]


def test_mappings_of_users_suggest_names() -> None:
    history = rg.History()
    history.append({"epoch": 1, "loss": 0.5})
    parameters = subjects()["Program"].parameters
    for item, words in ((history, OF_HISTORIES), (parameters, OF_PARAMETERS)):
        for word, remedy in words.items():
            with pytest.raises(rg.NotOfferedError) as error:
                getattr(item, word)
            assert remedy in str(error.value)
    with pytest.raises(rg.NotOfferedError, match=r"write history\['loss'\]"):
        _ = history.loss  # type: ignore[attr-defined]
    assert copy.deepcopy(history).epochs == pickle.loads(pickle.dumps(history)).epochs == 1


@pytest.mark.parametrize("name", INDEXED)
def test_objects_without_entries_suggest_attributes(name: str) -> None:
    item = subjects()[name]
    for look in (lambda: item["y"], lambda: item[0], lambda: [*item]):
        with pytest.raises(rg.CallError, match=f"{name} has no entries, such as .*; write "):
            look()


@pytest.mark.parametrize("name", CALLED)
def test_calls_of_objects_suggest_methods(name: str) -> None:
    if name == "Cell" and hasattr(rg.Tensor, "get_shape"):  # cells of TensorFlow 1 are callable
        return
    with pytest.raises(rg.CallError, match=f"{name} can't be called; write "):
        subjects()[name](np.ones(3))


def test_hasattr_of_missing_names_is_false() -> None:
    for item in subjects().values():
        assert not hasattr(item, "no_such_attribute")
        assert item is subjects()["Tensor"] or getattr(item, "__array__", None) is None
        assert getattr(item, "_no_such_attribute", 3) == 3
    program = subjects()["Program"]
    assert copy.copy(program) is not None
    assert pickle.loads(pickle.dumps(program)).inputs == program.inputs


def test_an_error_of_a_property_is_raised_unchanged() -> None:
    class Own(Uncalled):
        @property
        def odd(self) -> int:
            return self._made()  # type: ignore[attr-defined]

    with pytest.raises(AttributeError, match="_made"):
        _ = Own().odd
    assert issubclass(Uncalled, Telling)


def test_errors_list_the_names_of_a_net() -> None:
    net = subjects()["Net"]
    with pytest.raises(rg.NameLookupError, match="the net has no 'out' in this mapping; there are y"):
        net.outputs["out"]
    assert "out" not in net.outputs
    assert [*net.outputs] == ["y"]
