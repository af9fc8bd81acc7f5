"""Convolutions and pools along two axes before recurrent layers, with time as either axis, against torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from read_modules import check, check_meaning

import rnngraph as rg

torch = pytest.importorskip("torch", exc_type=ImportError)
from torch_functions import module, normal  # noqa: E402  (needs torch)

nn = pytest.importorskip("torch.nn", exc_type=ImportError)
F = nn.functional
pytestmark = pytest.mark.peers


def text_in_a_picture(m: Any, x: Any) -> Any:
    """Read text in an image [batch, 1, height, time]. The recurrent layer fixes the height."""
    y = m[0](x)
    batch, channels, height, width = y.shape
    return F.log_softmax(m[1](y.view(batch, channels * height, width).permute(2, 0, 1))[0], 2)


def frames_of_sound(m: Any, x: Any) -> Any:
    """Read frames of sound [batch, 1, time, features]."""
    y = F.relu(m[0](x))
    batch, _, steps, _ = y.size()
    return m[1](y.permute(0, 2, 1, 3).contiguous().view(batch, steps, -1))[0]


def features_without_channels(m: Any, x: Any) -> Any:
    return m[1](m[0](x[:, None]).transpose(1, 2).flatten(2))[0]


def pictures_in_time(m: Any, x: Any) -> Any:
    batch, steps, *picture = x.shape
    return m[1](m[0](x.view(batch * steps, *picture)).view(batch, steps, -1))[0]


def wide() -> Any:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, 1, 1, bias=False),
        nn.BatchNorm2d(4),
        nn.LeakyReLU(),
        nn.MaxPool2d(2, 2),
        nn.Conv2d(4, 6, (5, 3), dilation=(1, 2), padding="same"),
        nn.AvgPool2d((2, 1)),
        nn.Conv2d(6, 5, 2, 1, 0),
        nn.Dropout2d(0.2),
    )


NETS: dict[str, Any] = {
    "text": (text_in_a_picture, wide(), nn.LSTM(15, 7, bidirectional=True), (2, 1, 16, 20), (3, 1, 16, 33)),
    "sound": (
        frames_of_sound,
        nn.Sequential(
            nn.Conv2d(1, 4, (10, 4), stride=(2, 1), padding=(5, 1)),
            nn.Conv2d(4, 4, (3, 1), padding=(1, 0), groups=4),
            nn.Conv2d(4, 6, 1),
        ),
        nn.GRU(72, 5, batch_first=True),
        (2, 1, 40, 13),
        (3, 1, 61, 13),
    ),
    "features": (
        features_without_channels,
        nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.MaxPool2d((1, 2), padding=(0, 1)),
            nn.Conv2d(4, 6, 3, padding=1, stride=(2, 1)),
            nn.MaxPool2d(2),
        ),
        nn.GRU(12, 7, batch_first=True),
        (2, 9, 8),
        (3, 14, 8),
    ),
    "pictures": (
        pictures_in_time,
        nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.MaxPool2d(2)),
        nn.LSTM(4, 5, batch_first=True),
        (2, 5, 3, 8, 8),
        (3, 9, 3, 8, 8),
    ),
}


@pytest.mark.parametrize("name", NETS)
def test_nets(name: str) -> None:
    run, front, recurrent, *shapes = NETS[name]
    check(module(run, front, recurrent), *((normal(*shape),) for shape in shapes))


def test_without_a_known_time_axis_the_second_axis_is_fixed() -> None:
    mean = module(lambda m, x: m[0](x).mean((2, 3)), nn.Conv2d(1, 4, 3))
    net = check(mean, (normal(2, 1, 6, 9),), (normal(1, 1, 8, 9),))
    assert net.inputs["inputs_0"].shape == ("B", 1, "T", 9)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 6, (4, 2), (3, 1), (0, 2), groups=2),
        nn.Conv2d(4, 8, (2, 3), padding=1, dilation=2, groups=4),
        nn.ConvTranspose2d(4, 6, (3, 4), (3, 2), 1, (2, 0), groups=2, dilation=(1, 2)),
        nn.ConvTranspose2d(4, 3, 2, padding=(2, 1)),
        nn.MaxPool2d((2, 3), (1, 2), 1, (3, 2), ceil_mode=True),
        nn.MaxPool2d(2, 2, 1, ceil_mode=True),
        nn.AvgPool2d((2, 3), 2, 1, ceil_mode=True),
        nn.AvgPool2d(3, (1, 2), 1, ceil_mode=True, count_include_pad=False),
        nn.AvgPool2d((1, 2), 2, count_include_pad=False),
        nn.ConvTranspose1d(4, 6, 2, padding=2, groups=2),
        nn.MaxPool1d(2, 2, 1, ceil_mode=True),
        nn.AvgPool1d(2, 2, 1, ceil_mode=True),
        nn.AvgPool1d(2, 2, 1, ceil_mode=True, count_include_pad=False),
        nn.MaxPool1d(3, 2, 1, 3, ceil_mode=True),
    ],
    ids=str,
)
@pytest.mark.parametrize("steps", [8, 9])
def test_windows_of_every_kind(layer: Any, steps: int) -> None:
    """In ceil mode, a last window that would begin in the padding is left out."""
    check_meaning(layer.eval(), (normal(2, 4, *([7] if "2d" in str(layer) else []), steps),))


def test_all_unsupported_layers_are_listed_at_once() -> None:
    """Reading continues after the first unreadable part, without consequential errors."""

    def run(m: Any, x: Any) -> Any:
        y = m[1](F.fold(m[0](x).flatten(2), (4, 4), (1, 1)).flatten(2).transpose(1, 2))[0]
        return m[2](m[3](y).transpose(1, 2)[..., None, None]).lgamma()

    parts = (nn.Conv2d(1, 4, 3), nn.GRU(4, 5, batch_first=True), nn.Conv3d(6, 5, 1), nn.Linear(5, 6))
    with pytest.raises(rg.NotReadableError) as caught:
        rg.read_torch(module(run, *parts), (normal(2, 1, 6, 6),))
    problems = caught.value.problems
    assert len(problems) == 3
    for word, problem in zip(
        ("fold: not supported; use convolutions", "conv3d: not supported; use convolutions", "lgamma: not supported"),
        problems,
        strict=True,
    ):
        assert word in problem


# Groups, adaptive pools, strides along both axes ----------------------------------------------------------


def narrow(channels: int, filters: int, stride: Any) -> list[Any]:
    """Return a depthwise and a 1 x 1 convolution, each with batch normalization."""
    return [
        nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Conv2d(channels, filters, 1, bias=False),
        nn.BatchNorm2d(filters),
        nn.Hardswish(),
    ]


def read_across(m: Any, x: Any) -> Any:
    return m[1](m[0](x).squeeze(2).permute(0, 2, 1))[0]


FRONTS: dict[str, Any] = {
    "depthwise": [nn.Conv2d(1, 8, 3, 2, 1), *narrow(8, 6, (2, 1)), *narrow(6, 7, 1), nn.AdaptiveAvgPool2d((1, None))],
    "groups": [
        nn.Conv2d(1, 8, 3, (2, 3), 1),
        nn.Conv2d(8, 16, (3, 5), (1, 2), (1, 2), groups=2),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1, groups=8),
        nn.MaxPool2d(2, (2, 1)),
        nn.Conv2d(32, 7, 1),
        nn.AdaptiveMaxPool2d((1, None)),
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FRONTS)
def test_an_open_width_of_small_convolutions(name: str) -> None:
    torch.manual_seed(0)
    m = module(read_across, nn.Sequential(*FRONTS[name]), nn.GRU(7, 5, batch_first=True)).eval()
    net = rg.read_torch(m, normal(1, 1, 17, 50), open={"inputs_0": {3: "W"}})
    assert net.sizes["inputs_0"] == {0: "B", 1: 1, 2: 17, 3: "W"}
    program = net.program()
    for rows, width in ((1, 17), (2, 25), (1, 64)):
        x = normal(rows, 1, 17, width)
        np.testing.assert_allclose(program.inference(x)["y"], m(x).detach().numpy(), atol=2e-5)


@pytest.mark.slow
def test_layers_after_a_convolution_are_computed_with_its_products() -> None:
    """Batch normalization and ReLU directly follow the 1-D convolution, before rows become a separate axis.

    A depthwise convolution is a sum over the rows of its kernel, the first of which has the bias.
    """
    torch.manual_seed(0)
    front = [nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 6, 3, padding=1, groups=6)]
    m = module(
        lambda m, x: m[1](m[0](x).mean(2).transpose(1, 2))[0], nn.Sequential(*front), nn.GRU(6, 5, 1, True, True)
    )
    net = check_meaning(m, (normal(2, 1, 8, 9),), (normal(1, 1, 8, 4),))
    lines = net.script().splitlines()
    first = next(number for number, line in enumerate(lines) if "rg.conv1d(" in line)
    assert "rg.batch_normalization(x, " in lines[first + 1]
    assert lines[first + 2] == "x = rg.relu(x)"
    rows = {name: array.shape for name, array in net.parameters.items() if name.startswith("m/0/3/")}
    assert rows == {
        "m/0/3/kernel": (3, 1, 6),
        "m/0/3/bias": (6,),
        "m/0/3/row_1/kernel": (3, 1, 6),
        "m/0/3/row_2/kernel": (3, 1, 6),
    }
