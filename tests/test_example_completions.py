"""The completions server: its parts without a network, then with OpenAI's client and with callers that disconnect."""

from __future__ import annotations

import importlib.util
import json
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import rnngraph as rg

FOLDER = Path(__file__).resolve().parents[1] / "examples" / "completions_server"
CHARACTERS = [chr(number) for number in range(1, 128)]


def module(name: str, folder: Path = FOLDER) -> ModuleType:
    if name in sys.modules and Path(sys.modules[name].__file__ or "").parent == folder:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[name] = loaded
    spec.loader.exec_module(loaded)
    return loaded


pieces, protocol, gguf_model = module("pieces"), module("protocol"), module("gguf_model")
served_model = module("served_model")


# Without a network ----------------------------------------------------------------------------------


def decoded(tokens: list[int]) -> str:
    return bytes(tokens).decode(errors="replace")


@pytest.mark.parametrize("seed", range(20))
def test_pieces_are_the_text_up_to_the_first_stop(seed: int) -> None:
    draw = np.random.default_rng(seed)
    text = "".join(draw.choice(["a", "b", "ab", "ä", "日", "🙂"], 40))
    stops = ["".join(draw.choice(["a", "b", "ä", "日"], draw.integers(1, 5))) for _ in range(draw.integers(0, 4))]
    sender, sent = pieces.Pieces(decoded, stops), []
    for token in text.encode():
        sent.append(sender.add(token))
        if sender.is_stopped:
            break
    sent.append(sender.rest())
    places = [text.find(stop) for stop in stops if stop in text]
    assert "".join(sent) == text[: min(places, default=len(text))]
    assert sender.is_stopped == bool(places)
    assert "\N{REPLACEMENT CHARACTER}" not in "".join(sent)


def test_text_is_sent_as_soon_as_it_is_final() -> None:
    sender = pieces.Pieces(decoded, ["\n\n"])
    assert [sender.add(token) for token in "hé\nx\n\n".encode()] == ["h", "", "é", "", "\nx", "", ""]
    assert sender.is_stopped
    half = pieces.Pieces(decoded, [])
    assert [half.add("é".encode()[0]), half.rest()] == ["", "\N{REPLACEMENT CHARACTER}"]


def encode(text: str) -> list[int]:
    if unknown := {*text} - {*CHARACTERS}:
        raise ValueError(f"no {unknown.pop()!r}")
    return [CHARACTERS.index(character) for character in text]


def checked(**body: Any) -> Any:
    return protocol.checked_request(
        {"model": "tiny", "prompt": "hi", **body}, "tiny", encode, len(CHARACTERS), protocol.Limits(), "my_model.py"
    )


REFUSED: list[tuple[dict[str, Any], str | None, str]] = [
    ({"model": None}, "model", "model is missing"),
    ({"model": "gpt-5"}, "model", "no model 'gpt-5'"),
    ({"prompt": None}, "prompt", "must be a string"),
    ({"prompt": ""}, "prompt", "has 0 tokens"),
    ({"prompt": []}, "prompt", "must be a string"),
    ({"prompt": "日"}, "prompt", "can't be encoded by encode of my_model.py: no '日'"),
    ({"prompt": "a" * 20000}, "prompt", "has 20000 tokens"),
    ({"prompt": [1, 127]}, "prompt", "from 0 to 126"),
    ({"prompt": [1, True]}, "prompt", "from 0 to 126"),
    ({"prompt": [{}]}, "prompt", "from 0 to 126"),
    ({"max_tokens": -1}, "max_tokens", "an integer from 0 to 4096"),
    ({"max_tokens": 1e9}, "max_tokens", "an integer"),
    ({"max_tokens": True}, "max_tokens", "an integer"),
    ({"temperature": 2.5}, "temperature", "from 0 to 2"),
    ({"temperature": "hot"}, "temperature", "a number"),
    ({"temperature": float("nan")}, "temperature", "a number"),
    ({"top_p": 0}, "top_p", "above 0"),
    ({"top_k": 200}, "top_k", "from 0 to 127"),
    ({"n": 17}, "n", "from 1 to 16"),
    ({"n": 9, "prompt": ["a", "b"]}, "n", "18 choices"),
    ({"stop": ["a", ""]}, "stop", "none of them empty"),
    ({"stop": list("abcde")}, "stop", "up to 4"),
    ({"stop": 3}, "stop", "a string"),
    ({"seed": 2**63}, "seed", "an integer"),
    ({"stream": 1}, "stream", "true or false"),
    ({"stream_options": {"include_usage": True}}, "stream_options", "needs stream"),
    ({"logprobs": 3}, "logprobs", "not supported"),
    ({"echo": True}, "echo", "not supported"),
    ({"best_of": 4}, "best_of", "not supported"),
    ({"presence_penalty": 0.5}, "presence_penalty", "not supported"),
    ({"messages": []}, "messages", "unknown parameter"),
]


@pytest.mark.parametrize(("body", "param", "words"), REFUSED)
def test_invalid_requests_get_errors_that_name_the_mistake(body: dict[str, Any], param: str, words: str) -> None:
    with pytest.raises(protocol.RequestError, match=words) as caught:
        checked(**body)
    error = caught.value.body["error"]
    assert (error["param"], error["type"]) == (param, "invalid_request_error")
    assert caught.value.status == (404 if error["code"] == "model_not_found" else 400)


def test_parameters_without_effect_are_accepted() -> None:
    request = checked(echo=False, logprobs=None, best_of=1, frequency_penalty=0, logit_bias={}, user="me", n=2, top_k=3)
    assert (request.choices, request.max_tokens, request.sample) == (2, 16, {"temperature": 1.0, "top_k": 3})
    assert checked(temperature=0).sample is None
    assert checked(prompt=["a", [3, 4]], stop="x").prompts == [encode("a"), [3, 4]]


def test_tokens_of_a_gguf_vocabulary_are_the_longest_that_match() -> None:
    vocabulary = [b"", *(bytes([byte]) for byte in range(256)), b"th", b"the", b"them", "é".encode(), b" the", b"hem"]
    encode, draw = gguf_model.LongestMatch(vocabulary), np.random.default_rng(0)
    assert [vocabulary[token] for token in encode("the themé th")] == [b"the", b" the", b"m", "é".encode(), b" ", b"th"]
    for _ in range(20):
        text = "".join(draw.choice(["t", "h", "e", "m", " ", "é", "日"], 30))
        tokens = encode(text)
        assert b"".join(vocabulary[token] for token in tokens).decode() == text
        rest = text.encode()
        for token in tokens:
            assert len(vocabulary[token]) == max(len(item) for item in vocabulary if rest.startswith(item))
            rest = rest[len(vocabulary[token]) :]
    with pytest.raises(ValueError, match="no token for byte 0x62"):
        gguf_model.LongestMatch([b"a"])("ab")


def test_a_gguf_file_is_a_model(tmp_path: Path) -> None:
    for name in ("gguf", "starlette", "uvicorn", "prometheus_client"):
        pytest.importorskip(name, reason=f"a server of GGUF files needs {name}: pip install '.[completions,gguf]'")
    import gguf_files

    path, server = tmp_path / "small.gguf", module("server")
    path.write_bytes(gguf_files.gguf_file("rwkv7", "Q4_0").data)
    model = server.model_of(path, None, None, slots=2)
    with model.generator:
        request = protocol.checked_request(
            {"model": "small", "prompt": "(ab\n)", "max_tokens": 20, "temperature": 0},
            model.name,
            model.encode,
            model.generator.classes,
            protocol.Limits(),
        )
        completion = server.Completion(model, request, server.Metrics(model.generator))
        answer = server.asyncio.run(completion.whole())
        net = rg.read_gguf(path)
        assert [net.vocabulary[token] for token in request.prompts[0]] == [b"(", b"ab\n", b")"]
        tokens = [*net.program().inference.generate(request.prompts[0], max_new=20, stop=0)]
        assert answer["choices"][0]["text"] == b"".join(net.vocabulary[token] for token in tokens).decode()


def test_a_gguf_file_of_another_tokenizer_needs_one(monkeypatch: pytest.MonkeyPatch) -> None:
    net = SimpleNamespace(vocabulary=[b"a"], metadata={"tokenizer.ggml.model": "gpt2"}, program=lambda: None)
    monkeypatch.setattr(gguf_model.rg, "read_gguf", lambda path: net, raising=False)
    with pytest.raises(SystemExit, match=r"tokenizer gpt2, .* give --tokenizer tokenizer.json"):
        gguf_model.names_of(Path("x.gguf"), None)


TEXTS = """
encode = lambda text: [ord(character) for character in text]
decode = lambda tokens: "".join(map(chr, tokens))
"""
NOT_SERVED = [
    ("program = 3", None, "program of .*s.py is of type int; it must be an rg.Program"),
    ("program = lambda weights: weights", None, "is a function that returns str; it must return an rg.Program"),
    ("program = lambda: 3", None, "must have one argument"),
    ("import nets; program = lambda kind: nets.net(weights=kind)", "int5", "--weights int5: .* is not offered"),
    ("program = None", None, "is of type NoneType"),
    ("", None, "has no program; a model is a script"),
    (
        "import nets; program = nets.net()",
        "int4",
        r"--weights int4 has no effect, .* with weights=\"int4\", or write a",
    ),
    ("import nets; program = nets.net(True)", None, "s.py: this graph can.t be streamed: a backward recurrence"),
]
NETS = """
import rnngraph as rg
def net(is_backward=False, weights="float32"):
    ids = rg.placeholder("ids", (None, None), "int64")
    x = rg.embedding(ids, 128, 32)
    cells = rg.GRUCell(32), rg.GRUCell(32)
    outputs = rg.bidirectional_dynamic_rnn(*cells, x)[0] if is_backward else rg.dynamic_rnn(cells[0], x)[0]
    outputs = rg.concat([*outputs], -1) if is_backward else outputs
    return rg.compile({"logits": rg.dense(outputs, 128)}, seed=0, weights=weights)
"""


@pytest.mark.parametrize(("text", "weights", "words"), NOT_SERVED)
def test_a_script_that_is_no_model_is_an_error_with_the_reason(
    text: str, weights: str | None, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "nets.py").write_text(NETS)
    (tmp_path / "s.py").write_text(text + TEXTS)
    with pytest.raises(SystemExit, match=words):
        served_model.model_of(tmp_path / "s.py", weights, None)
    sys.modules.pop("nets", None)


def test_a_script_imports_from_its_folder_and_takes_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "nets.py").write_text(NETS)
    script = tmp_path / "folder" / "s.py"
    script.write_text("import nets; program = lambda weights: nets.net(weights=weights)" + TEXTS)
    model = served_model.model_of(Path("folder/s.py"), "bfloat16", None, slots=1)
    with model.generator:
        alone = sys.modules.pop("nets").net(weights="bfloat16").inference.generate([65, 66], max_new=6)
        assert [*model.generator.submit(model.encode("AB"), max_new=6)] == [*alone]
    with pytest.raises(SystemExit, match=r"misspelt.py: no such file; give a script"):
        served_model.model_of(Path("misspelt.py"), None, None)


def test_a_taken_port_is_no_address(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("starlette", "uvicorn", "prometheus_client"):
        pytest.importorskip(name, reason=f"a server needs {name}: pip install '.[completions]'")
    server, ran = module("server"), []
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = SimpleNamespace(host="127.0.0.1", port=port)
        running = SimpleNamespace(config=config, run=lambda sockets: ran.append(sockets[0].getsockname()))
        model, console = SimpleNamespace(name="tiny"), server.Console(highlight=False)
        with pytest.raises(SystemExit, match=rf"127.0.0.1:{port} can't be bound: Address.*; choose another by --port"):
            server.serve(model, running, console)
    assert (capsys.readouterr().out, ran) == ("", [])
    for host, refused, words in (("127.0.0.1", 1 << 16, "must be from 0 to 65535"), ("192.0.2.1", 0, "by --host")):
        config.host, config.port = host, refused
        with pytest.raises(SystemExit, match=words):
            server.serve(model, running, console)
    config.host, config.port = "127.0.0.1", 0
    server.serve(model, running, console)
    assert capsys.readouterr().out == f"tiny at http://127.0.0.1:{ran[0][1]}/v1\n"


# By HTTP ---------------------------------------------------------------------------------------------

MODEL = """
import rnngraph as rg
CHARACTERS = [chr(number) for number in range(1, 128)]
ids = rg.placeholder("ids", (None, None), "int64")
hidden, _ = rg.dynamic_rnn(rg.GRUCell(32), rg.embedding(ids, 127, 16))
program = rg.compile({"hidden": hidden, "logits": rg.dense(hidden, 127)}, seed=3)
output = "logits"
for name, array in program.parameters.items():
    program.parameters[name] = 4 * array
def encode(text):
    return [CHARACTERS.index(character) for character in text]
def decode(tokens):
    return "".join(CHARACTERS[token] for token in tokens)
"""
NEEDS = ("starlette", "uvicorn", "prometheus_client", "openai", "httpx")


class Running:
    """Server in a thread of this process, with its model and OpenAI's client."""

    def __init__(self, folder: Path, **options: int) -> None:
        self.code, openai = module("server"), pytest.importorskip("openai")
        (folder / "tiny.py").write_text(MODEL)
        self.model = self.code.model_of(folder / "tiny.py", None, None, **options)
        self.generator = self.model.generator
        self.program: rg.Program = runpy.run_path(str(folder / "tiny.py"))["program"]
        limits = protocol.Limits(max_tokens=10**7)
        self.server = self.code.server_of(self.code.app_of(self.model, limits), self.model, "127.0.0.1", 0, 1.0)
        self._thread = threading.Thread(target=self.server.run)
        self._thread.start()
        wait_until(lambda: self.server.started)
        self.port = self.server.servers[0].sockets[0].getsockname()[1]
        self.client = openai.OpenAI(base_url=f"http://127.0.0.1:{self.port}/v1", api_key="none", max_retries=0)
        self.openai = openai

    def stop(self) -> None:
        self.generator.close(cancel=True)
        self.server.should_exit = True
        self._thread.join()

    def alone(self, prompt: str, **options: Any) -> str:
        """Return the text of ``generate`` without a server."""
        return self.model.decode(
            [*self.program.inference.generate(self.model.encode(prompt), output="logits", **options)]
        )

    def metrics(self) -> dict[str, float]:
        import httpx

        lines = httpx.get(f"http://127.0.0.1:{self.port}/metrics").text.splitlines()
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}


def wait_until(holds: Any, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    for name in NEEDS:
        pytest.importorskip(name, reason=f"the server's tests need {name}: pip install '.[completions]' openai")
    server = Running(tmp_path_factory.mktemp("model"), slots=4, max_waiting=2, max_prefill=8)
    yield server
    server.stop()


def test_the_client_gets_the_tokens_of_generate(running: Running) -> None:
    client = running.client
    assert [model.id for model in client.models.list()] == ["tiny"] == [client.models.retrieve("tiny").id]
    greedy = client.completions.create(model="tiny", prompt="To be", max_tokens=30, temperature=0)
    assert greedy.choices[0].text == running.alone("To be", max_new=30)
    assert (greedy.choices[0].finish_reason, greedy.object) == ("length", "text_completion")
    assert greedy.usage is not None
    assert (greedy.usage.prompt_tokens, greedy.usage.completion_tokens, greedy.usage.total_tokens) == (5, 30, 35)
    drawn = client.completions.create(
        model="tiny", prompt=["To be", "or"], n=2, max_tokens=25, temperature=0.8, top_p=0.9, seed=7
    )
    sample = {"temperature": 0.8, "top_p": 0.9}
    expected = [
        running.alone(prompt, max_new=25, sample=sample, number=7 + index)
        for index, prompt in enumerate(("To be", "To be", "or", "or"))
    ]
    assert [choice.text for choice in drawn.choices] == expected
    tokens = client.completions.create(model="tiny", prompt=running.model.encode("To be"), max_tokens=30, temperature=0)
    assert tokens.choices[0].text == greedy.choices[0].text


def test_events_are_the_same_text(running: Running) -> None:
    options: dict[str, Any] = {"model": "tiny", "prompt": "To be", "max_tokens": 40, "seed": 5, "n": 2}
    whole = running.client.completions.create(**options)
    texts, finishes, usage = ["", ""], [None, None], None
    for event in running.client.completions.create(**options, stream=True, stream_options={"include_usage": True}):
        usage = event.usage
        for choice in event.choices:
            texts[choice.index] += choice.text
            finishes[choice.index] = choice.finish_reason
    assert texts == [choice.text for choice in whole.choices]
    assert finishes == ["length", "length"]
    assert usage == whole.usage


def test_a_stop_string_ends_a_text(running: Running) -> None:
    text = running.alone("To be", max_new=60, sample={}, number=5)
    stop = text[20:23]
    for stream in (False, True):
        answer = running.client.completions.create(
            model="tiny", prompt="To be", max_tokens=60, seed=5, stop=["\0", stop], stream=stream
        )
        events = [*answer] if stream else [answer]
        assert "".join(event.choices[0].text for event in events) == text[: text.index(stop)]
        assert events[-1].choices[0].finish_reason == "stop"
    wait_until(lambda: running.generator.running == 0)


def test_a_prefix_is_read_once(running: Running) -> None:
    model = running.model
    begun = running.code.Model("tiny", running.generator, model.encode, model.decode, prefix="You are a poet. ")
    read, request = running.generator.counts["read"], checked(prompt=["To be", "or"], max_tokens=20, temperature=0)
    metrics = running.code.Metrics(running.generator)
    answer = running.code.asyncio.run(running.code.Completion(begun, request, metrics).whole())
    expected = [running.alone(f"You are a poet. {prompt}", max_new=20) for prompt in ("To be", "or")]
    assert [choice["text"] for choice in answer["choices"]] == expected
    assert running.generator.counts["read"] == read + 7


def test_many_callers_at_once(running: Running) -> None:
    prompts = ["a" * (3 * number + 1) for number in range(6)]  # as many as slots and queue places

    def ask(prompt: str) -> str:
        events = running.client.completions.create(
            model="tiny", prompt=prompt, max_tokens=50, temperature=0, stream=True
        )
        return "".join(event.choices[0].text for event in events)

    with ThreadPoolExecutor(6) as threads:
        assert [*threads.map(ask, prompts)] == [running.alone(prompt, max_new=50) for prompt in prompts]


def raw(running: Running, body: bytes, path: str = "/v1/completions", method: str = "POST") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", running.port), timeout=20)
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    connection.sendall(head.encode() + body)
    return connection


@pytest.mark.parametrize("stream", [False, True])
def test_a_caller_that_disconnects_frees_its_slots(running: Running, stream: bool) -> None:
    left = running.metrics()["completions_left_total"]
    body = json.dumps({"model": "tiny", "prompt": "a", "max_tokens": 10**7, "stream": stream, "n": 2}).encode()
    connection = raw(running, body)
    wait_until(lambda: running.generator.running == 2)
    if stream:
        assert b"200 OK" in connection.recv(4096)
    connection.close()
    wait_until(lambda: running.generator.running == 0)
    wait_until(lambda: running.metrics()["completions_left_total"] == left + 1)
    events = running.client.completions.create(model="tiny", prompt="a", max_tokens=10**7, stream=True)
    next(iter(events))
    events.close()  # OpenAI's client disconnects
    wait_until(lambda: running.generator.running == 0)


def test_more_callers_than_may_wait_are_refused(running: Running) -> None:
    body = json.dumps({"model": "tiny", "prompt": "a", "max_tokens": 10**7, "stream": True, "n": 3}).encode()
    others = [raw(running, body) for _ in range(2)]
    wait_until(lambda: (running.generator.running, running.generator.waiting) == (4, 2))
    with pytest.raises(running.openai.RateLimitError, match="try again later") as caught:
        running.client.completions.create(model="tiny", prompt="a")
    assert caught.value.response.headers["retry-after"] == "1"
    for connection in others:
        connection.close()
    wait_until(lambda: running.generator.running == 0 == running.generator.waiting)
    assert running.client.completions.create(model="tiny", prompt="a").usage.completion_tokens == 16


@pytest.mark.parametrize(
    ("body", "path", "method", "status", "words"),
    [
        (b"{", "/v1/completions", "POST", 400, "not valid JSON"),
        (b"\xff", "/v1/completions", "POST", 400, "not valid JSON"),
        (b"[]", "/v1/completions", "POST", 400, "JSON object"),
        (b"[" * 100_000, "/v1/completions", "POST", 400, "not valid JSON"),
        (b"{" + b" " * (1 << 21), "/v1/completions", "POST", 413, "more than"),
        (b'{"model": "x", "prompt": "a"}', "/v1/completions", "POST", 404, "no model"),
        (b'{"model": "tiny", "prompt": "a", "echo": true}', "/v1/completions", "POST", 400, "not supported"),
        (b"", "/v1/completions", "GET", 405, "does not exist"),
        (b"{}", "/v1/chat/completions", "POST", 404, "does not exist"),
        (b"", "/v1/models/x", "GET", 404, "no model"),
    ],
)
def test_bad_requests_are_answered_in_openais_form(
    running: Running, body: bytes, path: str, method: str, status: int, words: str
) -> None:
    import httpx

    answer = httpx.request(method, f"http://127.0.0.1:{running.port}{path}", content=body)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert words in error["message"]
    assert error["type"] == "invalid_request_error"


def test_a_failure_of_the_model_is_an_error_of_the_server(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx

    def encode_wrongly(text: str) -> list[int]:
        raise KeyError(text)

    monkeypatch.setattr(running.model, "encode", encode_wrongly)
    answer = httpx.post(f"http://127.0.0.1:{running.port}/v1/completions", json={"model": "tiny", "prompt": "a"})
    error = answer.json()["error"]
    assert (answer.status_code, error["type"]) == (500, "server_error")
    assert error["message"] == "the server failed: KeyError"


def test_metrics_count(running: Running) -> None:
    before = running.metrics()
    running.client.completions.create(model="tiny", prompt="abc", max_tokens=9)
    after = running.metrics()
    grown = {name: after[name] - before.get(name, 0) for name in after}
    assert grown["completions_prompt_tokens_total"] == 3
    assert grown["completions_new_tokens_total"] == 9
    assert grown['completions_requests_total{status="200"}'] == 1
    assert (grown["completions_first_token_seconds_count"], grown["completions_token_seconds_count"]) == (1, 8)
    assert (after["completions_running"], after["completions_waiting"]) == (0, 0)


def test_no_request_is_lost_by_callers_that_connect_and_disconnect(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    benchmarks = FOLDER.parents[1] / "benchmarks"
    monkeypatch.syspath_prepend(benchmarks)
    load = module("completions", benchmarks)
    options = load.argparse.Namespace(prompt_tokens=30, tokens=20, pause=0.01, requests=8)
    url = f"http://127.0.0.1:{running.port}"
    soak = load.Soak(url, options)
    soak.prepare(8)
    soak.run(1.0, 6, lambda text: None)
    assert (soak.counts["lost"], soak.counts["changed"]) == (0, 0)
    assert soak.counts["ended"] > 10
    answers = load.load(url, 4, options, 1)
    assert [asked.finish for asked in answers] == ["length"] * 8
    assert load.row_of(answers, 1.0)[0] == "160"
    wait_until(lambda: running.generator.running == 0)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.slow
@pytest.mark.parametrize(("tokens", "finish"), [(10**6, "error"), (2000, "length")])
def test_sigterm_ends_within_a_bound(running: Running, tmp_path: Path, tokens: int, finish: str) -> None:
    (tmp_path / "tiny.py").write_text(MODEL)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, str(FOLDER / "server.py"), "serve", str(tmp_path / "tiny.py"), "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--grace", "2", "--max-tokens", str(10**7)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert "tiny at http://" in process.stdout.readline()
        client = running.openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=9)
        client.models.list()
        events = iter(client.completions.create(model="tiny", prompt="a", max_tokens=tokens, stream=True))
        next(events)
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        if finish == "error":
            with pytest.raises(running.openai.APIError, match="generator was closed"):
                list(events)
        else:
            assert [*events][-1].choices[0].finish_reason == "length"
        _, err = process.communicate(timeout=20)
        assert time.monotonic() - begun < 10
        assert (process.returncode, err) in [(0, ""), (-signal.SIGTERM, "")]
    finally:
        process.kill()
        process.wait()
