"""Generation of tokens against repeated calls over the growing sequence."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Never

import numpy as np
import pytest

import rnngraph as rg

CLASSES = 23
FLOAT, INT = "float32", "int64"


def net(hidden: bool = False, delayed: bool = False, **options: Any) -> rg.Program:
    ids = rg.placeholder("ids", (None, None), "int64")
    x = rg.gather(rg.parameter("table", (CLASSES, 8)), ids)
    if delayed:
        x = x - rg.pad(x, ((0, 0), (1, 0), (0, 0)))[:, :-1]
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(17), x)
    logits = rg.dense(outputs, CLASSES)
    program = rg.compile({"logits": logits, "hidden": outputs} if hidden else logits, seed=4, **options)
    for name, array in program.parameters.items():
        program.parameters[name] = 4 * array  # larger weights, so that tokens differ
    return program


def prompt(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, CLASSES, shape)


@pytest.mark.parametrize("length", [1, 7, 300])
def test_tokens_are_those_of_whole_calls(length: int) -> None:
    program, sequence = net(), prompt(length).tolist()
    tokens = [*program.inference.generate(sequence, max_new=12)]
    for token in tokens:
        assert token == int(program.inference(ids=[sequence])[0, -1].argmax())
        sequence.append(token)
    assert len(tokens) == 12
    assert len(set(tokens)) > 1


@pytest.mark.parametrize(("hidden", "delayed"), [(False, False), (True, False), (False, True)])
def test_prompts_compute_the_last_logits_in_their_last_chunk(
    hidden: bool, delayed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, sequence = net(hidden, delayed), prompt(2, 140)
    output = {"output": "logits"} if hidden else {}
    after = np.stack([*program.inference.generate(sequence, max_new=3, **output)], 1)
    stream = program.inference.stream(batch=2)
    logits = stream.process(ids=sequence)
    last = (logits["logits"] if hidden else logits)[:, -1]
    np.testing.assert_array_equal(after[:, 0], last.argmax(-1))

    def refused(*arguments: Any, **named: Any) -> Never:
        raise AssertionError("a step of its own reads the last token")

    monkeypatch.setattr(rg.Stream, "step", refused)
    np.testing.assert_array_equal(next(program.inference.generate(sequence, max_new=1, **output)), after[:, 0])
    graph = stream._graph.of_last("logits" if hidden else "").compiled
    nodes = graph.optimized(tuple(name for name, _ in graph.graph.outputs)).nodes
    products = [node.shape for node in nodes if node.op == "matmul" and node.shape[-1] == CLASSES]
    assert products
    assert all(shape[0] == 1 for shape in products)


def test_rows_run_together_and_stop_separately() -> None:
    program, prompts = net(), prompt(3, 5)
    alone = [[*program.inference.generate(row, max_new=9)] for row in prompts]
    together = np.stack([*program.inference.generate(prompts, max_new=9)], 1)
    np.testing.assert_array_equal(together, alone)
    ends = {row[4] for row in alone}
    stopped = np.stack([*program.inference.generate(prompts, max_new=9, stop=ends)], 1)
    for row, tokens in zip(stopped, alone, strict=True):
        count = next(number for number, token in enumerate(tokens) if token in ends)
        np.testing.assert_array_equal(row[:count], tokens[:count])
        assert (row[count:] == -1).all()


def test_a_row_ends_before_its_stop() -> None:
    program = net()
    tokens = [*program.inference.generate(prompt(5), max_new=20)]
    end = tokens.index(tokens[6])
    for stop in (tokens[6], [tokens[6]], lambda token: token == tokens[6]):
        assert [*program.inference.generate(prompt(5), max_new=20, stop=stop)] == tokens[:end]
    assert [*program.inference.generate(prompt(5), max_new=0)] == []


def test_samples_are_those_of_rg_sample() -> None:
    program, sampling = net(), {"temperature": 0.9, "top_k": 5, "top_p": 0.95, "seed": 3}
    drawn = [*program.inference.generate(prompt(4), max_new=15, sample=sampling)]
    assert drawn == [*program.inference.generate(prompt(4), max_new=15, sample=sampling)]
    assert drawn != [*program.inference.generate(prompt(4), max_new=15, sample={**sampling, "seed": 4})]
    logits = rg.placeholder("logits", (None, None, CLASSES))
    whole = [*prompt(4), *drawn]
    rows = program.inference(ids=[whole[:-1]])[:, 3:]
    assert rg.compile(rg.sample(logits, **sampling)).inference(logits=rows)[0].tolist() == drawn
    assert [*program.inference.generate(prompt(4), max_new=3, sample={"temperature": 0})] == [
        *program.inference.generate(prompt(4), max_new=3)
    ]


def test_a_function_chooses() -> None:
    program = net()
    least = [*program.inference.generate(prompt(4), max_new=5, sample=lambda logits: int(logits.argmin()))]
    sequence = prompt(4).tolist()
    for token in least:
        assert token == int(program.inference(ids=[sequence])[0, -1].argmin())
        sequence.append(token)
    several = program.inference.generate(prompt(2, 4), max_new=5, sample=lambda logits: logits.argmin(-1))
    assert [int(tokens[0]) for tokens in several] == [
        *program.inference.generate(prompt(2, 4)[0], max_new=5, sample=np.argmin)
    ]


def test_a_net_that_draws_itself() -> None:
    ids = rg.placeholder("ids", (None, None), "int32")
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(17), rg.gather(rg.parameter("table", (CLASSES, 8)), ids))
    program = rg.compile({"token": rg.sample(rg.dense(outputs, CLASSES), seed=2)}, seed=4)
    sequence = prompt(4).tolist()
    for token in program.inference.generate(sequence, max_new=6):
        assert token == program.inference(ids=[sequence])["token"][0, -1]
        sequence.append(token)
    assert len(sequence) == 10
    with pytest.raises(rg.ArgumentError, match="the net itself draws its tokens"):
        program.inference.generate([1], sample={"seed": 1})


def test_input_and_output_are_chosen_by_name() -> None:
    program = net(hidden=True)
    with pytest.raises(rg.ArgumentError, match=r"logits f32\[B,T,23\], hidden f32\[B,T,17\]; choose by output="):
        program.inference.generate([1])
    assert len([*program.inference.generate([1], max_new=2, output="logits", input="ids")]) == 2
    with pytest.raises(rg.ArgumentError, match="output='logit' is not an output that gives logits"):
        program.inference.generate([1], output="logit")


def test_errors_list_the_candidates() -> None:
    x, ids, other = (
        rg.placeholder(name, (None, None), kind) for name, kind in zip("xij", (FLOAT, INT, INT), strict=True)
    )
    speaker = rg.placeholder("speaker", (None, 4))
    table = rg.parameter("table", (CLASSES, 8))
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(17), rg.gather(table, ids) + rg.expand_dims(x, 2))
    two, _ = rg.dynamic_rnn(rg.GRUCell(17), rg.gather(table, ids) + rg.gather(table, other))
    held, _ = rg.dynamic_rnn(rg.GRUCell(17), rg.gather(table, ids))
    for declared, options, words in (
        (outputs, {}, r"generate feeds only i, but the net also needs x f32\[B,T\]"),
        (two, {}, r"the net has several, i i64\[B,T\], j i64\[B,T\]; choose by input="),
        (two, {"input": "i"}, r"also needs j i64\[B,T\]"),
        (outputs, {"input": "x"}, r"input='x' is not an input that takes an integer .* but f32\[B,T\]; there are: i"),
        (held + rg.expand_dims(rg.dense(speaker, 17), 1), {}, r"also needs speaker f32\[B,4\]"),
        (held[:, :, 0], {}, r"the net lacks: it has the only output f32\[B,T\]"),
    ):
        with pytest.raises((rg.ArgumentError, rg.GraphError), match=words):
            rg.compile(declared).inference.generate([1], **options)


def test_a_conversation_continues(tmp_path: Path) -> None:
    program, path = net(), tmp_path / "talk.state"
    for options in ({"max_new": 6}, {"max_new": 50, "stop": [*program.inference.generate(prompt(9), max_new=9)][7]}):
        turn = program.inference.generate(prompt(9), **options)
        sequence = [*prompt(9), *turn]
        turn.save(path)
        expected = [*program.inference.generate([*sequence, 3, 1], max_new=8)]
        assert [*program.inference.generate([3, 1], max_new=8, state=path)] == expected
        assert [*program.inference.generate([3, 1], max_new=8, state=turn.state)] == expected
    assert path.stat().st_size < 4096
    with pytest.raises(rg.StructureError, match="state of another net"):
        net(hidden=True).inference.generate([1], state=path, output="logits")


@pytest.mark.slow
def test_a_conversation_continues_in_another_process(tmp_path: Path) -> None:
    program = net()
    turn = program.inference.generate(prompt(9), max_new=6)
    sequence = [*prompt(9), *turn]
    turn.save(tmp_path / "talk.state")
    program.save(tmp_path / "net")
    script = (
        "import sys, rnngraph as rg; program = rg.load(sys.argv[1])\n"
        "print([*program.inference.generate([3, 1], max_new=8, state=sys.argv[2])])\n"
        "with program.inference.generator() as generator:\n"
        "    print([*generator.submit([3, 1], max_new=8, state=sys.argv[2])])\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "net"), str(tmp_path / "talk.state")]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    assert lines == [str([*program.inference.generate([*sequence, 3, 1], max_new=8)])] * 2


def test_reading_the_state_does_not_change_a_generation() -> None:
    program = net()
    turn, tokens = program.inference.generate(prompt(2, 5), max_new=9), []
    states = []
    for token in turn:
        tokens.append(token)
        states.append(turn.state)
    np.testing.assert_array_equal(np.stack(tokens, 1), np.stack([*program.inference.generate(prompt(2, 5), 9)], 1))
    rows = np.concatenate([prompt(2, 5), np.stack(tokens[:4], 1)], 1)
    stream = program.inference.stream(2)
    stream.process(rows)
    np.testing.assert_array_equal(states[3].nest, stream.state)


def test_rows_that_stopped_keep_their_state() -> None:
    program, prompts = net(), prompt(3, 5)
    alone = [[*program.inference.generate(row, max_new=9)] for row in prompts]
    ends = {alone[0][3]}
    turn = program.inference.generate(prompts, max_new=9, stop=ends)
    list(turn)
    for row, ids in enumerate(prompts):
        one = program.inference.generate(ids, max_new=9, stop=ends)
        list(one)
        np.testing.assert_array_equal(turn.state.nest[row], one.state.nest[0])


def test_rows_draw_by_their_numbers() -> None:
    program, sampling = net(), {"temperature": 1.5}
    same = np.tile(prompt(1, 5), (2, 1))
    drawn = np.stack([*program.inference.generate(same, 12, sampling, number=[0, 7])], 1)
    for row, number in zip(drawn, (0, 7), strict=True):
        assert row.tolist() == [*program.inference.generate(same[0], 12, sampling, number=number)]
    assert drawn[0].tolist() != drawn[1].tolist()


INTERRUPTED = """
import collections, os, signal, sys, threading, rnngraph as rg
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
ids = rg.placeholder("ids", (None, None), "int64")
logits = rg.dense(rg.dynamic_rnn(rg.GRUCell(200), rg.embedding(ids, 23, 200))[0], 23)
program = rg.compile(logits, seed=1)
{prelude}
tokens = {tokens}
print("begun", flush=True)
while True:
    try:
        for _ in range(4):
            next(tokens)
        print("generates", flush=True)
        collections.deque(tokens, 0)
    except KeyboardInterrupt:
        {end}
        # It fell between two steps, where there was nothing to end. Again, a little later:
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
print(sum(1 for _ in tokens){times}, "more", flush=True)
print([*program.inference.generate([1], max_new=4)] == [*program.inference.generate([1], max_new=4)])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.slow
@pytest.mark.parametrize(
    ("prelude", "tokens", "word"),
    [
        ("", "program.inference.generate([1, 2], max_new=None)", "generates"),
        ("", "program.inference.generate([1] * 3_000_000, max_new=None)", "begun"),
        ("pool = program.inference.generator()", "pool.submit([1], max_new=10**9)", "generates"),
        ("pool = program.inference.generator()", "pool.submit([1] * 3_000_000, max_new=10**9)", "begun"),
    ],
)
def test_an_interrupt_ends_it_cleanly(prelude: str, tokens: str, word: str) -> None:
    # A pool generates in a thread: its handle cancels, and may have tokens that are not read yet.
    end, times = ("tokens.cancel(); break", " * 0") if prelude else ("if next(tokens, None) is None: break", "")
    script = INTERRUPTED.format(prelude=prelude, tokens=tokens, end=end, times=times)
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            while word not in process.stdout.readline():
                assert process.poll() is None
            time.sleep(0.3)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, err) == (0, "")
    assert [line for line in out.splitlines() if line != "generates"] == ["0 more", "True"]


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"ids": [1.5]}, rg.DtypeError, "takes integers as tokens, not float64"),
        ({"ids": []}, rg.ShapeError, "give at least one token"),
        ({"ids": [[1], [1, 2]]}, rg.ShapeError, "prompts of one length"),
        ({"ids": [1], "sample": {"heat": 1}}, rg.ArgumentError, "dict of temperature, top_k, top_p, seed"),
        ({"ids": [1], "stop": "a"}, rg.DtypeError, "must be a token, several"),
        ({"ids": [1], "max_new": -1}, rg.ArgumentError, "max_new"),
        ({"ids": [1], "input": "x"}, rg.ArgumentError, "there are: ids i64"),
        ({"ids": [1], "number": 1}, rg.ArgumentError, "nothing is drawn here"),
        ({"ids": [1], "sample": {"top_p": 0}}, rg.ArgumentError, "outside"),
        ({"ids": [1], "sample": {"top_k": 99}}, rg.ArgumentError, "of 23 classes"),
        ({"ids": [1], "stop": True}, rg.DtypeError, "must be a token"),
    ],
)
def test_errors_name_the_line(arguments: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        net().inference.generate(**arguments)
    assert caught.value.where.file == __file__  # type: ignore[attr-defined]


def test_nets_that_look_ahead_and_not_a_number_are_refused() -> None:
    ids = rg.placeholder("ids", (None, None), "int64")
    embedded = rg.gather(rg.parameter("table", (CLASSES, 8)), ids)
    ahead = rg.compile(rg.conv1d(embedded, CLASSES, 3, padding="same"))
    with pytest.raises(rg.GraphError, match="returns its outputs 1 steps later"):
        ahead.inference.generate([1])
    program = net()
    name = [*program.parameters][-1]
    program.parameters[name] = np.full_like(program.parameters[name], np.nan)
    with pytest.raises(rg.NonFiniteError, match="has NaN among its logits"):
        next(iter(program.inference.generate([1, 2])))
