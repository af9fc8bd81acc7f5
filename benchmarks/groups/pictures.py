"""Group that compares CRNNs, which read a line of text in a picture, with onnxruntime and torch: processor seconds.

Widths are symbolic in rnngraph's net and in the ONNX file, which torch writes. Weights are random.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from agreement import CLOSE
from timing import Times, measure, median, ratio, spread
from workloads import Call

import rnngraph as rg

from .basis import OWN, Options, Record, factor, milliseconds

CLASSES = 100


@dataclass(frozen=True)
class Line:
    """Batch of pictures of ``height`` rows and ``width`` columns, for a net of one of ``FRONTS``."""

    front: str
    height: int
    batch: int
    width: int

    @property
    def name(self) -> str:
        return f"CRNN, {self.front} H{self.height} B{self.batch} W{self.width}"


ROWS = tuple(
    Line(front, height, batch, width)
    for front, height in (("depthwise", 32), ("seven layers", 32), ("nine layers", 48))
    for batch, width in ((1, 100), (1, 400), (8, 200))
)


def pictures(options: Options) -> Iterator[Record]:
    nets: dict[tuple[str, int], tuple[Any, rg.Program[Any], float]] = {}
    for row in ROWS:
        if options.wants(row.name):
            key = row.front, row.height
            nets[key] = module, program, compiling = nets.get(key) or _net(row)
            x = np.random.default_rng(0).standard_normal((row.batch, 1, row.height, row.width)).astype(np.float32)
            calls: dict[str, Call] = {OWN: lambda program=program, x=x: program.inference(x=x)["y"]}
            for name, make in (("onnxruntime", _by_onnxruntime), ("torch", _by_torch)):
                if name in options.peers:
                    calls |= _agreeing(name, row, calls[OWN], make(module, x))
            times = measure(calls, None, options.rounds, clock=time.process_time)
            yield {"row": row.name, "figures": {"compile": compiling}, "times": times}


def pictures_cells(record: Record) -> dict[str, str]:
    times: Times = record["times"]
    cells = {
        "rnngraph ms": milliseconds(median(times, OWN)),
        "spread": f"{spread(times, OWN):.0%}",
        "compile s": f"{record['figures']['compile']:.2f}",
    }
    for name in times:
        if name != OWN:
            cells[name] = f"{milliseconds(median(times, name))} ({factor(ratio(times, name, OWN))})"
    return cells


def _net(row: Line) -> tuple[Any, rg.Program[Any], float]:
    """Return (torch module, rnngraph's program, seconds of the program's first call without cached code)."""
    import torch

    torch.manual_seed(0)
    module = _module(row.front).eval()
    x = torch.zeros(1, 1, row.height, 64)
    program = rg.read_torch(module, x, open={"x": {3: "W"}}).program(cache=False)
    start = time.process_time()
    program.inference(x=x.numpy())
    return module, program, time.process_time() - start


def _module(front: str) -> Any:
    from torch import nn

    def convolved(inputs: int, filters: int, size: int = 3, **more: Any) -> list[Any]:
        return [nn.Conv2d(inputs, filters, size, bias=False, **more), nn.BatchNorm2d(filters), nn.ReLU()]

    def separable(inputs: int, filters: int, stride: tuple[int, int]) -> list[Any]:
        deep = convolved(inputs, inputs, stride=stride, padding=1, groups=inputs)
        return [*deep, *convolved(inputs, filters, 1)]

    class Net(nn.Module):
        """Convolutions, the mean over rows, a recurrence in both directions over columns, and scores of letters."""

        def __init__(self, layers: list[Any], recurrence: Any) -> None:
            super().__init__()
            self.front, self.recurrence = nn.Sequential(*layers), recurrence
            self.out = nn.Linear(2 * recurrence.hidden_size, CLASSES)

        def forward(self, x: Any) -> Any:
            return self.out(self.recurrence(self.front(x).mean(2).transpose(1, 2))[0])

    both = {"batch_first": True, "bidirectional": True}
    if front == "depthwise":
        widths = ((24, 48, (2, 2)), (48, 64, (1, 1)), (64, 96, (2, 1)), (96, 128, (1, 1)), (128, 192, (2, 1)))
        layers = [layer for width in widths for layer in separable(*width)]
        return Net([*convolved(1, 24, stride=2, padding=1), *layers], nn.GRU(192, 128, **both))
    if front == "seven layers":
        layers = [
            *(*convolved(1, 64, padding=1), nn.MaxPool2d(2)),
            *(*convolved(64, 128, padding=1), nn.MaxPool2d(2)),
            *convolved(128, 256, padding=1),
            *(*convolved(256, 256, padding=1), nn.MaxPool2d((2, 2), (2, 1), (0, 1))),
            *(*convolved(256, 512, padding=1), nn.MaxPool2d((2, 2), (2, 1), (0, 1))),
            *convolved(512, 512, 2),
        ]
        return Net(layers, nn.LSTM(512, 256, **both))
    layers = [
        *(*convolved(1, 64, padding=1), nn.MaxPool2d(2)),
        *(*convolved(64, 128, padding=1), nn.MaxPool2d(2)),
        *convolved(128, 256, padding=1),
        *(*convolved(256, 256, padding=1), nn.MaxPool2d((2, 1))),
        *convolved(256, 512, padding=1),
        *(*convolved(512, 512, padding=1), nn.MaxPool2d((2, 1))),
        *convolved(512, 512, 2),
    ]
    return Net(layers, nn.LSTM(512, 256, 2, **both))


def _by_onnxruntime(module: Any, x: np.ndarray) -> Call:
    import onnxruntime
    import torch

    file = BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        names: dict[str, Any] = {"input_names": ["x"], "output_names": ["y"], "dynamo": False}
        axes = {"x": {0: "B", 3: "W"}, "y": {0: "B", 1: "T"}}
        torch.onnx.export(module, torch.zeros(2, 1, x.shape[2], 64), file, dynamic_axes=axes, **names)
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    session = onnxruntime.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(["y"], {"x": x})[0]


def _by_torch(module: Any, x: np.ndarray) -> Call:
    import torch

    torch.set_num_threads(1)
    tensor = torch.from_numpy(x)

    def run() -> np.ndarray:
        with torch.inference_mode():
            return module(tensor).numpy()

    return run


def _agreeing(name: str, row: Line, own: Callable[[], Any], theirs: Call) -> dict[str, Call]:
    expected, theirs_now = np.asarray(own()), np.asarray(theirs())
    difference = float(abs(theirs_now - expected).max() / abs(expected).max())
    if difference > CLOSE:
        warnings.warn(f"{name}, {row.name} differs from ours by {difference:.2g} and is left out", stacklevel=2)
        return {}
    return {name: theirs}
