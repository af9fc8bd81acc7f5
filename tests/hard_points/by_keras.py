"""Values of Keras' functions, computed by its torch backend."""

from __future__ import annotations

import json
import os
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import torch

from .cases import Entry
from .compare import weights_of
from .keras_models import MODELS, feeds_of, models
from .recorded import Arrays

HEADING = f"keras {keras.__version__} by torch {torch.__version__.partition('+')[0]}"
_MADE: dict[str, str] = {}


def _model(entry: Entry) -> Any:
    feeds = feeds_of(entry)
    keras.backend.clear_session()
    inputs = {name: keras.Input(array.shape[1:], name=name, dtype=str(array.dtype)) for name, array in feeds.items()}
    names = {"ops": keras.ops, "layers": keras.layers, "activations": keras.activations, "np": np, **inputs}
    found = eval(entry.case.expression, names)
    return keras.Model(list(inputs.values()), found if isinstance(found, list | tuple) else [found])


def values(entry: Entry) -> Arrays | None:
    """Return Keras' values ``y0``, …, and gradients ``dx`` of x; None if it raises an error."""
    torch.set_num_threads(1)
    keras.backend.set_floatx("float32")
    feeds = {name: torch.from_numpy(array.copy()) for name, array in feeds_of(entry).items()}
    floats = {name: item for name, item in feeds.items() if item.is_floating_point()}
    wants = entry.case.gradient is not None
    for item in floats.values():
        item.requires_grad_(wants)
    try:
        model = _model(entry)
        results = model(list(feeds.values()), training=False)
    except Exception:  # Keras raises several kinds
        return None
    outputs = list(results) if isinstance(results, list | tuple) else [results]
    _MADE[entry.key] = json.dumps(json.loads(model.to_json()), separators=(",", ":"))
    found = {f"y{place}": item.detach().numpy() for place, item in enumerate(outputs)}
    chosen = [item for item in outputs if item.requires_grad]
    if wants and chosen:
        factors = [torch.from_numpy(weights_of(item.detach().numpy())) for item in chosen]
        gradients = torch.autograd.grad(chosen, list(floats.values()), factors, allow_unused=True)
        found |= {
            "d" + name: item.numpy(force=True) for name, item in zip(floats, gradients, strict=True) if item is not None
        }
    return found


def keep(keys: list[str]) -> None:
    """Write the descriptions of new models, in addition to existing descriptions."""
    made = models() | _MADE
    lines = [f"{key} | {made[key]}\n" for key in keys if key in made]
    MODELS.write_text("".join(lines), encoding="utf-8")
