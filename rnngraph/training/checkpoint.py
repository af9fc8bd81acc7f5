"""Checkpoints: write a trainer's state to a file, and restore it."""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..ir.text.fingerprint import fingerprint
from ..program.program import Program
from ..storage.checkpoint_file import read, unpacked, write
from ..support.errors import FileError, Where, warn
from .fit.history import History
from .fit.position import Position
from .optimization.optimizers import Optimizer, optimizer_from, optimizer_text
from .optimization.pruning import prune_from, prune_text
from .steps.train_state import TrainState

KIND = "trainer"
PARAMETER, BEST, CARRIED = "parameter/", "best/", "carried/"
LEFT = "left/"
COUNTS = ("updates", "skipped", "pending", "epochs")


def save(state: TrainState, position: Position | None, path: str | os.PathLike[str]) -> None:
    """Write all state that the next step depends on. Errors come before anything is written."""
    write(path, KIND, *contents(state, position))


def contents(state: TrainState, position: Position | None) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return all state that the next step depends on, as arrays and JSON values."""
    program = state.program
    _, parameters = program.parameters.snapshot()
    arrays = {PARAMETER + name: array for name, array in parameters.items()}
    arrays |= {**state.slots, **state.sums}
    arrays |= {LEFT + name: array for name, array in state.remaining_blocks.items()}
    arrays |= {CARRIED + name: array for name, array in (state.carried or {}).items()}
    text: dict[str, Any] = {
        "optimizer": optimizer_text(state.optimizer),
        "clip_norm": state.clip_norm,
        "clip_value": state.clip_value,
        "accumulate": state.accumulate,
        "skip_non_finite": state.skip_non_finite,
        "shards": state.shards,
        "recompute": state.recompute,
        "prune": prune_text(state.prune),
        "trained": list(state.trained),
        "counts": {name: getattr(state, name) for name in COUNTS},
        "carries": state.carried is not None,
        "seed": state.seed,
        "generator": program.parts.seeds.state,
        "drawn": state.drawn,
        "loss": _loss_fingerprint(program),
    }
    if position is not None:
        arrays |= {BEST + name: array for name, array in position.best.items()}
        text["position"] = position.numbers()
        text["history"] = position.history.to_text()
    return arrays, text


class Checkpoint:
    """Contents of a trainer's file. No trainer or program changes before ``restore``."""

    def __init__(self, source: str | os.PathLike[str] | bytes, program: Program, where: Where | None) -> None:
        """Read a file, given by its path or bytes."""
        self._path = "a pickled trainer" if isinstance(source, bytes) else os.fspath(source)
        arrays, self._text = unpacked(source, KIND, self._path) if isinstance(source, bytes) else read(source, KIND)
        self._arrays = {name: array.copy() for name, array in arrays.items()}  # own writable memory
        self._where = where
        self._parameters = _part(self._arrays, PARAMETER)
        for name, array in program.parameters.items():
            saved = self._parameters.get(name)
            if saved is None or saved.shape != array.shape or saved.dtype != array.dtype:
                has = "no such parameter" if saved is None else f"{saved.dtype}{list(saved.shape)}"
                raise FileError(
                    f"{self._path} belongs to another program: {name} is {array.dtype}{list(array.shape)} here, and "
                    f"the file has {has}; load it for the program that it was saved from",
                    where,
                )
        if extra := [name for name in self._parameters if name not in program.parameters]:
            raise FileError(
                f"{self._path} belongs to another program: this one has no parameter {', '.join(extra)}; load "
                "it for the program that was saved",
                where,
            )

    def digest(self) -> int:
        """Return a checksum of the contents, so that processes can compare loaded checkpoints."""
        checksum = zlib.crc32(repr(self._text).encode())
        for name in sorted(self._arrays):
            checksum = zlib.crc32(self._arrays[name].tobytes(), zlib.crc32(name.encode(), checksum))
        return checksum

    def optimizer(self) -> Optimizer:
        """Return the optimizer. Raise ``ArgumentError`` if this version does not know its class."""
        return optimizer_from(self._text["optimizer"])

    def options(self) -> dict[str, Any]:
        """Return the arguments of the trainer besides the optimizer, by name."""
        text = self._text
        kept = {name: text[name] for name in ("clip_norm", "clip_value", "accumulate")}
        kept |= {"shards": text.get("shards"), "skip_non_finite": text.get("skip_non_finite", True)}
        kept |= {"recompute": text.get("recompute", "auto")}
        return {**kept, "only": text["trained"], "prune": prune_from(text.get("prune"))}

    def restore(self, state: TrainState) -> Position | None:
        """Set a trainer's state, the parameters and the generator of seeds. On errors, nothing changes.

        Return the position of an interrupted fit; None without one.
        """
        text, arrays, program = self._text, self._arrays, state.program
        slots = {name: arrays[name] for name in state.slots if name in arrays}
        if list(state.trained) != text["trained"] or slots.keys() != state.slots.keys():
            raise FileError(
                f"{self._path} belongs to another program: the loss of this one reads other parameters; load it for "
                "the program that was saved",
                self._where,
            )
        state.slots = slots
        state.sums = {name: array for name, array in arrays.items() if name.startswith("sum/")}
        state.carried = _part(arrays, CARRIED) if text["carries"] else None
        state.remaining_blocks = _part(arrays, LEFT)
        state.seed, state.drawn = text["seed"], text.get("drawn")
        for name in COUNTS:
            setattr(state, name, text["counts"][name])
        position = None
        if "position" in text:
            history = History.from_text(text["history"])
            position = Position(**text["position"], best=_part(arrays, BEST), history=history)
        if text.get("loss") not in (None, _loss_fingerprint(program)):
            warn(
                f"the loss of this program differs from the loss of the trainer in {self._path}, though the parameters "
                "have equal shapes; if you did not change the net, load the file into the program that was saved",
                self._where,
            )
        program.parameters.load(self._parameters)
        program.parts.seeds.state = text["generator"]
        return position


def _loss_fingerprint(program: Program) -> str:
    """Return a fingerprint of the loss's graph without dropout, so that training may resume with another rate."""
    return fingerprint(program.evaluation.compiled.pruned(("loss",)))


def _part(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """Return the arrays whose names begin with ``prefix``, by the rest of the name."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
