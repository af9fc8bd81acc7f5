"""Finds the arrays of a recurrent layer in a ``state_dict`` of torch.

Weights that torch computes from other arrays, by ``weight_norm`` or ``spectral_norm``, are computed here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..support.errors import StructureError
from .gates import as_floats

_NAME = re.compile(r"(weight_ih|weight_hh|weight_hr|bias_ih|bias_hh)(_l\d+(?:_reverse)?)?(_orig|_g|_v|_u)?")
_PARTS = {"original": "_orig", "original0": "_g", "original1": "_v", "0._u": "_u", "0._v": "_v"}
"""Suffixes that torch's older hooks give to parts of a weight, by their names in ``torch.nn.utils.parametrizations``.

For example, ``weight_ih_l0_g`` is called ``parametrizations.weight_ih_l0.original0`` in newer files.
"""


def layer_arrays(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arrays of the recurrent layer in a ``state_dict``, by names such as ``weight_ih``.

    The names of the module and of the layer are removed: ``encoder.weight_ih_l0`` → ``weight_ih``. Arrays of other
    modules are left out; other arrays of the layer's module keep their names. Without a recurrent layer, a copy of
    ``arrays`` is returned.

    Raises:
        StructureError: ``arrays`` contains several layers, or contains the ``state_dict`` under a key.
    """
    arrays_by_layer: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for key, value in arrays.items():
        module, name, suffix, part = _split_key(str(key))
        if name:
            arrays_by_layer.setdefault((module, suffix), {}).setdefault(name, {})[part] = value
    if len(arrays_by_layer) > 1:
        layers = ", ".join(".".join(filter(None, (module, f"*{suffix}"))) for module, suffix in arrays_by_layer)
        raise StructureError(f"the arrays are those of several layers: {layers}; give the arrays of one layer")
    inner = next((key for key, value in arrays.items() if isinstance(value, Mapping) and _has_layer(value)), None)
    if not arrays_by_layer and inner is not None:
        raise StructureError(f"the arrays are nested in {inner!r}; give arrays[{inner!r}]")
    if not arrays_by_layer:
        return dict(arrays)
    (((module, _), layer),) = arrays_by_layer.items()
    places = {key: str(key).rpartition(".") for key in arrays}
    others = {name: arrays[key] for key, (of, _, name) in places.items() if of == module and not _split_key(name)[1]}
    return {name: _weight(name, parts) for name, parts in layer.items()} | others


def _split_key(key: str) -> tuple[str, str, str, str]:
    """Split a key of a ``state_dict`` into (module, array, layer and direction, part of a parametrized weight).

    For example, ``rnn.weight_ih_l0_g`` → ``("rnn", "weight_ih", "_l0", "_g")``. The last three are ``""`` for keys that
    do not belong to a recurrent layer.
    """
    module, is_parametrized, rest = key.rpartition("parametrizations.")
    if is_parametrized:
        name, _, part = rest.partition(".")
        matched = _NAME.fullmatch(name + _PARTS.get(part, "?"))
        module = module.removesuffix(".")
    else:
        module, _, name = key.rpartition(".")
        matched = _NAME.fullmatch(name)
    return (module, matched[1], matched[2] or "", matched[3] or "") if matched else (module, "", "", "")


def _has_layer(arrays: Mapping[object, object]) -> bool:
    return any(_split_key(str(key))[1] for key in arrays)


def _weight(name: str, parts: Mapping[str, object]) -> object:
    """Return a weight from its parts by suffix. With ``weight_norm`` or ``spectral_norm``, it is computed from them.

    Raises ``StructureError`` for other parametrizations.
    """
    if "" in parts:
        return parts[""]
    arrays = {part: as_floats(f"{name}{part} of torch's arrays", value) for part, value in parts.items()}
    if arrays.keys() == {"_g", "_v"}:
        scale, direction = arrays["_g"], arrays["_v"]
        axes = tuple(axis for axis in range(direction.ndim) if axis >= scale.ndim or scale.shape[axis] == 1)
        return direction * (scale / np.sqrt(np.square(direction).sum(axes, keepdims=True)))
    if arrays.keys() == {"_orig", "_u", "_v"} and arrays["_orig"].ndim == 2:
        return arrays["_orig"] / (arrays["_u"] @ arrays["_orig"] @ arrays["_v"])
    listed = ", ".join(f"{name}{part}" for part in parts)
    raise StructureError(
        f"{name} is computed from {listed}, which is neither weight_norm nor spectral_norm; give the array {name} that "
        "the module computes"
    )
