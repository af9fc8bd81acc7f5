"""A trainer as arrays and text, and back."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, FileError, Where, warn
from ..ir.fingerprint import fingerprint
from ..program.program import Program
from ..storage.checkpoint_file import read, write
from .fit.history import History
from .fit.loop import Position
from .optimizers import optimizer_from, optimizer_text

if TYPE_CHECKING:
    from .trainer import Trainer

KIND = "trainer"
PARAMETER, BEST, CARRIED = "parameter/", "best/", "carried/"


def save(trainer: Trainer, path: str | os.PathLike[str]) -> None:
    """Writes all that the next step depends on. Raises before anything is written where a file can't hold it."""
    position = trainer.position
    _, parameters = trainer.program.parameters.snapshot()
    arrays = {PARAMETER + name: array for name, array in parameters.items()}
    arrays |= {**trainer.slots, **trainer.sums}
    arrays |= {CARRIED + name: array for name, array in (trainer.carried or {}).items()}
    text: dict[str, Any] = {
        "optimizer": optimizer_text(trainer.optimizer),
        "clip_norm": trainer.clip_norm,
        "clip_value": trainer.clip_value,
        "accumulate": trainer.accumulate,
        "trained": list(trainer.trained),
        "counts": {name: getattr(trainer, name) for name in COUNTS},
        "carries": trainer.carried is not None,
        "seed": trainer.seed,
        "generator": trainer.program.generator_state,
        "drawn": trainer.drawn,
        "loss": _meaning(trainer.program),
    }
    if position is not None:
        arrays |= {BEST + name: array for name, array in position.best.items()}
        text["position"] = position.numbers()
        text["history"] = position.history.to_text()
    write(path, KIND, arrays, text)


COUNTS = ("updates", "skipped", "pending", "epochs")


def load(kind: type[Trainer], path: str | os.PathLike[str], program: Program, where: Where | None) -> Trainer:
    """A trainer as ``save`` left it; ``program`` gets its parameters and its generator of seeds. All or nothing."""
    found, text = read(path, KIND)
    arrays = {name: array.copy() for name, array in found.items()}  # memory of their own, to write updates into
    shown = os.fspath(path)
    parameters = _part(arrays, PARAMETER)
    for name, array in program.parameters.items():
        given = parameters.get(name)
        if given is None or given.shape != array.shape or given.dtype != array.dtype:
            has = "no such parameter" if given is None else f"{given.dtype}{list(given.shape)}"
            raise FileError(
                f"{shown} is of another program: {name} is {array.dtype}{list(array.shape)} here, and the file has "
                f"{has}; load it into the program that it was saved from",
                where,
            )
    if extra := [name for name in parameters if name not in program.parameters]:
        raise FileError(f"{shown} is of another program: this one has no parameter {', '.join(extra)}", where)
    try:
        trainer = kind(
            program, optimizer_from(text["optimizer"]), text["clip_norm"], text["trained"],
            clip_value=text["clip_value"], accumulate=text["accumulate"],
        )  # fmt: skip
    except ArgumentError as error:
        raise FileError(f"can't load {shown}: {error.what}", where) from None
    slots = {name: arrays[name] for name in trainer.slots if name in arrays}
    if list(trainer.trained) != text["trained"] or slots.keys() != trainer.slots.keys():
        raise FileError(f"{shown} is of another program: the loss of this one reads other parameters", where)
    trainer.slots = slots
    trainer.sums = {name: array for name, array in arrays.items() if name.startswith("sum/")}
    trainer.carried = _part(arrays, CARRIED) if text["carries"] else None
    trainer.seed, trainer.drawn = text["seed"], text.get("drawn")
    for name in COUNTS:
        setattr(trainer, name, text["counts"][name])
    if "position" in text:
        history = History.from_text(text["history"])
        trainer.position = Position(**text["position"], best=_part(arrays, BEST), history=history)
    if text.get("loss") not in (None, _meaning(program)):
        warn(
            f"the loss of this program is computed otherwise than that of the trainer in {shown}, though its "
            "parameters are of the same shapes; if nothing was meant to change, load it into the program that it was "
            "saved from",
            where,
        )
    program.parameters.load(parameters)
    program.generator_state = text["generator"]
    return trainer


def _meaning(program: Program) -> str:
    """What the loss is without dropout: another rate of dropout is no other network, as other wiring is."""
    return fingerprint(program.evaluation.compiled.pruned(("loss",)))


def _part(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
