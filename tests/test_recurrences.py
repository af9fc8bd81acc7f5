"""Recurrences of today as cells with several inputs and states of any shape: beside torch, in streams and exports."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from recurrence_cells import CELLS, D, H

import rnngraph as rg

BATCH, STEPS = 2, 9


def unit(x: Any) -> Any:
    return x / (x.square().sum(2, keepdim=True) + 1e-6).sqrt()


def torch_steps(F: Any, torch: Any) -> dict[str, Any]:
    """One step of each, from its paper, of inputs, parameters by name, and states; gives (output, states)."""

    def min_gru(z, c, h):
        h = (1 - z.sigmoid()) * h + z.sigmoid() * c
        return h, (h,)

    def min_lstm(f, i, c, h):
        f, i = f.sigmoid(), i.sigmoid()
        h = f / (f + i) * h + i / (f + i) * c
        return h, (h,)

    def rg_lru(r, i, u, h, lam):
        log_a = -8 * F.softplus(lam) * r.sigmoid()
        h = log_a.exp() * h + (1 - (2 * log_a).exp()).sqrt() * (i.sigmoid() * u)
        return h, (h,)

    def lru(real, imag, re, im, nu, theta):
        h = torch.polar((-nu.exp()).exp(), theta.exp()) * torch.complex(re, im) + torch.complex(real, imag)
        return h.real + 0.5 * h.imag, (h.real, h.imag)

    def s6(u, dt, B, C, h, A_log, D):
        dt = F.softplus(dt)
        h = (dt[:, :, None] * -A_log.exp()).exp() * h + (dt * u)[:, :, None] * B[:, None]
        return (h * C[:, None]).sum(2) + D * u, (h,)

    def s6t(u, dt, B, C, h, A_log, D):
        y, (h,) = s6(u, dt, B, C, h.transpose(1, 2), A_log, D)
        return y, (h.transpose(1, 2),)

    def ssd(u, dt, log_a, B, C, S):
        dt = F.softplus(dt)
        a = (-dt * log_a.exp()).exp()
        S = a[..., None, None] * S + B[:, None, :, None] * (dt[..., None] * u)[:, :, None]
        return (C[:, None, :, None] * S).sum(2), (S,)

    def retnet(q, k, v, S):
        gamma = torch.tensor(1 - 2.0 ** (-5 - np.arange(H))).to(q).reshape(1, H, 1, 1)
        S = gamma * S + k[..., None] * v[:, :, None]
        return (q[..., None] * S).sum(2), (S,)

    def gla(q, k, v, g, S):
        S = (-F.softplus(-g) / 16).exp()[..., None] * S + k[..., None] * v[:, :, None]
        return (q[..., None] * S).sum(2), (S,)

    def gdn(q, k, v, b, g, S):
        q, k, b, a = unit(q), unit(k), b.sigmoid(), (-F.softplus(-g) / 4).exp()
        S = a[..., None, None] * S
        S = S + k[..., None] * (b[..., None] * (v - (k[..., None] * S).sum(2)))[:, :, None]
        return (q[..., None] * S).sum(2), (S,)

    def rwkv7(r, w, k, v, a, S):
        w, a, kk = (-0.606531 * w.sigmoid()).exp(), a.sigmoid(), unit(k)
        read = (kk[..., None] * S).sum(2)
        S = w[..., None] * S - (kk * a)[..., None] * read[:, :, None] + k[..., None] * v[:, :, None]
        return (r[..., None] * S).sum(2), (S,)

    def mlstm(q, k, v, i, f, C, n, m):
        k, log_f = k * D**-0.5, -F.softplus(-f)
        new = torch.maximum(log_f + m, i)
        f, i = (log_f + m - new).exp(), (i - new).exp()
        C = f[..., None, None] * C + i[..., None, None] * (k[..., None] * v[:, :, None])
        n = f[..., None] * n + i[..., None] * k
        below = torch.maximum((q * n).sum(2).abs(), (-new).exp())
        return (q[..., None] * C).sum(2) / below[..., None], (C, n, new)

    def slstm(x, h, c, n, m, R):
        z, i, f, o = (x + torch.einsum("bhd,hde->bhe", h, R)).split(D, 2)
        log_f = -F.softplus(-f)
        new = torch.maximum(log_f + m, i)
        f, i = (log_f + m - new).exp(), (i - new).exp()
        c, n = f * c + i * z.tanh(), f * n + i
        h = o.sigmoid() * c / n.clamp(min=1e-6)
        return h, (h, c, n, new)

    steps = (min_gru, min_lstm, rg_lru, lru, s6, s6t, ssd, retnet, gla, gdn, rwkv7, mlstm, slstm)
    return dict(zip(CELLS, steps, strict=True))


def program(name: str) -> tuple[rg.Program, dict[str, np.ndarray]]:
    cell = CELLS[name]()
    inputs = {key: rg.placeholder(key, shape=(None, None, *shape)) for key, shape in cell.shapes.items()}
    outputs, state = rg.dynamic_rnn(cell, inputs)
    generator = np.random.default_rng(4)
    fed = {
        key: generator.standard_normal((BATCH, STEPS, *shape)).astype("float32") for key, shape in cell.shapes.items()
    }
    return rg.compile({"y": outputs, "state": state}, loss=rg.reduce_mean(rg.square(outputs)), seed=0), fed


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", CELLS)
def test_values_and_gradients_are_those_of_torch(name: str) -> None:
    torch = pytest.importorskip("torch")
    step = torch_steps(torch.nn.functional, torch)[name]
    made, fed = program(name)
    x = {key: torch.tensor(array, dtype=torch.float64, requires_grad=True) for key, array in fed.items()}
    parameters = {
        key.rpartition("/")[2]: torch.tensor(np.asarray(array), dtype=torch.float64, requires_grad=True)
        for key, array in made.parameters.items()
    }
    states = [torch.zeros(BATCH, *shape, dtype=torch.float64) for shape in CELLS[name].states.values()]
    outputs = []
    for now in range(STEPS):
        y, states = step(*(array[:, now] for array in x.values()), *states, **parameters)
        outputs.append(y)
    stacked = torch.stack(outputs, 1)
    stacked.square().mean().backward()
    result = made.inference(fed)
    wanted = stacked.detach().numpy()
    assert_allclose(result["y"], wanted, atol=5e-6 * abs(wanted).max())
    found, gradients = made.training.gradients(fed, wrt=[*fed])
    assert_allclose(found, np.mean(wanted**2), rtol=1e-5)
    arrays = {key.rpartition("/")[2]: array for key, array in gradients.items()}
    for key, tensor in {**x, **parameters}.items():
        wanted = tensor.grad.numpy()
        assert_allclose(arrays[key], wanted, atol=2e-5 * max(abs(wanted).max(), 1e-3), err_msg=key)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", CELLS)
def test_streams_and_exports(name: str, tmp_path: Path) -> None:
    made, fed = program(name)
    whole, stream = made.inference(fed)["y"], made.inference.stream(batch=BATCH)
    for step in range(STEPS):
        assert_array_equal(stream.step({key: array[:, step] for key, array in fed.items()})["y"], whole[:, step])
    if shutil.which("cc"):
        made.inference.export(tmp_path, "net")
        subprocess.run(["cc", "net_test.c", "net.o", "-o", "test"], cwd=tmp_path, check=True)
        done = subprocess.run(["./test"], cwd=tmp_path, check=True, capture_output=True, text=True)
        assert done.stdout.strip() == "ok, largest difference 0"


def test_a_matrix_state_streams() -> None:
    made, fed = program("GLA")
    stream = made.inference.stream(batch=BATCH)
    steps = [stream.step({key: array[:, step] for key, array in fed.items()})["y"] for step in range(STEPS)]
    assert_array_equal(np.stack(steps, 1), made.inference(fed)["y"])
