"""``Model``: the net that the server runs, with its tokenizer, from a script or from a GGUF file."""

from __future__ import annotations

import inspect
import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gguf_model import names_of

import rnngraph as rg


class Model:
    """Net with its tokenizer, as the server runs it."""

    def __init__(
        self,
        name: str,
        generator: rg.Generator,
        encode: Callable[[str], list[int]],
        decode: Callable[[list[int]], str],
        stop: Any = None,
        prefix: str = "",
        source: str = "the model",
    ) -> None:
        """Create a model, whose generator reads ``prefix``, the beginning of all prompts, once."""
        self.name, self.generator, self.encode, self.decode, self.stop = name, generator, encode, decode, stop
        self.source = source
        tokens = encode(prefix) if prefix else []
        self.begin = generator.submit(tokens, max_new=0, keep_state=True).state if tokens else None

    def warm_up(self) -> None:
        """Compile the sampling functions that requests may need."""
        for sample in ({}, {"top_k": 1}, {"top_p": 0.5}, {"top_k": 1, "top_p": 0.5}):
            list(self.generator.submit([0], max_new=2, sample=sample))


def model_of(file: Path, weights: str | None, name: str | None, tokenizer: Path | None = None, **options: int) -> Model:
    """Return the model of a script, or of a GGUF file, and start its generator.

    Args:
        file: The script or GGUF file.
        weights: Kind of weights, for a script whose ``program`` is a function of the kind. None stands for float32.
        name: Name of the model; None for the file's name.
        tokenizer: File ``tokenizer.json`` for a GGUF file.
        **options: Limits of the generator.

    Raises:
        SystemExit: The file is missing, or it is not a model.
    """
    if not file.is_file():
        raise SystemExit(f"{file}: no such file; give a script with program, encode and decode, or a GGUF file")
    names = names_of(file, tokenizer) if file.suffix == ".gguf" else _variables(file)
    if missing := [word for word in ("program", "encode", "decode") if word not in names]:
        raise SystemExit(f"{file} has no {missing[0]}; a model is a script with program, encode and decode")
    program = _program(file, names["program"], weights)
    try:
        generator = program.inference.generator(**options, input=names.get("input"), output=names.get("output"))
    except rg.RnnGraphError as error:  # the net can't run step by step, or has several outputs that could be logits
        raise SystemExit(f"{file}: {error.what}") from error
    further = names.get("stop"), names.get("prefix", "")
    return Model(name or file.stem, generator, names["encode"], names["decode"], *further, source=file.name)


def _variables(script: Path) -> dict[str, Any]:
    """Run a script with its folder first on ``sys.path``, and return its module-level variables."""
    sys.path.insert(0, str(script.resolve().parent))
    return runpy.run_path(os.path.abspath(script))


def _program(file: Path, program: Any, weights: str | None) -> rg.Program:
    """Return the program of a script or GGUF file, with weights of a kind. Exits if that is impossible."""
    if isinstance(program, rg.Program):
        if weights is not None and file.suffix == ".gguf":
            raise SystemExit(
                f"--weights {weights} has no effect, because {file} has quantized its weights; leave it out"
            )
        if weights is not None:
            raise SystemExit(
                f"--weights {weights} has no effect, because program of {file} is compiled; compile or load it with "
                f'weights="{weights}", or write a function: def program(weights): return rg.load("net", '
                "weights=weights)"
            )
        return program
    if not callable(program):
        raise SystemExit(
            f"program of {file} is of type {type(program).__name__}; it must be an rg.Program, or a function of the "
            "kind of weights that returns one"
        )
    try:
        inspect.signature(program).bind("float32")
    except TypeError:
        raise SystemExit(f"program of {file} must have one argument, the kind: def program(weights): …") from None
    try:
        result = program(weights or "float32")
    except rg.ArgumentError as error:
        if weights is None:
            raise
        raise SystemExit(f"--weights {weights}: {error.what}") from error
    if not isinstance(result, rg.Program):
        raise SystemExit(
            f"program of {file} is a function that returns {type(result).__name__}; it must return an rg.Program"
        )
    return result
