"""The generator of masks: published values of Threefry, native bits against NumPy's, and statistical tests."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from systems import levels

import rnngraph as rg
from rnngraph.ir.numbers.random import KEY_ROUNDS, UNIT_ROUNDS, random_key, random_uniform, site_word, threefry

# Known answers of Random123 (Salmon, Moraes, Dror, Shaw: SC'11), file kat_vectors: counter, key, result.
PI = ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344))
ONES = ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF))
ZEROS = ((0, 0), (0, 0))
KNOWN = [
    (13, ZEROS, (0x9D1C5EC6, 0x8BD50731)),
    (13, ONES, (0xFD36D048, 0x2D17272C)),
    (13, PI, (0xBA3E4725, 0xF27D669E)),
    (20, ZEROS, (0x6B200159, 0x99BA4EFE)),
    (20, ONES, (0x1CB996FC, 0xBB002BE7)),
    (20, PI, (0xC4923A9C, 0x483DF7A0)),
]
Pair = tuple[int, int]


def words(*values: int) -> list[np.ndarray]:
    return [np.asarray(value, np.uint32) for value in values]


@pytest.mark.parametrize(("rounds", "given", "expected"), KNOWN)
def test_threefry_gives_its_published_values(rounds: int, given: tuple[Pair, Pair], expected: Pair) -> None:
    counter, key = given
    assert tuple(int(word) for word in threefry(*words(*key), *words(*counter), rounds)) == expected


def test_rounds_are_those_that_are_known() -> None:
    assert {KEY_ROUNDS, UNIT_ROUNDS} == {rounds for rounds, _, _ in KNOWN}


# Native code ----------------------------------------------------------------------------------------

WIDTH, STEPS, BATCH = 19, 5, 3
SEEDS = (0, 1, 2**31 + 5, 2**32 + 5, 2**63 + 11, 2**64 - 1)


def program_of(keep: float, salt: int | None = None, dtype: str = "float32", variational: bool = False) -> rg.Program:
    x = rg.placeholder("x", (None, None, WIDTH), dtype)
    cell = rg.DropoutWrapper(
        rg.BasicRNNCell(7),
        input_keep_prob=keep,
        output_keep_prob=keep,
        state_keep_prob=keep,
        variational_recurrent=variational,
        seed=salt,
    )
    return rg.compile({"outputs": rg.dynamic_rnn(cell, x)[0]})


def drawn(keep: float, seed: int, site: str, salt: int, width: int, first_row: int, first_step: int) -> np.ndarray:
    """Return a mask [batch, steps, width] by definition, with a key for each row and step and a word for each unit."""
    seed_word = np.asarray(seed, np.uint64).view(np.int64)
    step = np.arange(first_step, first_step + STEPS)[None, :, None]
    row = np.arange(first_row, first_row + BATCH)[:, None, None]
    key = random_key(seed_word, step, row, site, salt)
    return random_uniform(key, np.arange(width)) < np.float32(keep)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("first_row", "first_step"), [(0, 0), (2**20, 3), (5, 2**24 + 1)])
def test_native_masks_are_numpys_bit_for_bit(seed: int, first_row: int, first_step: int) -> None:
    program = compiled(0.7, 9)
    feed = np.zeros((BATCH, STEPS, WIDTH), np.float32)
    masks = program.training.dropout_masks(x=feed, seed=seed, first_row=first_row, first_step=first_step)
    assert list(masks) == [f"rnn/{kind}" for kind in ("input", "state", "output")]
    for site, mask in masks.items():
        np.testing.assert_array_equal(mask, drawn(0.7, seed, site, 9, mask.shape[-1], first_row, first_step), site)


@pytest.mark.parametrize("target", ["host", *levels("x86-64-v2", "x86-64-v3")])
def test_native_masks_do_not_depend_on_the_target(target: str) -> None:
    x = rg.placeholder("x", (None, None, WIDTH))
    cell = rg.DropoutWrapper(rg.BasicRNNCell(7), input_keep_prob=0.35)
    program = rg.compile({"outputs": rg.dynamic_rnn(cell, x)[0]}, target=target)
    mask = program.training.dropout_masks(x=np.zeros((BATCH, STEPS, WIDTH)), seed=3)["rnn/input"]
    np.testing.assert_array_equal(mask, drawn(0.35, 3, "rnn/input", 0, WIDTH, 0, 0))


def test_a_variational_mask_has_a_step_of_its_own() -> None:
    """A variational mask is drawn for the step before the first, so that no other mask of the site equals it."""
    program = program_of(0.7, variational=True)
    masks = program.training.dropout_masks(x=np.zeros((BATCH, STEPS, WIDTH)), seed=3, first_step=4)
    for site, mask in masks.items():
        np.testing.assert_array_equal(mask, drawn(0.7, 3, site, 0, mask.shape[-1], 0, -1)[:, 0], site)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_training_applies_the_mask(dtype: str) -> None:
    """The cell returns its input: dropped units are 0, kept ones are scaled."""
    x = rg.placeholder("x", (None, None, WIDTH), dtype)
    outputs, _ = rg.dynamic_rnn(rg.DropoutWrapper(Echo(WIDTH), input_keep_prob=0.625), x)
    program = rg.compile({"outputs": outputs})
    feed = np.random.default_rng(0).normal(size=(BATCH, STEPS, WIDTH)).astype(dtype)
    mask = drawn(0.625, 11, "rnn/input", 0, WIDTH, 0, 0)
    expected = np.where(mask, feed * np.asarray(1.6, dtype), 0)
    np.testing.assert_allclose(program.training(x=feed, seed=11)["outputs"], expected, rtol=1e-6)
    np.testing.assert_array_equal(program.inference(x=feed)["outputs"], feed)


class Echo(rg.Cell):
    """Cell whose output is its input."""

    def __init__(self, width: int) -> None:
        self.width = width

    def state(self) -> dict[str, int]:
        return {"h": self.width}

    def step(self, p: rg.Scope, x: rg.Tensor, state: dict[str, rg.Tensor]) -> tuple[rg.Tensor, dict[str, rg.Tensor]]:
        return x, {"h": x}


COMPILED: dict[tuple[float, int], rg.Program] = {}


def compiled(keep: float, salt: int) -> rg.Program:
    return COMPILED.setdefault((keep, salt), program_of(keep, salt))


# Statistics -----------------------------------------------------------------------------------------

SEED = 20110711


def chi_square(counts: np.ndarray, expected: np.ndarray | float) -> float:
    """Return the distance of the chi-square statistic from its mean, in standard deviations. Seeds are fixed."""
    freedom = counts.size - 1
    statistic = float(np.sum((counts - expected) ** 2 / expected))
    return (statistic - freedom) / np.sqrt(2.0 * freedom)


def uniforms(seed: int, steps: int, rows: int, units: int, site: str = "rnn/input", salt: int = 0) -> np.ndarray:
    """Return uniform numbers [steps, rows, units]."""
    key = random_key(np.asarray(seed), np.arange(steps)[:, None, None], np.arange(rows)[None, :, None], site, salt)
    return random_uniform(key, np.arange(units))


def test_numbers_are_multiples_in_range() -> None:
    sample = uniforms(SEED, 8, 8, 1024)
    assert sample.dtype == np.float32
    assert sample.min() >= 0.0
    assert sample.max() < 1.0
    steps = sample.astype(np.float64) * 2.0**24
    np.testing.assert_array_equal(steps, np.round(steps))


@pytest.mark.parametrize("shape", [(1, 1, 1 << 16), (1 << 16, 1, 1), (1, 1 << 16, 1), (32, 32, 64)])
def test_numbers_are_uniform(shape: tuple[int, int, int]) -> None:
    """High bits and low bits are uniform in 256 bins, along units, along steps and along rows."""
    sample = (uniforms(SEED, *shape).ravel() * 2.0**24).astype(np.int64)
    for bits in (sample >> 16, sample & 255):
        counts = np.bincount(bits, minlength=256)
        assert abs(chi_square(counts, sample.size / 256)) < 4.0


NEIGHBOURS: dict[str, Callable[[], tuple[np.ndarray, np.ndarray]]] = {
    "units": lambda: split_pairs(uniforms(SEED, 64, 32, 65), 2),
    "steps": lambda: split_pairs(uniforms(SEED, 65, 32, 64), 0),
    "rows": lambda: split_pairs(uniforms(SEED, 64, 33, 64), 1),
    "seeds": lambda: (uniforms(SEED, 64, 32, 64), uniforms(SEED + 1, 64, 32, 64)),
    "high seeds": lambda: (uniforms(SEED, 64, 32, 64), uniforms(SEED + 2**32, 64, 32, 64)),
    "sites": lambda: (uniforms(SEED, 64, 32, 64), uniforms(SEED, 64, 32, 64, "rnn/output")),
    "salts": lambda: (uniforms(SEED, 64, 32, 64), uniforms(SEED, 64, 32, 64, salt=1)),
    "steps and rows": lambda: (uniforms(SEED, 48, 48, 64), uniforms(SEED, 48, 48, 64).swapaxes(0, 1) + off_diagonal()),
}


def off_diagonal() -> np.ndarray:
    """Return an array with NaN where the step equals the row, where both compared masks are one draw."""
    return np.where(np.eye(48, dtype=bool), np.nan, 0.0)[:, :, None]


def split_pairs(sample: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Return all entries but the last, and all but the first, along an axis."""
    last = sample.shape[axis] - 1
    return np.take(sample, range(last), axis), np.take(sample, range(1, last + 1), axis)


@pytest.mark.parametrize("what", NEIGHBOURS)
def test_neighbours_are_independent(what: str) -> None:
    """Pairs fill a 16 x 16 table evenly. Two masks with the same keep_prob agree as often as independent masks."""
    first, second = (side.ravel() for side in NEIGHBOURS[what]())
    known = ~np.isnan(first + second)
    first, second = first[known], second[known]
    cells = (first * 16).astype(np.int64) * 16 + (second * 16).astype(np.int64)
    assert abs(chi_square(np.bincount(cells, minlength=256), cells.size / 256)) < 4.0
    keep = 0.8
    agreeing = np.count_nonzero((first < keep) == (second < keep))
    chance = keep**2 + (1 - keep) ** 2
    assert abs(agreeing - first.size * chance) < 4.0 * np.sqrt(first.size * chance * (1 - chance))


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9])
def test_masks_keep_as_many_as_declared(keep: float) -> None:
    kept = np.count_nonzero(uniforms(SEED, 64, 64, 64) < np.float32(keep))
    assert abs(kept - 64**3 * keep) < 4.0 * np.sqrt(64**3 * keep * (1 - keep))


def test_sites_and_salts_have_words_of_their_own() -> None:
    names = [f"rnn/multi_rnn_cell/cell_{layer}/{kind}" for layer in range(50) for kind in ("input", "state", "output")]
    found = {site_word(name, salt) for name in names for salt in range(10)}
    assert len(found) == len(names) * 10
    assert site_word("a#1", 1) != site_word("a", 11)
