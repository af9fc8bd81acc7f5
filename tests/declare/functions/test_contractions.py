"""``rg.einsum`` and ``rg.tensordot`` against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import rnngraph as rg

SHAPES = {"x": (2, 3, 4), "y": (4, 5), "m": (3, 4), "v": (4,), "q": (2, 4, 4)}
FEEDS = {name: np.random.default_rng(len(name)).normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}


@pytest.mark.parametrize(
    ("equation", "names"),
    [
        ("btd,de->bte", "xy"),
        ("btd,de->ebt", "xy"),
        ("btd,bsd->bts", "xx"),
        ("btd,btd->bt", "xx"),
        ("...d,d", "xv"),
        ("btd->db", "x"),
        ("td,btd,de->be", "mxy"),
        ("btd,te->b", "xm"),
        ("i,j->ji", "vv"),
        ("bii->b", "q"),
        ("bii,i->bi", "qv"),
        ("btd,tde->be", "xz"),
    ],
)
def test_products_by_letters(equation: str, names: str) -> None:
    feeds = {**FEEDS, "z": FEEDS["x"].swapaxes(0, 1).swapaxes(1, 2)}
    arrays = [feeds[name] for name in names]
    tensors = {name: rg.placeholder(name, feeds[name].shape) for name in names}
    program = rg.compile({"y": rg.einsum(equation, *(tensors[name] for name in names))})
    result = program.inference({name: feeds[name] for name in tensors})["y"]
    np.testing.assert_allclose(result, np.einsum(equation, *arrays), rtol=2e-5, atol=1e-5)


def test_axes_of_open_size() -> None:
    x, y = rg.placeholder("x", (None, None, 4)), rg.placeholder("y", (4, 5))
    result = rg.compile({"y": rg.einsum("btd,de->bte", x, y), "z": rg.einsum("btd,bsd->bts", x, x)}).inference(
        x=FEEDS["x"], y=FEEDS["y"]
    )
    np.testing.assert_allclose(result["y"], FEEDS["x"] @ FEEDS["y"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(result["z"], FEEDS["x"] @ FEEDS["x"].swapaxes(1, 2), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("axes", [1, 0, [[1, 2], [0, 1]], (2, 1)])
def test_products_by_axes(axes: object) -> None:
    x, m = rg.placeholder("x", SHAPES["x"]), rg.placeholder("m", SHAPES["m"])
    a, b = (FEEDS["x"], FEEDS["m"]) if axes != 1 else (FEEDS["m"], FEEDS["y"])
    first, second = (x, m) if axes != 1 else (m, rg.placeholder("y", SHAPES["y"]))
    program = rg.compile({"z": rg.tensordot(first, second, axes)})
    result = program.inference({name: FEEDS[name] for name in program.inputs})["z"]
    np.testing.assert_allclose(result, np.tensordot(a, b, axes), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("equation", ["ij,jk", "ijkl->i", "ij->ix", "ij->ii", 3])
def test_equations_that_do_not_fit(equation: object) -> None:
    with pytest.raises(rg.ArgumentError, match="einsum"):
        rg.einsum(equation, rg.placeholder("x", (2, 3)))


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4)])
def test_rows_by_a_vector(shape: tuple[int, ...]) -> None:
    rows = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    open_shape = shape if len(shape) == 1 else (None, *shape[1:])
    x, v = rg.placeholder("x", open_shape), rg.placeholder("v", (4,))
    product = rg.compile(x @ v).inference(x=rows, v=FEEDS["v"])
    np.testing.assert_allclose(product, rows @ FEEDS["v"], rtol=1e-5, atol=1e-5)
    with pytest.raises(rg.ShapeError, match="rows of 4 entries do not fit a vector of 3"):
        x @ rg.constant([1.0, 2.0, 3.0])


@pytest.mark.parametrize(("equation", "axis"), [("bi,bi->b", "the letter i"), ("b...,...b", "an axis of ...")])
def test_two_sizes_of_one_letter(equation: str, axis: str) -> None:
    shapes = [(2, 3), (2, 4)] if "i" in equation else [(2, 3), (4, 2)]
    tensors = [rg.placeholder(name, shape) for name, shape in zip("xy", shapes, strict=True)]
    with pytest.raises(rg.ShapeError, match=rf"{axis} of '{equation}' has the sizes 3 and 4 in .* both must be equal"):
        rg.einsum(equation, *tensors)
