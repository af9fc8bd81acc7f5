"""Server for a language model with OpenAI's completions API, which batches many callers.

    python examples/completions_server/characters.py                       trains a model for two minutes
    python examples/completions_server/server.py serve                     serves it on port 8000
    python examples/completions_server/server.py serve my_model.py --weights int4
    python examples/completions_server/server.py serve rwkv7.gguf
    python examples/completions_server/server.py                           serves, asks itself once, and ends

A model is a script with ``program``, ``encode`` and ``decode``, such as characters.py. Callers use any OpenAI client,
such as the package ``openai``, with ``base_url="http://127.0.0.1:8000/v1"``. Needs ``pip install '.[completions]'``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import http.client
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pieces import Pieces
from protocol import Answer, CompletionRequest, Limits, RequestError, checked_request
from rich.console import Console
from served_model import Model, model_of

import rnngraph as rg

CHARACTERS = Path(__file__).with_name("characters.py")
RETRY_S = 1
"""Seconds after which a caller may try again when all slots are taken."""


class Totals:
    """Collector of the package ``prometheus_client`` for the numbers that the generator counts."""

    def __init__(self, generator: rg.Generator) -> None:
        self._generator = generator

    def collect(self) -> Iterator[Any]:
        """Yield a metric for each number."""
        core, generator = import_module("prometheus_client.core"), self._generator
        counts = generator.counts
        for name, text, number in (
            ("running", "Choices that are generated.", generator.running),
            ("waiting", "Choices that wait for a slot.", generator.waiting),
        ):
            yield core.GaugeMetricFamily(f"completions_{name}", text, number)
        for name, text, number in (
            ("prompt_tokens", "Tokens of prompts that were read.", counts["read"]),
            ("new_tokens", "Tokens that were generated.", counts["new"]),
            ("steps", "Steps of the batch.", counts["steps"]),
        ):
            yield core.CounterMetricFamily(f"completions_{name}", text, number)


class Metrics:
    """Metrics of a server: counts and times, for Prometheus."""

    def __init__(self, generator: rg.Generator) -> None:
        prometheus = import_module("prometheus_client")
        self._registry = prometheus.CollectorRegistry()
        self._text = prometheus.generate_latest
        own = {"registry": self._registry}
        self.requests = prometheus.Counter("completions_requests", "Requests by HTTP status.", ["status"], **own)
        self.left = prometheus.Counter("completions_left", "Requests whose caller went away.", **own)
        self.first = prometheus.Histogram("completions_first_token_seconds", "Time to the first token.", **own)
        self.between = prometheus.Histogram(
            "completions_token_seconds",
            "Time between two tokens of a choice.",
            buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5),
            **own,
        )
        self._registry.register(Totals(generator))

    def text(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return self._text(self._registry)


class Completion:
    """Generation for one request: its choices run as callers of the generator."""

    def __init__(self, model: Model, request: CompletionRequest, metrics: Metrics) -> None:
        """Start all choices, or none.

        Raises:
            RequestError: Too few slots are free.
        """
        self._model, self._metrics = model, metrics
        self.request, self.answer = request, Answer(model.name, request)
        self._handles: list[rg.GenerationHandle] = []
        prompts = [prompt for prompt in request.prompts for _ in range(request.choices)]
        for index, prompt in enumerate(prompts):
            number = None if request.sample is None else (request.seed + index + (1 << 63)) % (1 << 64) - (1 << 63)
            try:
                handle = model.generator.submit(
                    prompt, request.max_tokens, request.sample, model.stop, number=number, state=model.begin
                )
            except rg.BusyError as error:
                self.cancel()
                is_closed = not model.generator.is_running
                raise RequestError(str(error.what), None, None, 503 if is_closed else 429) from None
            self._handles.append(handle)

    @property
    def count(self) -> int:
        """Number of choices."""
        return len(self._handles)

    def cancel(self) -> None:
        """Cancel all running choices, which frees their slots."""
        for handle in self._handles:
            handle.cancel()

    async def texts(self, index: int) -> AsyncIterator[tuple[str, str | None]]:
        """Yield (text, None) whenever a choice has new text, and at its end (last text, reason)."""
        handle, pieces = self._handles[index], Pieces(self._model.decode, self.request.stops)
        before, is_first = time.perf_counter(), True
        async for token in handle:
            now = time.perf_counter()
            (self._metrics.first if is_first else self._metrics.between).observe(now - before)
            before, is_first = now, False
            self.answer.new_tokens += 1
            if text := pieces.add(token):
                yield text, None
            if pieces.is_stopped:
                handle.cancel()
                yield "", "stop"
                return
        rest = pieces.rest()
        yield rest, "stop" if pieces.is_stopped else handle.finish

    async def whole(self) -> dict[str, Any]:
        """Return the answer once all choices have ended."""

        async def one(index: int) -> tuple[str, str]:
            pieces = [piece async for piece in self.texts(index)]
            return "".join(text for text, _ in pieces), str(pieces[-1][1])

        ended = await asyncio.gather(*map(one, range(self.count)))
        return self.answer.whole([text for text, _ in ended], [finish for _, finish in ended])

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the events of all choices in order of arrival. Raise the error of the first choice that fails."""
        queue: asyncio.Queue[dict[str, Any] | BaseException | None] = asyncio.Queue(64)

        async def put(index: int) -> None:
            try:
                async for text, finish in self.texts(index):
                    await queue.put(self.answer.event(index, text, finish))
                await queue.put(None)
            except Exception as error:
                await queue.put(error)

        tasks = [asyncio.ensure_future(put(index)) for index in range(self.count)]
        try:
            left = self.count
            while left:
                event = await queue.get()
                if isinstance(event, BaseException):
                    raise event
                if event is None:
                    left -= 1
                else:
                    yield event
            if self.request.with_usage:
                yield self.answer.usage_event()
        finally:
            for task in tasks:
                task.cancel()


class Events:
    """ASGI response of server-sent events. The completion is cancelled when the caller goes away."""

    def __init__(self, completion: Completion, metrics: Metrics) -> None:
        self._completion, self._metrics = completion, metrics

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
        try:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            if not await ended_before(self._send(send), gone(receive)):
                self._metrics.left.inc()
        finally:
            self._completion.cancel()

    async def _send(self, send: Any) -> None:
        async def write(text: str, more: bool = True) -> None:
            await send({"type": "http.response.body", "body": f"data: {text}\n\n".encode(), "more_body": more})
            await asyncio.sleep(0)  # lets other tasks run, such as the one that notices a closed connection

        try:
            async for event in self._completion.events():
                await write(json.dumps(event))
            await write("[DONE]", more=False)
        except rg.RnnGraphError as error:  # the server is closing, or the net's output is NaN
            status = 503 if isinstance(error, rg.BusyError) else 500
            await write(json.dumps(RequestError(error.what, status=status).body), more=False)


async def gone(receive: Any) -> None:
    """Return once the caller has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def ended_before(work: Any, event: Any) -> bool:
    """Run ``work`` until it ends, or until ``event`` ends. Return True if the work ended first."""
    tasks = [asyncio.ensure_future(work), asyncio.ensure_future(event)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks[0].done():
            tasks[0].result()
        return tasks[0].done()
    finally:
        for task in tasks:
            task.cancel()
            with contextlib.suppress(BaseException):
                await task


def app_of(model: Model, limits: Limits | None = None) -> Any:
    """Return the ASGI application that serves a model."""
    limits = limits or Limits()
    responses, routing = import_module("starlette.responses"), import_module("starlette.routing")
    metrics, begun = Metrics(model.generator), int(time.time())
    described = {"id": model.name, "object": "model", "created": begun, "owned_by": "rnngraph"}

    def refusal(refused: RequestError) -> Any:
        metrics.requests.labels(str(refused.status)).inc()
        headers = {"Retry-After": str(RETRY_S)} if refused.status in (429, 503) else {}
        return responses.JSONResponse(refused.body, refused.status, headers)

    def begin(body: Any) -> Completion:
        classes = model.generator.classes or 1 << 62
        return Completion(
            model, checked_request(body, model.name, model.encode, classes, limits, model.source), metrics
        )

    async def completions(request: Any) -> Any:
        try:
            body = await body_of(request, limits.max_bytes)
            completion = await asyncio.to_thread(begin, body)
        except RequestError as error:
            return refusal(error)
        if completion.request.is_stream:
            metrics.requests.labels("200").inc()
            return Events(completion, metrics)
        answer: dict[str, Any] = {}

        async def work() -> None:
            answer.update(await completion.whole())

        try:
            if not await ended_before(work(), gone(request.receive)):
                metrics.left.inc()
                return responses.Response(status_code=499)  # the caller has closed the connection, so nobody reads this
        except rg.RnnGraphError as error:
            return refusal(RequestError(error.what, status=503 if isinstance(error, rg.BusyError) else 500))
        finally:
            completion.cancel()
        metrics.requests.labels("200").inc()
        return responses.JSONResponse(answer)

    async def models(request: Any) -> Any:
        return responses.JSONResponse({"object": "list", "data": [described]})

    async def one_model(request: Any) -> Any:
        name = request.path_params["name"]
        if name != model.name:
            text = f"there is no model {name!r}; this server has {model.name!r}"
            return refusal(RequestError(text, "model", "model_not_found", 404))
        return responses.JSONResponse(described)

    async def metrics_text(request: Any) -> Any:
        return responses.Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def health(request: Any) -> Any:
        is_running = model.generator.is_running
        return responses.JSONResponse({"status": "ok" if is_running else "closing"}, 200 if is_running else 503)

    async def other(request: Any, error: Any) -> Any:
        text = f"{request.method} {request.url.path} does not exist; there are POST /v1/completions and GET /v1/models"
        return refusal(RequestError(text, status=error.status_code))

    async def failed(request: Any, error: Exception) -> Any:
        return refusal(RequestError(f"the server failed: {type(error).__name__}", status=500))

    route = routing.Route
    return import_module("starlette.applications").Starlette(
        routes=[
            route("/v1/completions", completions, methods=["POST"]),
            route("/v1/models", models),
            route("/v1/models/{name:path}", one_model),
            route("/metrics", metrics_text),
            route("/health", health),
        ],
        exception_handlers={404: other, 405: other, Exception: failed},
    )


async def body_of(request: Any, max_bytes: int) -> Any:
    """Return the JSON of a request's body.

    Raises:
        RequestError: The body is too long, or it isn't JSON.
    """
    data = b""
    try:
        async for chunk in request.stream():
            data += chunk
            if len(data) > max_bytes:
                raise RequestError(f"the body has more than {max_bytes} bytes", status=413)
        return json.loads(data)
    except import_module("starlette.requests").ClientDisconnect:
        raise RequestError("the caller went away", status=499) from None
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are subclasses of ValueError
        raise RequestError(f"the body is not valid JSON: {error}") from None


def server_of(app: Any, model: Model, host: str, port: int, grace: float) -> Any:
    """Return a uvicorn server. After SIGTERM or SIGINT, running choices have ``grace`` seconds to end."""
    uvicorn = import_module("uvicorn")

    class Server(uvicorn.Server):  # type: ignore[misc, name-defined]
        """Server that closes the generator before its connections, so that callers receive the reason of the end."""

        def handle_exit(self, sig: int, frame: Any) -> None:
            threading.Thread(target=model.generator.close, kwargs={"timeout": grace}, daemon=True).start()
            super().handle_exit(sig, frame)

    config = uvicorn.Config(
        app, host, port, log_level="warning", timeout_graceful_shutdown=int(grace) + 2, timeout_keep_alive=30
    )
    return Server(config)


def serve(model: Model, server: Any, console: Console) -> None:
    """Bind the port, print the address, and serve until a signal comes.

    Raises:
        SystemExit: The port can't be bound.
    """
    config = server.config
    address = f"{config.host}:{config.port}"
    try:
        bound = socket.create_server(
            (config.host, config.port), family=socket.AF_INET6 if ":" in config.host else socket.AF_INET, backlog=2048
        )
    except OverflowError:
        raise SystemExit(f"port {config.port} must be from 0 to 65535; choose another by --port") from None
    except OSError as error:
        is_host = isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL
        reason = str(error.strerror).partition(" (")[0]
        raise SystemExit(
            f"{address} can't be bound: {reason}; choose another by --{'host' if is_host else 'port'}"
        ) from None
    with bound:
        host = f"[{config.host}]" if ":" in config.host else config.host
        console.print(f"{model.name} at http://{host}:{bound.getsockname()[1]}/v1", markup=False)
        server.run(sockets=[bound])


def show(options: argparse.Namespace, model: Model, server: Any, console: Console) -> None:
    """Serve in a thread, send one request, print the request and its answer, and end."""
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        connection = http.client.HTTPConnection("127.0.0.1", port)
        body = {"model": model.name, "prompt": "VIOLA.\n", "max_tokens": options.tokens, "stream": True, "seed": 1}
        console.print(f"POST /v1/completions {json.dumps(body)}", markup=False)
        begun = time.perf_counter()
        connection.request("POST", "/v1/completions", json.dumps({**body, "temperature": 0.8}))
        count = 0
        for line in connection.getresponse():
            data = line.decode().strip().removeprefix("data: ")
            if data and data != "[DONE]":
                count += 1
                console.print(json.loads(data)["choices"][0]["text"], end="", markup=False)
        console.print(f"\n{count} events in {time.perf_counter() - begun:.2f} s")
    finally:
        server.should_exit = True
        thread.join()


def main() -> None:
    """Run the command that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("role", nargs="?", choices=["serve", "show"], default="show")
    parser.add_argument("model", nargs="?", type=Path, default=CHARACTERS, help="script of a model, or a GGUF file")
    parser.add_argument("--tokenizer", type=Path, help="tokenizer.json for a GGUF file whose tokenizer is not rwkv")
    parser.add_argument("--name", help="name of the model (default: that of the script)")
    parser.add_argument("--weights", help="kind of weights, for a script whose program is a function of it")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--slots", type=int, default=16, help="choices that run at once")
    parser.add_argument("--max-waiting", type=int, default=64, help="choices that wait; more are answered 429")
    parser.add_argument("--max-prefill", type=int, default=64, help="tokens of prompts between two steps")
    parser.add_argument("--max-tokens", type=int, default=Limits.max_tokens, help="new tokens of a choice at most")
    parser.add_argument("--max-prompt", type=int, default=Limits.max_prompt, help="tokens of a prompt at most")
    parser.add_argument("--grace", type=float, default=20, help="seconds that choices may run on after SIGTERM")
    parser.add_argument("--tokens", type=int, default=400, help="tokens that show asks for")
    parser.add_argument("--quick", action="store_true", help="show little")
    options = parser.parse_args()
    if missing := [name for name in ("starlette", "uvicorn", "prometheus_client") if find_spec(name) is None]:
        text = f"{missing[0]} is not installed: pip install '.[completions]', or pip install {' '.join(missing)}"
        raise SystemExit(text)
    if options.role == "show":
        options.port, options.tokens = 0, 20 if options.quick else options.tokens
    limits = {"slots": options.slots, "max_waiting": options.max_waiting, "max_prefill": options.max_prefill}
    model = model_of(options.model, options.weights, options.name, options.tokenizer, **limits)
    model.warm_up()
    app = app_of(model, Limits(options.max_tokens, options.max_prompt, min(16, options.slots)))
    server, console = server_of(app, model, options.host, options.port, options.grace), Console(highlight=False)
    with model.generator:
        if options.role == "show":
            show(options, model, server, console)
        else:
            serve(model, server, console)


if __name__ == "__main__":
    main()
