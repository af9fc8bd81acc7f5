"""Values in printed graphs have the names of the user's variables, and printed graphs can be parsed."""

import linecache
import re
from pathlib import Path

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.ir.text.parser import parse

SCRIPT = """
class WordsCell(rg.Cell):
    def state(self):
        return {"memory": 3}
    def step(self, p, x, state):
        carry = x @ p.kernel("w", (x.width, 3))
        next = rg.tanh(carry + state["memory"] * scale)
        emit = next * 2
        output = emit + length
        over = rg.sigmoid(output)
        graph = over * 1.5
        return graph, {"memory": next}
x = rg.placeholder("x", (None, None, 4))
scale = rg.placeholder("scale", (3,))
length = rg.placeholder("length", (3,))
pair = rg.dynamic_rnn(WordsCell(), x)
doubled = pair[0] * 2
doubled += 1
unnamed, state = doubled - 1, pair[1]
"""


def declared(folder: Path) -> dict[str, rg.Tensor]:
    path = folder / "words.py"
    path.write_text(SCRIPT)
    names: dict[str, object] = {"rg": rg, "__name__": "words"}
    exec(compile(SCRIPT, str(path), "exec"), names)
    return {name: names[name] for name in ("doubled", "unnamed", "state")}  # type: ignore[misc]


def test_variables_name_values(tmp_path: Path) -> None:
    text = str(rg.compile(declared(tmp_path)).inference.graph)
    lines = [line.strip().partition("  ")[0] for line in text.splitlines()]
    assert "carry memory = broadcast : f32[B,3]" in lines
    assert "carry = matmul x_1, w_1 : f32[B,3]" in lines
    assert "next = tanh add : f32[B,3]" in lines
    assert "emit = mul next, f32(2.0) : f32[B,3]" in lines
    assert "next memory = next" in lines
    assert "emit output = graph" in lines
    assert "doubled_1 = add doubled, f32(1.0) : f32[B,T,3]" in lines
    assert "output 'doubled' = doubled_1" in lines
    assert not any(line.startswith("unnamed =") for line in lines)


def test_words_of_the_grammar_are_names_too(tmp_path: Path) -> None:
    program = rg.compile(declared(tmp_path))
    for stage in program.inference.stages[1:-4]:
        text = program.inference.show(stage)
        once = str(parse(text[text.index("graph ") :]))
        assert str(parse(once)) == once
        assert once.splitlines() == [re.sub(r"\s*#.*", "", line) for line in text[text.index("graph ") :].splitlines()]


def test_without_source_steps_alone_name_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linecache, "getlines", lambda *_: [])
    text = str(rg.compile(declared(tmp_path)).inference.graph)
    assert "next = tanh add" in text
    assert "doubled =" not in text


def test_local_variables_of_steps_name_values() -> None:
    """This includes cells of the package, and lines that assign several values."""

    class Twice(rg.Cell):
        def state(self) -> dict[str, int]:
            return {"h": 4}

        def step(self, p: rg.Scope, x: rg.Tensor, state: dict[str, rg.Tensor]) -> tuple[rg.Tensor, object]:
            left, right = rg.split(rg.concat([x, state["h"]]) @ p.kernel("w", (x.width + 4, 8)), 2)
            return left * right, {"h": left}

    cells = rg.MultiRNNCell([rg.LSTMCell(3), rg.DropoutWrapper(rg.GRUCell(3), input_keep_prob=0.5), Twice()])
    text = str(rg.compile(rg.dynamic_rnn(cells, rg.placeholder("x", (None, None, 2)))[0]).inference.graph)
    names = dict(re.findall(r"(?m)^    (\w+) = (\w+ [^ ,]+)", text))
    assert [names[gate] for gate in "ijo"] == ["slice gates[:"] * 3
    assert names["f"] == "add slice"
    assert {"r", "u", "gates_1", "left", "right"} <= set(names)
    assert "next c = c_1" in text
    # values have the name of an output, not of the next cell's input
    assert not any(re.match(r"x_\d", name) for name in names)


def test_a_program_is_no_value() -> None:
    x = rg.placeholder("x", (None, 4))
    program = rg.compile({"y": x * 2})
    assert "  mul = mul x, f32(2.0) : f32[B,4]" in str(program.inference.graph).replace("x_0", "B")


def test_a_captured_tensor_may_be_called_length(tmp_path: Path) -> None:
    """Formerly, a captured tensor with this name was validated like sequence_length."""
    program = rg.compile(declared(tmp_path))
    feeds = {"x": np.ones((2, 5, 4)), "scale": np.ones(3), "length": np.full(3, 1e6)}
    assert program.inference(feeds)["doubled"].shape == (2, 5, 3)


def test_declared_text_hides_sizes_without_a_name() -> None:
    x = rg.placeholder("x", (None, None, 4))
    outputs, _ = rg.dynamic_rnn(rg.BasicRNNCell(3), x)
    text = rg.compile(outputs).inference.show("declared")
    assert "x = input : f32[?,?,4]" in text
    assert not re.search(r"\b_\d+_\d+\b", text)
    assert repr(x) == "<Tensor x f32[?,?,4]>"
