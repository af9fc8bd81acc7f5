"""Load a server of OpenAI's completions API, and measure tokens per second and the gaps between tokens.

    python benchmarks/completions.py URL [--callers 1 4 16] [--requests N] [--prompt-tokens N] [--tokens N]
    python benchmarks/completions.py URL --peer http://127.0.0.1:8080      the same load, one server after the other
    python benchmarks/completions.py URL --soak 10                         callers that come and go for ten minutes
    python benchmarks/completions.py --write model.gguf [--kind Q8_0]      a model for both: RWKV-7 with random weights

URL is http://HOST:PORT of examples/completions_server, or of any other server with /v1/completions and server-sent
events, such as llama.cpp's ``llama-server -m model.gguf --parallel 16``. Give both servers the same weights. Prompts
are random pieces of Shakespeare. In the soak test, some callers disconnect early. Each complete text is compared with
the text for the same request sent alone: ``lost`` counts requests without an end, ``changed`` those with another text.
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from large import gguf_net
from rich.console import Console
from rich.table import Table

TEXT = Path(__file__).resolve().parents[1] / "examples" / "data" / "shakespeare.txt.gz"
TIMEOUT_S = 120.0
CLASSES = 16384
"""Vocabulary size of the model that ``--write`` writes."""


@dataclass
class Response:
    """Response to one request, as its caller received it.

    Attributes:
        begun: Time at which the request was sent, in seconds.
        times: Time of each event with text, in seconds.
        text: The whole text.
        finish: The server's reason for the end, such as ``"length"``; None if the response did not end.
        tokens: Number of tokens as the server counts them; None if it does not say.
        status: HTTP status.
    """

    begun: float = 0.0
    times: list[float] = field(default_factory=list)
    text: str = ""
    finish: str | None = None
    tokens: int | None = None
    status: int = 0


def model_of(url: str) -> str:
    """Return the name of a server's model."""
    connection = _connection(url)
    connection.request("GET", "/v1/models")
    name: str = json.loads(connection.getresponse().read())["data"][0]["id"]
    return name


def ask(url: str, body: dict[str, Any], leave_after: int | None = None) -> Response:
    """Send a request and read its events; disconnect after ``leave_after`` events, if given."""
    response, connection = Response(time.perf_counter()), _connection(url)
    try:
        streamed = {**body, "stream": True, "stream_options": {"include_usage": True}}
        connection.request("POST", "/v1/completions", json.dumps(streamed), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        response.status = answer.status
        if answer.status != 200:
            answer.read()
            return response
        for event in _events(answer):
            response.tokens = (event.get("usage") or {}).get("completion_tokens", response.tokens)
            for choice in event.get("choices", ()):
                response.finish = choice.get("finish_reason") or response.finish
                if choice["text"]:
                    response.times.append(time.perf_counter())
                    response.text += choice["text"]
            if leave_after is not None and len(response.times) >= leave_after:
                break
    except OSError:
        response.finish = None
    finally:
        connection.close()
    return response


def _connection(url: str) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    return http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=TIMEOUT_S)


def _events(lines: Any) -> Iterator[dict[str, Any]]:
    for line in lines:
        data = line.decode().strip()
        if data.startswith("data: ") and data != "data: [DONE]":
            yield json.loads(data.removeprefix("data: "))


def prompts(count: int, seed: int) -> list[str]:
    """Return random pieces of Shakespeare, of about ``count`` characters each."""
    text, draw = gzip.decompress(TEXT.read_bytes()).decode("ascii"), random.Random(seed)
    return [
        text[(place := draw.randrange(len(text) - 2 * count)) : place + draw.randint(count // 2, 2 * count)]
        for _ in range(64)
    ]


# Load ------------------------------------------------------------------------------------------------


def load(url: str, callers: int, options: argparse.Namespace, seed: int) -> list[Response]:
    """Run callers in parallel, each of which sends its next request as soon as the last one is answered.

    ``seed`` selects the prompts.
    """
    texts, model = prompts(options.prompt_tokens, seed), model_of(url)
    bodies = [
        {"model": model, "prompt": texts[n % len(texts)], "max_tokens": options.tokens, "temperature": 0.8, "seed": n}
        for n in range(max(options.requests, callers))
    ]
    with ThreadPoolExecutor(callers) as threads:
        return [*threads.map(lambda body: ask(url, body), bodies)]


def row_of(answers: list[Response], seconds: float) -> list[str]:
    """Return a table's cells: tokens per second, milliseconds to the first token and between tokens, lost requests."""
    whole = [response for response in answers if response.finish is not None and response.times]
    tokens = sum(response.tokens if response.tokens is not None else len(response.times) for response in whole)
    first = [response.times[0] - response.begun for response in whole] or [float("nan")]
    gaps = [gap for response in whole for gap in np.diff(response.times)] or [float("nan")]
    at = [*np.percentile(first, [50, 99]), *np.percentile(gaps, [50, 99])]
    return [f"{tokens / seconds:,.0f}", *(f"{1e3 * value:.1f}" for value in at), str(len(answers) - len(whole))]


def compare(urls: dict[str, str], options: argparse.Namespace, console: Console) -> None:
    """Measure each server with each number of callers, and print a table."""
    table = Table("server", title="Completions by events", title_justify="left")
    for column in ("callers", "tokens/s", "first token ms, 50 %", "99 %", "between ms, 50 %", "99 %", "lost"):
        table.add_column(column, justify="right")
    for callers in options.callers:
        for name, url in urls.items():
            # The warm-up has other prompts than the measurement, as some servers cache the states of answered prompts.
            load(url, callers, argparse.Namespace(**{**vars(options), "requests": callers}), 100 + callers)
            begun = time.perf_counter()
            answers = load(url, callers, options, callers)
            table.add_row(name, str(callers), *row_of(answers, time.perf_counter() - begun))
    console.print(table)


# Soak ------------------------------------------------------------------------------------------------


class Soak:
    """Soak test: callers that connect and disconnect until a fixed time.

    Attributes:
        counts: Number of requests by outcome.
    """

    def __init__(self, url: str, options: argparse.Namespace) -> None:
        self._url, self._options, self._model = url, options, model_of(url)
        self._texts = prompts(options.prompt_tokens, 0)
        self._alone: dict[int, str] = {}
        self._lock = threading.Lock()
        self.counts = dict.fromkeys(("ended", "left", "refused", "lost", "changed"), 0)

    def _body(self, number: int) -> dict[str, Any]:
        draw = random.Random(number)
        return {
            "model": self._model,
            "prompt": draw.choice(self._texts),
            "max_tokens": draw.randint(1, 2 * self._options.tokens),
            "temperature": draw.choice([0, 0.7, 1.0]),
            "seed": number,
        }

    def prepare(self, requests: int) -> None:
        """Send each request alone, and store its text for the comparison."""
        for number in range(requests):
            self._alone[number] = ask(self._url, self._body(number)).text

    def run(self, seconds: float, callers: int, say: Callable[[str], None]) -> None:
        """Run ``callers`` callers for ``seconds`` seconds. ``say`` receives a line of progress now and then."""
        end = time.monotonic() + seconds
        threads = [threading.Thread(target=self._call, args=(seed, end)) for seed in range(callers)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            threads[0].join(min(60.0, max(1.0, end - time.monotonic())))
            say(", ".join(f"{count} {name}" for name, count in self.counts.items()))
            for thread in threads:
                thread.join(0 if time.monotonic() < end else TIMEOUT_S)

    def _call(self, seed: int, end: float) -> None:
        draw = random.Random(seed)
        while time.monotonic() < end:
            number = draw.choice([*self._alone])
            leaves = draw.randint(0, 10) if draw.random() < 0.2 else None
            response = ask(self._url, self._body(number), leaves)
            if response.status in (429, 503):
                what = "refused"
            elif leaves is not None and response.finish is None:
                what = "left"
            elif response.finish is None:
                what = "lost"
            else:
                what = "ended" if response.text == self._alone[number] else "changed"
            with self._lock:
                self.counts[what] += 1
            time.sleep(draw.random() * self._options.pause)


def main() -> None:
    """Run the mode that the command line selects."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", metavar="URL", nargs="?")
    parser.add_argument("--write", metavar="MODEL.gguf", type=Path, help="write a model with random weights, and end")
    parser.add_argument("--kind", choices=gguf_net.KINDS, default="Q8_0", help="type of its large matrices")
    parser.add_argument("--layers", type=int, default=12, help="layers of the model; --width: units of a layer")
    parser.add_argument("--width", type=int, default=768, help=argparse.SUPPRESS)
    parser.add_argument("--peer", metavar="URL", help="another server with the same weights")
    parser.add_argument("--callers", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--requests", type=int, default=48, help="requests for each number of callers")
    parser.add_argument("--prompt-tokens", type=int, default=200, help="characters of a prompt, about")
    parser.add_argument("--tokens", type=int, default=128, help="new tokens of a request")
    parser.add_argument("--soak", type=float, metavar="MINUTES", help="callers that come and go")
    parser.add_argument("--pause", type=float, default=0.2, help="seconds between two requests of a caller, at most")
    options = parser.parse_args()
    if options.write is not None:
        gguf_net.write(options.write, options.kind, options.layers, options.width, CLASSES, with_texts=True)
        return
    if options.url is None:
        parser.error("give the URL of a server, or --write MODEL.gguf")
    console = Console(highlight=False, width=None if Console().is_terminal else 140)
    if options.soak is None:
        compare({"rnngraph": options.url} | ({"peer": options.peer} if options.peer else {}), options, console)
        return
    soak = Soak(options.url, options)
    soak.prepare(32)
    callers = max(options.callers)
    soak.run(60 * options.soak, callers, console.print)
    if soak.counts["lost"] or soak.counts["changed"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
