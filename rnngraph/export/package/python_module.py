"""A Python module that loads exported code with ctypes and NumPy alone."""

from __future__ import annotations

from typing import Any

from ...ir.types import dim_text
from .description import Description, filled

_HEAD = '''\
"""{name}: a recurrent net as native code, exported by rnngraph {version}.

Needs NumPy, and lib{name}.so beside this file.

{usage}
"""

import ctypes
import json
import os

import numpy as np

DESCRIPTION = json.loads(r"""
{description}
""")

'''

_STREAM_USAGE = """\
    net = Model()
    result = net.step(x=x_t)         # one time step: {output: array}
    result = net.process(x=chunk)    # a block of steps, with their axis"""

_SEQUENCE_USAGE = """\
    net = Model()
    result = net(x=x)                # whole sequences: {output: array}"""

_STREAM = '''
class Model:
    """One instance: its state goes on from call to call. Use it from one thread at a time.

    start: what the state begins with, by name, where the net asks for that. weights: of a net without weights of its
    own, the path of a safetensors file, or the bytes of one or of all parameters in canonical order.
    """

    def __init__(self, weights=None, library=None, **start):
        self._code = _loaded(library)
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
        return _packed(self._code, weights)

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
        """One time step: feeds and results without their axis of steps, or with one step's entries of it."""
        inputs = self._given("inputs", feeds, None)
        results = self._results(None)
        self._code.{name}_step(_address(self._memory), *map(_address, [*inputs, *results.values()]))
        return results

    def states(self, capacity):
        """A table of the states of so many streams, for ``step_rows``: bytes, each stream a row. All are as they are
        here now, which is the initial state after ``reset``.
        """
        count = sum(map(_bytes, DESCRIPTION["states"]))
        found = _aligned(capacity * count).reshape(capacity, count)
        for row in found:
            self._code.{name}_get_state(_address(self._memory), _address(row))
        return found

    def step_rows(self, states, rows, **feeds):
        """One time step of the streams ``rows`` of a table. Feeds and results are as of ``step``, with one more axis in
        front, of these streams. The state of this instance is lost.
        """
        rows = np.array(rows, np.uintp, order="C").reshape(-1)
        if len(np.unique(rows)) < len(rows) or (len(rows) and rows.max() >= len(states)):
            raise ValueError(f"rows must be different ones of {{len(states)}}")
        if states.dtype != np.uint8 or not states.flags.c_contiguous or not states.flags.writeable:
            raise ValueError("states must be as states(capacity) makes them")
        inputs = _arrays(DESCRIPTION["inputs"], feeds)
        for number, port in enumerate(DESCRIPTION["inputs"]):
            if port["name"] not in feeds:  # its default, for each
                inputs[number] = np.repeat(inputs[number][None], len(rows), 0)
        _check(DESCRIPTION["inputs"], inputs, lambda port: (len(rows), *_shape(port, None)))
        results = {{
            port["name"]: np.empty((len(rows), *_shape(port, None)), port["dtype"]) for port in DESCRIPTION["outputs"]
        }}
        places = [_address(self._memory), _address(states), _address(rows), ctypes.c_size_t(len(rows))]
        self._code.{name}_step_rows(*places, *map(_address, [*inputs, *results.values()]))
        return results

    def process(self, **feeds):
        """A block of steps: feeds and results with their axis of steps."""
        steps = self._steps(feeds)
        inputs = self._given("inputs", feeds, steps)
        results = self._results(steps)
        arrays = map(_address, [*inputs, *results.values()])
        self._code.{name}_process(_address(self._memory), ctypes.c_size_t(steps), *arrays)
        return results

{flush}    @property
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
            shape = np.shape(feeds.get(port["name"], 0))
            for dim, count in zip(port["shape"], shape):
                if not isinstance(dim, int):
                    return count // _entries(dim)
        return 1

    def _given(self, role, feeds, steps):
        arrays = _arrays(DESCRIPTION[role], feeds)
        _check(DESCRIPTION[role], arrays, lambda port: _shape(port, steps))
        return arrays

    def _results(self, steps):
        return {{port["name"]: np.empty(_shape(port, steps), port["dtype"]) for port in DESCRIPTION["outputs"]}}


def _shape(port, steps):
    """In a block of so many steps; None: in a step, whose axis of time is left out where it has one entry."""
    dims = [dim for dim in port["shape"] if dim != "steps" or steps is not None]
    return tuple(dim if isinstance(dim, int) else _entries(dim) * (1 if steps is None else steps) for dim in dims)


def _entries(dim):
    """Of an axis of time, those in a step."""
    return int(dim.split("*")[0]) if "*" in dim else 1


def _bytes(port):
    return int(np.prod(_shape(port, 1), dtype=int)) * np.dtype(port["dtype"]).itemsize
'''

_FLUSH = '''\
    def flush(self, **feeds):
        """What is still owed when the sequences end, and back to the initial state. feeds: those without steps."""
        ports = [port for port in DESCRIPTION["inputs"] if all(isinstance(dim, int) for dim in port["shape"])]
        inputs = _arrays(ports, feeds)
        _check(ports, inputs, lambda port: tuple(port["shape"]))
        results = {{port["name"]: np.empty(port["shape"], port["dtype"]) for port in DESCRIPTION["owed"]}}
        self._code.{name}_flush(_address(self._memory), *map(_address, [*inputs, *results.values()]))
        self.reset()
        return results

'''

_SEQUENCE = '''
SHAPES = {{
{shapes}
}}
"""By symbol of an array its shape at sizes."""


class Model:
    """The net. It keeps nothing between calls, and may be called from several threads at the same time.

    weights: of a net without weights of its own, the path of a safetensors file, or the bytes of one or of all
    parameters in canonical order.
    """

    def __init__(self, weights=None, library=None):
        self._code = _loaded(library)
        self._code.{name}_scratch_size.restype = ctypes.c_size_t
        self._weights = None
        if DESCRIPTION["weights"] == "external":
            self._weights = self.packed(weights)
        elif weights is not None:
            raise ValueError("{name} has weights of its own")

    def packed(self, weights):
        """Weights as ``use`` takes them: packed in memory that any number of models may share."""
        return _packed(self._code, weights)

    def use(self, packed):
        """Other weights from the next call on."""
        self._weights = packed

    def __call__(self, sizes=None, /, **feeds):
        """The results for whole sequences, by name.

        sizes: by name, those of DESCRIPTION["sizes"] that no feed has as an axis.
        """
        arrays = _arrays(DESCRIPTION["inputs"], feeds)
        sizes = _sizes(arrays, dict(sizes or {{}}))
        _check(DESCRIPTION["inputs"], arrays, lambda port: SHAPES[port["symbol"]](**sizes))
        counts = [ctypes.c_size_t(sizes[size["name"]]) for size in DESCRIPTION["sizes"]]
        needed = self._code.{name}_scratch_size(*counts)
        if needed == ctypes.c_size_t(-1).value:
            told = ", ".join(f"{{name}} = {{count}}" for name, count in sizes.items())
            raise ValueError(f"{name} can't take {{told}}; DESCRIPTION says which sizes are fixed")
        scratch, weights = np.empty(needed, np.uint8), self._weights
        outputs = DESCRIPTION["outputs"]
        results = {{port["name"]: np.empty(SHAPES[port["symbol"]](**sizes), port["dtype"]) for port in outputs}}
        net = None if weights is None else _address(weights)
        self._code.{name}_run(net, *counts, *map(_address, [*arrays, *results.values(), scratch]))
        return results


def _sizes(arrays, sizes):
    """All sizes of a call: those of axes, and what was given besides."""
    shapes = [port["shape"] for port in DESCRIPTION["inputs"]]
    for size in DESCRIPTION["sizes"]:
        name = size["name"]
        axes = [
            array.shape[axis]
            for array, shape in zip(arrays, shapes)
            for axis, dim in enumerate(shape)
            if dim == name and axis < array.ndim
        ]
        if axes or "fixed" in size:
            sizes.setdefault(name, axes[0] if axes else size["fixed"])
        elif name not in sizes and any(name in str(dim) for port in _ports() for dim in port["shape"]):
            raise TypeError("{name} can't tell the size " + name + " from what is fed; give it, by its name")
    return {{size["name"]: int(sizes.get(size["name"], 1)) for size in DESCRIPTION["sizes"]}}


def _ports():
    return [*DESCRIPTION["inputs"], *DESCRIPTION["outputs"]]
'''

_TAIL = '''

def _loaded(library):
    """The code, of this version of the interface."""
    folder = os.path.dirname(os.path.abspath(__file__))
    code = ctypes.CDLL(library or os.path.join(folder, "lib{name}.so"))
    if code.{name}_abi_version() != DESCRIPTION["abi_version"]:
        raise RuntimeError("lib{name}.so is of another version of the interface than {name}.py")
    return code


def _packed(code, weights):
    """Weights, packed into fresh memory."""
    if weights is None:
        raise ValueError("{name} needs weights: the path of a safetensors file, or its bytes")
    if isinstance(weights, (str, os.PathLike)):
        with open(weights, "rb") as file:
            weights = file.read()
    image = _aligned(len(weights))
    image[:] = np.frombuffer(weights, np.uint8)
    room = _aligned(DESCRIPTION["weights_size"])
    if code.{name}_set_weights(_address(room), _address(image), ctypes.c_size_t(len(weights))):
        raise ValueError("these are not {name}'s weights: names, types and shapes must be those in DESCRIPTION")
    return room


def _arrays(ports, feeds):
    """What is fed, in the order of the ports, as the code reads it."""
    unknown = set(feeds) - {{port["name"] for port in ports}}
    if unknown:
        raise TypeError("{name} has no input named " + ", ".join(sorted(unknown)))
    for port in ports:
        if port["name"] not in feeds and "default" not in port:
            raise TypeError("{name} needs " + port["name"])
    given = [feeds.get(port["name"], port.get("default")) for port in ports]
    return [np.asarray(value, port["dtype"], order="C") for value, port in zip(given, ports)]  # of one number, too


def _check(ports, arrays, shape_of):
    for port, array in zip(ports, arrays):
        if array.shape != shape_of(port):
            raise ValueError(f"{{port['name']}} has shape {{array.shape}}, not {{shape_of(port)}}")


def _aligned(count):
    raw = np.zeros(count + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + count]


def _address(array):
    return ctypes.c_void_p(array.ctypes.data)
'''


def python_module(net: Description, described: dict[str, Any]) -> str:
    """``NAME.py``."""
    usage = _STREAM_USAGE if net.is_stream else _SEQUENCE_USAGE
    form = _STREAM if net.is_stream else _SEQUENCE
    shapes = "" if net.is_stream else _shapes(net)
    return filled(_HEAD + form + _TAIL, net, described, _FLUSH, usage=usage, shapes=shapes)


def _shapes(net: Description) -> str:
    """Shapes of all arrays as functions of sizes."""
    sizes = ", ".join(size.name for size in net.sequence.sizes)
    ports = (*net.sequence.inputs, *net.sequence.outputs)
    dims = {port.symbol: "".join(f"{dim_text(dim)}, " for dim in port.shape).rstrip() for port in ports}
    return "\n".join(f'    "{symbol}": lambda {sizes}: ({inside}),' for symbol, inside in dims.items())
