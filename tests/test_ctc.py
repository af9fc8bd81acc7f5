"""The CTC loss against a sum over all alignments."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose

import rnngraph as rg


def program_of(longest: int, classes: int, blank: int = 0, dtype: str = "float64") -> rg.Program:
    x = rg.placeholder("x", (None, None, classes), dtype)
    labels = rg.placeholder("labels", (None, longest), "int64")
    label_lengths, logit_lengths = (rg.placeholder(name, (None,), "int64") for name in ("n", "t"))
    losses = rg.ctc_loss(labels, x, label_lengths, logit_lengths, blank, reduction="none")
    return rg.compile({"losses": losses}, loss=rg.reduce_sum(losses))


def collapsed(path: tuple[int, ...], blank: int) -> list[int]:
    return [label for label, _ in itertools.groupby(path) if label != blank]


def by_enumeration(x: np.ndarray, labels: list[int], blank: int) -> float:
    """Return -log of the summed probability of every path that collapses to the labels."""
    probabilities = np.exp(x) / np.exp(x).sum(-1, keepdims=True)
    total = sum(
        np.prod(probabilities[range(len(x)), path])
        for path in itertools.product(range(x.shape[1]), repeat=len(x))
        if collapsed(path, blank) == labels
    )
    return float(-np.log(total)) if total else np.inf


@pytest.mark.parametrize(("longest", "classes", "blank"), [(1, 2, 0), (2, 3, 0), (3, 3, 2), (3, 4, 1)])
def test_sum_over_all_alignments(longest: int, classes: int, blank: int) -> None:
    random = np.random.default_rng(longest)
    others = [label for label in range(classes) if label != blank]
    rows, time = 6, 5
    x = random.standard_normal((rows, time, classes))
    labels = random.choice(others, (rows, longest))
    labels[0] = others[0]  # equal labels, which need blanks in between
    n, t = random.integers(0, longest + 1, rows), random.integers(1, time + 1, rows)
    n[0], t[0] = longest, time
    past = labels.copy()
    for row, length in enumerate(n):
        past[row, length:] = -7  # not a class; never read
    losses = program_of(longest, classes, blank).inference(x=x, labels=past, n=n, t=t)["losses"]
    expected = [by_enumeration(x[row, : t[row]], labels[row, : n[row]].tolist(), blank) for row in range(rows)]
    assert_allclose(losses, expected, rtol=1e-12)


def test_gradient_by_central_differences() -> None:
    random = np.random.default_rng(5)
    program = program_of(4, 6)
    feeds = {"labels": np.array([[1, 1, 2, 5], [3, 4, 0, 0]]), "n": np.array([4, 2]), "t": np.array([9, 6])}
    x = random.standard_normal((2, 9, 6))
    _, gradients = program.training.gradients(x=x, wrt=["x"], **feeds)
    step = 1e-5
    for index in [(0, 0, 0), (0, 3, 1), (0, 8, 5), (1, 2, 4), (1, 5, 3), (1, 7, 2)]:
        moved = np.zeros_like(x)
        moved[index] = step
        high, low = (float(program.evaluate(x=x + sign * moved, **feeds)["loss"]) for sign in (1, -1))
        assert_allclose(gradients["x"][index], (high - low) / (2 * step), rtol=1e-6, atol=1e-9)


def test_labels_that_do_not_fit() -> None:
    program = program_of(2, 3, dtype="float32")
    feeds = {"labels": np.array([[1, 1], [1, 2]]), "n": np.array([2, 2]), "t": np.array([2, 2])}
    x = np.ones((2, 2, 3), np.float32)
    losses = program.inference(x=x, **feeds)["losses"]
    assert np.isposinf(losses[0])
    assert_allclose(losses[1], 2 * np.log(3), rtol=1e-6)
    _, gradients = program.training.gradients(x=x, wrt=["x"], **feeds)
    assert not gradients["x"][0].any()
    assert np.isfinite(gradients["x"]).all()


def test_mistakes() -> None:
    x = rg.placeholder("x", (None, None, 3))
    labels = rg.placeholder("labels", (None, 2), "int64")
    with pytest.raises(rg.ArgumentError, match="blank_index=3 must be a class, 0 to 2"):
        rg.ctc_loss(labels, x, blank_index=3)
    with pytest.raises(rg.ShapeError, match="declared int"):
        rg.ctc_loss(rg.placeholder("open", (None, None), "int64"), x)
    with pytest.raises(rg.DtypeError, match="labels must be an int Tensor"):
        rg.ctc_loss(rg.placeholder("floats", (None, 2)), x)
    with pytest.raises(rg.DtypeError, match="logits must be a float Tensor"):
        rg.ctc_loss(labels, rg.placeholder("flat", (None, 3)))
    program = rg.compile(rg.ctc_loss(labels, x, reduction="none"))
    with pytest.raises(rg.ShapeError, match=r"feed labels holds 3; labels .* must be in 0\.\.2"):
        program.inference(x=np.ones((1, 4, 3)), labels=np.array([[1, 3]]))


@pytest.mark.peers
def test_torch_agrees() -> None:
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(0)
    x = random.standard_normal((5, 40, 17))
    labels = random.integers(1, 17, (5, 12))
    n, t = np.array([12, 7, 3, 0, 1]), np.array([40, 30, 25, 5, 1])
    program = program_of(12, 17)
    losses = program.inference(x=x, labels=labels, n=n, t=t)["losses"]
    _, gradients = program.training.gradients(x=x, labels=labels, n=n, t=t, wrt=["x"])
    leaf = torch.tensor(x, requires_grad=True)
    logarithms = torch.log_softmax(leaf, -1).transpose(0, 1)
    expected = torch.nn.functional.ctc_loss(
        logarithms, torch.tensor(labels), torch.tensor(t), torch.tensor(n), reduction="none"
    )
    expected.sum().backward()
    assert_allclose(losses, expected.detach().numpy(), rtol=1e-12)
    assert_allclose(gradients["x"], leaf.grad.numpy(), rtol=1e-9, atol=1e-12)
