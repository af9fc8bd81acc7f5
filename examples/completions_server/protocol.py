"""Parses requests and builds answers in the form of OpenAI's completions API, independent of the network."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

NEUTRAL: dict[str, tuple[Any, ...]] = {
    "best_of": (None, 1),
    "echo": (None, False),
    "frequency_penalty": (None, 0),
    "logit_bias": (None, {}),
    "logprobs": (None,),
    "presence_penalty": (None, 0),
    "suffix": (None,),
}
"""OpenAI's parameters that are not supported, with the values that have no effect and are therefore accepted."""
KNOWN = {
    *("model", "prompt", "max_tokens", "temperature", "top_p", "top_k", "n", "stop", "seed", "stream"),
    *("stream_options", "user"),
}
SEEDS = 1 << 63


class RequestError(Exception):
    """Invalid request, which is answered by an error in OpenAI's form."""

    def __init__(self, message: str, param: str | None = None, code: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.param, self.code, self.status = param, code, status

    @property
    def body(self) -> dict[str, Any]:
        """Body of the answer."""
        kind = "invalid_request_error" if self.status < 429 else "server_error"
        kind = "rate_limit_error" if self.status == 429 else kind
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}


@dataclass(frozen=True)
class Limits:
    """Limits of a request.

    Attributes:
        max_tokens: Maximum new tokens of a choice.
        max_prompt: Maximum tokens of a prompt.
        max_choices: Maximum choices of a request, over all of its prompts.
        max_bytes: Maximum bytes of a body.
    """

    max_tokens: int = 4096
    max_prompt: int = 16384
    max_choices: int = 16
    max_bytes: int = 1 << 20


@dataclass(frozen=True)
class CompletionRequest:
    """Checked request.

    Attributes:
        prompts: Tokens of each prompt.
        choices: Number of choices for each prompt.
        max_tokens: Maximum new tokens of a choice.
        sample: Arguments of ``rg.sample``; None for the largest logit.
        seed: Seed of the first choice's draws. Each further choice has the next number as its seed.
        stops: Strings that end a choice.
        is_stream: True to answer by server-sent events.
        with_usage: True if the last event is a count of tokens.
    """

    prompts: list[list[int]]
    choices: int
    max_tokens: int
    sample: dict[str, Any] | None
    seed: int
    stops: list[str]
    is_stream: bool
    with_usage: bool


def checked_request(
    body: Any,
    model: str,
    encode: Callable[[str], list[int]],
    classes: int,
    limits: Limits,
    source: str = "the model",
) -> CompletionRequest:
    """Check a request.

    Args:
        body: Body of the request, parsed from JSON.
        model: Name of the model.
        encode: Returns the tokens of a text, or raises ``ValueError``.
        classes: Number of tokens in the vocabulary.
        limits: Limits of a request.
        source: Name of the script with ``encode``.

    Raises:
        RequestError: A parameter is missing, unknown, not supported, of a wrong type or out of its range.
    """
    if not isinstance(body, dict):
        raise RequestError("the body must be a JSON object")
    for name, value in body.items():
        if name not in KNOWN and value not in NEUTRAL.get(name, ()):
            if name in NEUTRAL:
                raise RequestError(
                    f"{name} is not supported by this server; leave it out", name, "unsupported_parameter"
                )
            raise RequestError(f"unknown parameter {name!r}", name, "unknown_parameter")
    if body.get("model") is None:
        raise RequestError(f"model is missing; this server has {model!r}", "model")
    if body["model"] != model:
        raise RequestError(
            f"there is no model {body['model']!r}; this server has {model!r}", "model", "model_not_found", 404
        )
    choices = _number(body, "n", 1, int, 1, limits.max_choices)
    prompts = _prompts(body.get("prompt"), encode, classes, limits, source)
    if len(prompts) * choices > limits.max_choices:
        raise RequestError(
            f"{len(prompts)} prompts with n={choices} are {len(prompts) * choices} choices, but a request may have at "
            f"most {limits.max_choices}; send several requests",
            "n",
        )
    warmth = _number(body, "temperature", 1.0, float, 0, 2)
    share = _number(body, "top_p", 1.0, float, 0, 1)
    count = _number(body, "top_k", 0, int, 0, classes)
    if share == 0:
        raise RequestError("top_p must be above 0; for the most probable token, set temperature to 0", "top_p")
    seed = body.get("seed")
    seed = random.getrandbits(62) if seed is None else _number(body, "seed", 0, int, -SEEDS, SEEDS - 1)
    sample: dict[str, Any] = {"temperature": warmth}
    sample |= {"top_p": share} if share < 1 else {}
    sample |= {"top_k": count} if count else {}
    streams = _flag(body, "stream")
    return CompletionRequest(
        prompts,
        choices,
        _number(body, "max_tokens", 16, int, 0, limits.max_tokens),
        sample if warmth else None,
        seed,
        _stops(body.get("stop")),
        streams,
        _with_usage(body.get("stream_options"), streams),
    )


def _number(body: Mapping[str, Any], name: str, default: Any, kind: type, least: float, greatest: float) -> Any:
    value = body.get(name)
    if value is None:
        return default
    kinds = (int, float) if kind is float else (int,)
    if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value <= greatest:
        what = "a number" if kind is float else "an integer"
        raise RequestError(f"{name} must be {what} from {least} to {greatest}, not {value!r}", name)
    return value


def _flag(body: Mapping[str, Any], name: str) -> bool:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise RequestError(f"{name} must be true or false, not {value!r}", name)
    return bool(value)


def _with_usage(options: Any, streams: bool) -> bool:
    if options is None:
        return False
    if not streams:
        raise RequestError("stream_options needs stream: true", "stream_options")
    if not isinstance(options, dict) or not options.keys() <= {"include_usage", "include_obfuscation"}:
        raise RequestError("stream_options must be an object with include_usage", "stream_options")
    return _flag(options, "include_usage")


def _stops(stop: Any) -> list[str]:
    stops = [] if stop is None else [stop] if isinstance(stop, str) else stop
    if not isinstance(stops, list) or not all(isinstance(item, str) and item for item in stops) or len(stops) > 4:
        raise RequestError("stop must be a string, or up to 4 strings, none of them empty", "stop")
    return stops


def _prompts(
    prompt: Any, encode: Callable[[str], list[int]], classes: int, limits: Limits, source: str
) -> list[list[int]]:
    """Return the tokens of each prompt. ``prompt`` is a text, a list of tokens, or a list of several of these."""
    is_one = isinstance(prompt, str) or (isinstance(prompt, list) and prompt and isinstance(prompt[0], int))
    several = [prompt] if is_one else prompt
    if not isinstance(several, list) or not several:
        raise RequestError("prompt must be a string, a list of tokens, or a list of these", "prompt")
    prompts = []
    for one in several:
        if isinstance(one, str):
            try:
                tokens = encode(one)
            except ValueError as error:
                raise RequestError(f"the prompt can't be encoded by encode of {source}: {error}", "prompt") from None
        elif isinstance(one, list) and all(type(token) is int and 0 <= token < classes for token in one):
            tokens = one
        else:
            raise RequestError(f"tokens of a prompt must be integers from 0 to {classes - 1}", "prompt")
        if not 0 < len(tokens) <= limits.max_prompt:
            raise RequestError(
                f"a prompt has {len(tokens)} tokens; it must have 1 to {limits.max_prompt}",
                "prompt",
                "context_length_exceeded" if tokens else None,
            )
        prompts.append(tokens)
    return prompts


class Answer:
    """Answer to one request, as JSON objects.

    Attributes:
        new_tokens: Number of tokens of all choices so far.
    """

    def __init__(self, model: str, request: CompletionRequest) -> None:
        self._head = {
            "id": f"cmpl-{uuid.uuid4().hex}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": model,
        }
        self._read = sum(map(len, request.prompts))
        self.new_tokens = 0

    def event(self, index: int, text: str, finish: str | None = None) -> dict[str, Any]:
        """Return the event with the next text of a choice. ``finish`` is the reason if the choice ends."""
        return {**self._head, "choices": [_choice(index, text, finish)]}

    def usage_event(self) -> dict[str, Any]:
        """Return the last event, which counts tokens."""
        return {**self._head, "choices": [], "usage": self._usage()}

    def whole(self, texts: list[str], finishes: list[str]) -> dict[str, Any]:
        """Return the answer with the complete texts of all choices, and the reasons why they ended."""
        choices = [_choice(index, *item) for index, item in enumerate(zip(texts, finishes, strict=True))]
        return {**self._head, "choices": choices, "usage": self._usage()}

    def _usage(self) -> dict[str, int]:
        new = self.new_tokens
        return {"prompt_tokens": self._read, "completion_tokens": new, "total_tokens": self._read + new}


def _choice(index: int, text: str, finish: str | None) -> dict[str, Any]:
    return {"text": text, "index": index, "logprobs": None, "finish_reason": finish}
