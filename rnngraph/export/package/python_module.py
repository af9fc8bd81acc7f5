"""A Python module that loads exported code with ctypes and NumPy alone."""

from __future__ import annotations

import json
from typing import Any

from ...version import __version__
from .description import Description

_TEXT = '''\
"""{name}: a recurrent net as native code, exported by rnngraph {version}.

Needs NumPy, and lib{name}.so beside this file.

    net = Model()
    result = net.step(x=x_t)         # one time step: {{output: array}}
    result = net.process(x=chunk)    # a block of steps, with their axis
"""

import ctypes
import json
import os

import numpy as np

DESCRIPTION = json.loads(r"""
{description}
""")


class Model:
    """One instance: its state goes on from call to call. Use it from one thread at a time.

    start: what the state begins with, by name, where the net asks for that. weights: of a net without weights of its
    own, the path of a safetensors file, or the bytes of one or of all parameters in canonical order.
    """

    def __init__(self, weights=None, library=None, **start):
        folder = os.path.dirname(os.path.abspath(__file__))
        self._code = ctypes.CDLL(library or os.path.join(folder, "lib{name}.so"))
        if self._code.{name}_abi_version() != DESCRIPTION["abi_version"]:
            raise RuntimeError("lib{name}.so is of another version of the interface than {name}.py")
        self._memory = _aligned(DESCRIPTION["state_size"])
        self._start = self._given("initial_inputs", start, None)
        given = [_address(self._memory)]
        if DESCRIPTION["weights"] == "external":
            self._weights = self.packed(weights)
            given.append(_address(self._weights))
        elif weights is not None:
            raise ValueError("{name} has weights of its own")
        self._code.{name}_init(*given, *map(_address, self._start))

    def packed(self, weights):
        """Weights as ``use`` takes them: packed in memory that any number of instances may share."""
        if weights is None:
            raise ValueError("{name} needs weights: the path of a safetensors file, or its bytes")
        if isinstance(weights, (str, os.PathLike)):
            with open(weights, "rb") as file:
                weights = file.read()
        image = _aligned(len(weights))
        image[:] = np.frombuffer(weights, np.uint8)
        room = _aligned(DESCRIPTION["weights_size"])
        code = self._code.{name}_set_weights(_address(room), _address(image), ctypes.c_size_t(len(weights)))
        if code:
            raise ValueError("these are not {name}'s weights: names, types and shapes must be those in DESCRIPTION")
        return room

    def use(self, packed):
        """Other weights from the next step on; the state stays."""
        self._code.{name}_use_weights(_address(self._memory), _address(packed))
        self._weights = packed

    def reset(self, **start):
        """Back to the initial state."""
        if start:
            self._start = self._given("initial_inputs", start, None)
        self._code.{name}_reset(_address(self._memory), *map(_address, self._start))

    def step(self, **feeds):
        """One time step: feeds and results without their axis of steps."""
        inputs = self._given("inputs", feeds, None)
        results = self._results(None)
        self._code.{name}_step(_address(self._memory), *map(_address, [*inputs, *results.values()]))
        return results

    def process(self, **feeds):
        """A block of steps: feeds and results with their axis of steps."""
        steps = self._steps(feeds)
        inputs = self._given("inputs", feeds, steps)
        results = self._results(steps)
        arrays = map(_address, [*inputs, *results.values()])
        self._code.{name}_process(_address(self._memory), ctypes.c_size_t(steps), *arrays)
        return results

    @property
    def state(self):
        """All states, by name: copies. Setting takes the same."""
        saved = _aligned(max(1, sum(map(_bytes, DESCRIPTION["states"]))))
        self._code.{name}_get_state(_address(self._memory), _address(saved))
        found, place = {{}}, 0
        for port in DESCRIPTION["states"]:
            size = _bytes(port)
            found[port["name"]] = saved[place : place + size].view(port["dtype"]).reshape(port["shape"]).copy()
            place += size
        return found

    @state.setter
    def state(self, values):
        arrays = self._given("states", values, None)
        saved = np.concatenate([np.zeros(0, np.uint8), *(array.reshape(-1).view(np.uint8) for array in arrays)])
        self._code.{name}_set_state(_address(self._memory), _address(saved))

    def _steps(self, feeds):
        for port in DESCRIPTION["inputs"]:
            if "steps" in port["shape"] and port["name"] in feeds:
                shape = np.shape(feeds[port["name"]])
                axis = port["shape"].index("steps")
                if axis < len(shape):
                    return shape[axis]
        return 1

    def _given(self, role, feeds, steps):
        ports = DESCRIPTION[role]
        unknown = set(feeds) - {{port["name"] for port in ports}}
        if unknown:
            raise TypeError("{name} has no input named " + ", ".join(sorted(unknown)))
        arrays = []
        for port in ports:
            if port["name"] not in feeds and "default" not in port:
                raise TypeError("{name} needs " + port["name"])
            value = feeds.get(port["name"], port.get("default"))
            array = np.asarray(value, port["dtype"], order="C")  # of one number, too
            if array.shape != _shape(port, steps):
                raise ValueError(f"{{port['name']}} has shape {{array.shape}}, not {{_shape(port, steps)}}")
            arrays.append(array)
        return arrays

    def _results(self, steps):
        return {{port["name"]: np.empty(_shape(port, steps), port["dtype"]) for port in DESCRIPTION["outputs"]}}


def _shape(port, steps):
    if steps is None:
        return tuple(dim for dim in port["shape"] if dim != "steps")
    return tuple(steps if dim == "steps" else dim for dim in port["shape"])


def _bytes(port):
    return int(np.prod(_shape(port, 1), dtype=int)) * np.dtype(port["dtype"]).itemsize


def _aligned(count):
    raw = np.zeros(count + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + count]


def _address(array):
    return ctypes.c_void_p(array.ctypes.data)
'''


def python_module(net: Description, described: dict[str, Any]) -> str:
    """``NAME.py``."""
    return _TEXT.format(name=net.name, version=__version__, description=json.dumps(described, indent=1))
