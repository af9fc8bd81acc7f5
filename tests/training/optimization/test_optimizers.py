"""Optimizers, step by step, against their formulas in NumPy and against torch; schedules against their formulas."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fixtures.tensorflow_optimizers import CASES as TENSORFLOW_CASES
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import rnngraph as rg
from rnngraph.training.optimization.optimizers import OPTIMIZERS, optimizer_from, optimizer_text
from rnngraph.training.optimization.schedules import SCHEDULES, schedule_from, schedule_text

SHAPES = ((1,), (3,), (7,), (17,), (25,), (63,), (5, 9), ())
STEPS = 10
RECORDED = Path(__file__).parents[2] / "fixtures" / "tensorflow_optimizers.npz"
CLOSE = {"float32": 1e-6, "float64": 1e-12}
Arrays = dict[str, np.ndarray]
Kept = dict[str, np.ndarray]

# Formulas -----------------------------------------------------------------------------------------


def sgd(p: Any, g: Any, kept: Kept, rate: float, t: int, momentum: float = 0, nesterov: bool = False) -> Any:
    kept["b"] = g if t == 1 else momentum * kept["b"] + g
    return p - rate * (g + momentum * kept["b"] if nesterov else kept["b"])


def rmsprop(
    p: Any,
    g: Any,
    kept: Kept,
    rate: float,
    t: int,
    decay: float = 0.9,
    momentum: float = 0,
    epsilon: float = 1e-8,
    centered: bool = False,
) -> Any:
    kept["v"] = decay * kept.get("v", 0) + (1 - decay) * g**2
    kept["m"] = decay * kept.get("m", 0) + (1 - decay) * g
    kept["b"] = momentum * kept.get("b", 0) + g / (np.sqrt(kept["v"] - centered * kept["m"] ** 2) + epsilon)
    return p - rate * kept["b"]


def adagrad(
    p: Any,
    g: Any,
    kept: Kept,
    rate: float,
    t: int,
    initial_accumulator: float = 0,
    epsilon: float = 1e-10,
    rate_decay: float = 0,
) -> Any:
    kept["s"] = kept.get("s", initial_accumulator) + g * g
    return p - rate / (1 + (t - 1) * rate_decay) * g / (np.sqrt(kept["s"]) + epsilon)


def adam(
    p: Any, g: Any, kept: Kept, rate: float, t: int, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8
) -> Any:
    kept["m"] = beta1 * kept.get("m", 0) + (1 - beta1) * g
    kept["v"] = beta2 * kept.get("v", 0) + (1 - beta2) * g * g
    return p - rate * (kept["m"] / (1 - beta1**t)) / (np.sqrt(kept["v"] / (1 - beta2**t)) + epsilon)


@dataclass(frozen=True)
class Case:
    """Optimizer with its formula. ``torch`` is the optimizer's name in torch."""

    optimizer: Any
    formula: Callable[..., Any]
    torch: str
    options: dict[str, Any] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    weight_decay: float = 0.0
    apart: bool = False  # decoupled weight decay
    clip_norm: float | None = None
    clip_value: float | None = None
    scheduled: bool = False

    def rate(self, update: int) -> float:
        if not self.scheduled:
            return 0.05
        return 0.05 * (update + 1) / 3 if update < 3 else 0.05 * 0.5 ** ((update - 3) / 4)

    def made(self) -> rg.Optimizer:
        rate = rg.WarmUp(3, rg.ExponentialDecay(0.05, 4, 0.5)) if self.scheduled else 0.05
        decay = {"weight_decay": self.weight_decay} if self.weight_decay or self.apart else {}
        return self.optimizer(rate, **self.options, **decay)

    def clipped(self, gradients: Arrays) -> Arrays:
        if self.clip_value is not None:
            gradients = {name: np.clip(g, -self.clip_value, self.clip_value) for name, g in gradients.items()}
        if self.clip_norm is None:
            return gradients
        norm = math.sqrt(sum(float((g**2).sum()) for g in gradients.values()))
        return {name: g * (self.clip_norm / max(norm, self.clip_norm)) for name, g in gradients.items()}

    def after(self, p: np.ndarray, g: np.ndarray, kept: Kept, update: int) -> np.ndarray:
        rate = self.rate(update)
        decayed = p - rate * self.weight_decay * p if self.apart else p
        g = g if self.apart else g + self.weight_decay * p
        return self.formula(decayed, g, kept, rate, update + 1, **self.options)


RMS = {"decay": "alpha", "epsilon": "eps"}
GRAD = {"initial_accumulator": "initial_accumulator_value", "epsilon": "eps", "rate_decay": "lr_decay"}
CASES = {
    "sgd": Case(rg.SGD, sgd, "SGD"),
    "sgd_momentum": Case(rg.SGD, sgd, "SGD", {"momentum": 0.9}, weight_decay=0.1, clip_norm=3.0),
    "sgd_nesterov": Case(rg.SGD, sgd, "SGD", {"momentum": 0.8, "nesterov": True}, scheduled=True, clip_value=0.5),
    "rmsprop": Case(rg.RMSProp, rmsprop, "RMSprop", {"decay": 0.8}, RMS, weight_decay=0.1),
    "rmsprop_all": Case(
        rg.RMSProp,
        rmsprop,
        "RMSprop",
        {"decay": 0.7, "momentum": 0.5, "epsilon": 1e-3, "centered": True},
        RMS,
        scheduled=True,
        clip_norm=1e9,
    ),
    "adagrad": Case(rg.Adagrad, adagrad, "Adagrad", {}, GRAD, weight_decay=0.1, clip_norm=1e-3),
    "adagrad_decay": Case(
        rg.Adagrad, adagrad, "Adagrad", {"initial_accumulator": 0.3, "rate_decay": 0.2}, GRAD, scheduled=True
    ),
    "adam": Case(rg.Adam, adam, "Adam", {}, {"epsilon": "eps"}, weight_decay=0.1, scheduled=True),
    "adam_betas": Case(
        rg.Adam,
        adam,
        "Adam",
        {"beta1": 0.5, "beta2": 0.8, "epsilon": 1e-2},
        {"epsilon": "eps"},
        clip_norm=2.0,
        clip_value=0.7,
    ),
    "adamw": Case(rg.AdamW, adam, "AdamW", {}, {}, weight_decay=0.3, apart=True, scheduled=True),
}

# A program whose gradients are its feeds ----------------------------------------------------------


@pytest.fixture(scope="module", params=CLOSE)
def program(request: pytest.FixtureRequest) -> rg.Program:
    total = rg.constant(np.zeros((), request.param))
    for number, shape in enumerate(SHAPES):
        w = rg.parameter(f"w{number}", shape, "ones", dtype=request.param)
        product = w * rg.placeholder(f"g{number}", shape, request.param)
        total = total + (rg.reduce_sum(product) if shape else product)
    return rg.compile({"total": total}, loss=total)


def gradients_of(step: int) -> Arrays:
    """Return gradients of very different magnitudes with some zeros, exact in float32."""
    generator = np.random.default_rng(step)
    results = {}
    for number, shape in enumerate(SHAPES):
        g = generator.normal(size=shape) * 10.0 ** generator.integers(-3, 1, shape)
        results[f"w{number}"] = np.where(generator.random(shape) < 0.1, 0, g).astype(np.float32).astype(np.float64)
    return results


def fed(gradients: Arrays) -> Arrays:
    return {name.replace("w", "g"): g for name, g in gradients.items()}


def start(program: rg.Program) -> Arrays:
    generator = np.random.default_rng(99)
    for name, array in program.parameters.items():
        program.parameters[name] = generator.normal(size=array.shape).astype(np.float32)
    return {name: array.astype(np.float64) for name, array in program.parameters.items()}


def steps(program: rg.Program, case: Case, count: int = STEPS) -> Iterator[tuple[Arrays, Arrays, rg.Trainer]]:
    """Yield (gradients as fed, parameters before, trainer) after each step."""
    trainer = rg.Trainer(program, case.made(), case.clip_norm, clip_value=case.clip_value)
    for step in range(count):
        gradients = gradients_of(step)
        before = {name: array.copy() for name, array in program.parameters.items()}
        loss = trainer.step(fed(gradients))
        expected = sum(float(np.vdot(before[name].astype(np.float64), g)) for name, g in gradients.items())
        assert_allclose(loss, expected, rtol=1e-5, atol=1e-5)
        yield gradients, before, trainer


def close(program: rg.Program, expected: Arrays) -> None:
    for name, array in program.parameters.items():
        tolerance = CLOSE[array.dtype.name]
        assert_allclose(array, expected[name], rtol=tolerance, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("name", CASES)
def test_an_optimizer_is_its_formula(program: rg.Program, name: str) -> None:
    case, expected, kept = CASES[name], start(program), {}
    for step, (gradients, _, trainer) in enumerate(steps(program, case)):
        norm = {
            label: g if case.clip_value is None else np.clip(g, -case.clip_value, case.clip_value)
            for label, g in gradients.items()
        }
        assert_allclose(trainer.gradient_norm, math.sqrt(sum((g**2).sum() for g in norm.values())), rtol=1e-6)
        for label, g in case.clipped(gradients).items():
            expected[label] = case.after(expected[label], g, kept.setdefault(label, {}), step)
        close(program, expected)
        assert trainer.updates == step + 1
        assert_allclose(
            trainer.learning_rate, case.rate(step + 1) / (1 + (step + 1) * getattr(trainer.optimizer, "rate_decay", 0))
        )


@pytest.mark.peers
@pytest.mark.parametrize("name", CASES)
def test_an_optimizer_is_that_of_torch(program: rg.Program, name: str) -> None:
    torch, case = pytest.importorskip("torch"), CASES[name]
    torch_parameters = {
        label: torch.tensor(p, dtype=torch.float64, requires_grad=True) for label, p in start(program).items()
    }
    options = {case.renamed.get(key, key): value for key, value in case.options.items()}
    if "beta1" in options:
        options["betas"] = (options.pop("beta1"), options.pop("beta2"))
    other = getattr(torch.optim, case.torch)(
        list(torch_parameters.values()), lr=case.rate(0), weight_decay=case.weight_decay, **options
    )
    for step, (gradients, _, _) in enumerate(steps(program, case)):
        for label, g in case.clipped(gradients).items():
            torch_parameters[label].grad = torch.tensor(g, dtype=torch.float64)
        other.param_groups[0]["lr"] = case.rate(step)
        other.step()
        close(program, {label: p.detach().numpy() for label, p in torch_parameters.items()})


def recorded_updates(name: str, dtype: str, kind: str, options: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return a parameter's recorded values in TensorFlow, with a changing rate, and rnngraph's."""
    recorded = np.load(RECORDED)
    values, rates = recorded[f"{name}/{dtype}/parameter"], [float(rate) for rate in recorded["rate"]]
    p = rg.parameter("p", values[0].shape, "zeros", dtype=dtype)
    total = rg.reduce_sum(p * rg.placeholder("g", values[0].shape, dtype))
    program = rg.compile({"total": total}, loss=total)
    program.parameters["p"] = values[0]
    trainer = rg.Trainer(program, getattr(rg, kind)(lambda update: rates[update % len(rates)], **options))
    ours = []
    for g in recorded["gradient"]:
        trainer.step(g=g.astype(dtype))
        ours.append(program.parameters["p"].copy())
    return values[1:], np.stack(ours)


@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize("name", TENSORFLOW_CASES)
def test_an_optimizer_is_that_of_tensorflow(name: str, dtype: str) -> None:
    expected, ours = recorded_updates(name, dtype, *TENSORFLOW_CASES[name][2])
    assert_allclose(ours, expected, rtol=3 * CLOSE[dtype], atol=3 * CLOSE[dtype])


@pytest.mark.parametrize("option", ["initial_square", "epsilon_in_root", "rate_in_momentum"])
def test_without_one_of_its_options_rmsprop_is_not_that_of_tensorflow(option: str) -> None:
    kind, options = TENSORFLOW_CASES["rmsprop_momentum"][2]
    rest = {name: value for name, value in options.items() if name != option}
    expected, ours = recorded_updates("rmsprop_momentum", "float64", kind, rest)
    assert np.abs(ours - expected).max() > 1e-3


def test_steady_gradients_leave_centered_rmsprop_finite(program: rg.Program) -> None:
    """Centered RMSProp stays finite for steady gradients, whose variance is 0 and could be rounded below 0."""
    trainer = rg.Trainer(program, rg.RMSProp(1e-3, decay=0.7, centered=True))
    same = fed(start(program))
    for _ in range(200):
        trainer.step(same)
    for name, array in program.parameters.items():
        assert np.isfinite(array).all(), name


@dataclass(frozen=True)
class SignDescent(rg.Optimizer):
    """User-defined optimizer: the sign of a gradient mean (Chen et al. 2023, without weight decay)."""

    beta: float = 0.9

    def slots(self) -> dict[str, float]:
        return {"mean": 0.0}

    def update(self, parameter: Any, gradient: Any, slots: Any, numbers: Any) -> Any:
        mean = slots["mean"] * self.beta + gradient * (1 - self.beta)
        return parameter - rg.sign(mean) * numbers["rate"], {"mean": mean}


def test_an_optimizer_of_ones_own(program: rg.Program) -> None:
    expected, means = start(program), {}
    case = Case(SignDescent, sgd, "", {"beta": 0.5})
    for gradients, _, _ in steps(program, case, 4):
        for name, g in gradients.items():
            means[name] = means.get(name, 0) * 0.5 + g * 0.5
            expected[name] = expected[name] - 0.05 * np.sign(means[name])
        close(program, expected)


def test_new_slots_are_matched_by_their_names() -> None:
    class TwoSlots(rg.Optimizer):
        given: tuple[str, ...] = ("fast", "slow")

        def slots(self) -> dict[str, float]:
            return {"slow": 0.0, "fast": 0.0}

        def update(self, parameter: Any, gradient: Any, slots: Any, numbers: Any) -> Any:
            new = {"fast": gradient, "slow": 0.5 * slots["slow"] + slots["fast"]}
            return parameter - new["slow"], {name: new.get(name, gradient) for name in self.given}

    w = rg.parameter("w", (2,), "zeros")
    program = rg.compile(w, loss=rg.reduce_sum(w * np.array([1.0, -3.0], np.float32)), cache=False)
    trainer = rg.Trainer(program, TwoSlots(0.1))
    for expected in (0.0, 1.0, 2.5, 4.25):  # values of ``slow``: 0, g, 1.5 g, 1.75 g
        trainer.step()
        assert_allclose(program.parameters["w"], [-expected, 3 * expected])
    for names, words in ((("slow",), "lacks 'fast'"), (("slow", "fsat"), r"no entry 'fsat' \(did you mean fast\?\)")):
        wrong = TwoSlots(0.1)
        object.__setattr__(wrong, "given", names)
        with pytest.raises(rg.StructureError, match=rf"test_optimizers\.py:\d+: TwoSlots.update: new slots .*{words}"):
            rg.Trainer(program, wrong).step()


# Schedules ----------------------------------------------------------------------------------------

rates = st.floats(1e-6, 1e3)
lasting = st.integers(1, 50)
updates = st.integers(0, 200)


@pytest.mark.filterwarnings("ignore:.*is above initial:UserWarning")
@given(rates, lasting, st.floats(0.05, 1.0), st.floats(0, 1), st.floats(0.1, 3), updates)
def test_schedules_are_their_formulas(
    initial: float, count: int, decay: float, final: float, power: float, update: int
) -> None:
    near = {"rtol": 1e-12, "atol": 1e-300}
    schedule = rg.ExponentialDecay(initial, count, decay)
    assert_allclose(schedule(update), initial * math.exp(math.log(decay) * update / count), rtol=1e-9)
    stairs = rg.ExponentialDecay(initial, count, decay, staircase=True)
    assert_allclose(stairs(update), initial * decay ** (update // count), **near)
    schedule = rg.PolynomialDecay(initial, count, final, power)
    done = min(update, count) / count
    assert_allclose(schedule(update), (initial - final) * (1 - done) ** power + final, rtol=1e-12, atol=1e-15)
    assert schedule(0) == pytest.approx(initial)
    assert schedule(count) == schedule(count + 7) == final
    schedule = rg.CosineDecay(initial, count, final)
    assert_allclose(
        schedule(update), final + (initial - final) * math.cos(math.pi * done / 2) ** 2, rtol=1e-9, atol=1e-12
    )
    assert min(initial, final) - 1e-9 <= schedule(update) <= max(initial, final) + 1e-9
    warmed = rg.WarmUp(count, schedule)
    assert_allclose(
        warmed(update), schedule(update - count) if update >= count else initial * (update + 1) / count, **near
    )


def test_piecewise_constant_changes_after_its_boundaries() -> None:
    # as tf.train.piecewise_constant: update 2 is still in the first interval
    schedule = rg.PiecewiseConstant((2, 5), (1.0, 0.5, 0.1))
    assert [schedule(update) for update in range(8)] == [1, 1, 1, 0.5, 0.5, 0.5, 0.1, 0.1]
    assert rg.WarmUp(2, schedule)(4) == 1
    assert rg.WarmUp(2, schedule)(5) == 0.5


WRONG: dict[str, Callable[[], Any]] = {
    "rate": lambda: rg.Adam(-1),
    "rate_text": lambda: rg.Adam("fast"),
    "rate_bool": lambda: rg.SGD(True),
    "rate_nan": lambda: rg.SGD(math.nan),
    "rate_function": lambda: rg.SGD(lambda update: "x"),
    "rate_infinite": lambda: rg.SGD(math.inf),
    "momentum": lambda: rg.SGD(0.1, momentum=1.0),
    "momentum_text": lambda: rg.SGD(0.1, momentum="x"),
    "nesterov": lambda: rg.SGD(0.1, nesterov=True),
    "weight_decay": lambda: rg.AdamW(0.1, weight_decay=-1),
    "beta": lambda: rg.Adam(0.1, beta2=1.0),
    "epsilon": lambda: rg.Adam(0.1, epsilon=0),
    "epsilon_rms": lambda: rg.RMSProp(0.1, epsilon=0.0),
    "epsilon_adagrad": lambda: rg.Adagrad(0.1, epsilon=0),
    "decay": lambda: rg.RMSProp(0.1, decay=math.nan),
    "initial_square": lambda: rg.RMSProp(0.1, initial_square=-1.0),
    "initial": lambda: rg.ExponentialDecay(0, 3, 0.5),
    "initial_text": lambda: rg.CosineDecay("a", 3),
    "steps": lambda: rg.PolynomialDecay(0.1, 0),
    "final": lambda: rg.PolynomialDecay(0.1, 3, final=-1),
    "final_cosine": lambda: rg.CosineDecay(0.1, 3, final=-1),
    "power": lambda: rg.PolynomialDecay(0.1, 3, power=-1),
    "boundaries": lambda: rg.PiecewiseConstant((3, 3), (1, 2, 3)),
    "boundaries_count": lambda: rg.PiecewiseConstant((3,), (1,)),
    "boundaries_kind": lambda: rg.PiecewiseConstant(3, 4),
    "values": lambda: rg.PiecewiseConstant((3,), ("a", "b")),
    "values_negative": lambda: rg.PiecewiseConstant((3,), (0.1, -0.1)),
    "warm_up": lambda: rg.WarmUp(0, 0.1),
    "warm_up_after": lambda: rg.WarmUp(3, "x"),
}


@pytest.mark.parametrize("name", WRONG)
def test_impossible_options_are_errors_at_the_users_line(name: str) -> None:
    with pytest.raises(rg.ArgumentError, match=r"test_optimizers\.py:\d+: .* must|needs? ") as raised:
        WRONG[name]()
    assert raised.value.where is not None
    assert raised.value.where.line == WRONG[name].__code__.co_firstlineno


def test_a_rate_that_overflows_later_is_an_error_with_the_update() -> None:
    with pytest.raises(rg.ArgumentError, match="learning rate of update 5000 is inf"):
        rg.SGD(rg.ExponentialDecay(0.1, 1, 2.0)).numbers(5000)


def test_a_class_is_no_rate() -> None:
    with pytest.raises(rg.DtypeError, match=r"the class CosineDecay; give an instance, CosineDecay\(…\)"):
        rg.Adam(rg.CosineDecay)


# Text ---------------------------------------------------------------------------------------------

schedules = st.recursive(
    st.one_of(
        rates,
        st.builds(rg.ExponentialDecay, rates, lasting, st.floats(0.1, 1), st.booleans()),
        st.builds(rg.PolynomialDecay, rates, lasting, st.floats(0, 1), st.floats(0.1, 3)),
        st.builds(rg.CosineDecay, rates, lasting, st.floats(0, 1)),
        st.builds(lambda bounds: rg.PiecewiseConstant(sorted(bounds), range(1, len(bounds) + 2)), st.sets(lasting)),
    ),
    lambda after: st.builds(rg.WarmUp, lasting, after),
    max_leaves=3,
)
parts = st.floats(0, 0.99)
numpy_parts = st.builds(np.float32, st.floats(0, 0.875, width=32))
optimizers = st.one_of(
    st.builds(rg.SGD, schedules, parts | numpy_parts, weight_decay=parts),
    st.builds(rg.SGD, schedules, st.floats(0.1, 0.9), st.just(True)),
    st.builds(
        rg.RMSProp,
        schedules,
        parts,
        parts,
        st.floats(1e-9, 1),
        st.booleans(),
        parts,
        parts,
        st.booleans(),
        st.booleans(),
    ),
    st.builds(rg.Adagrad, schedules, parts, st.floats(1e-9, 1), parts, parts),
    st.builds(rg.Adam, schedules, parts | numpy_parts, parts, st.floats(1e-9, 1), parts),
    st.builds(rg.AdamW, schedules, parts, parts, st.floats(1e-9, 1), parts),
)


@pytest.mark.filterwarnings("ignore:.*is above initial:UserWarning")
@pytest.mark.filterwarnings("ignore:.*share of the mean that stays:UserWarning")
@given(optimizers, updates)
def test_text_represents_an_optimizer_and_its_schedule(optimizer: rg.Optimizer, update: int) -> None:
    restored = optimizer_from(json.loads(json.dumps(optimizer_text(optimizer))))
    assert restored == optimizer
    assert type(restored) is type(optimizer)
    assert restored.numbers(update) == optimizer.numbers(update)


def test_every_optimizer_and_schedule_is_known() -> None:
    for kind, base in ((OPTIMIZERS, rg.Optimizer), (SCHEDULES, rg.Schedule)):
        public = {value for value in vars(rg).values() if isinstance(value, type) and issubclass(value, base)}
        assert public - {base} == set(kind)
        assert all(fields(item) for item in kind)


def test_a_file_of_another_version_is_refused() -> None:
    with pytest.raises(rg.ArgumentError, match="unknown"):
        optimizer_from({"optimizer": "Lion", "learning_rate": 0.1})
    with pytest.raises(rg.ArgumentError, match="unknown"):
        schedule_from({"schedule": "Sine"})
    with pytest.raises(rg.ArgumentError, match="which is your code"):
        schedule_text(rg.WarmUp(3, lambda update: 0.1))
    with pytest.raises(rg.ArgumentError, match="which is your code"):
        optimizer_text(SignDescent(0.1))


class Odd(rg.Optimizer):
    """Optimizer whose numbers a test sets."""

    given: Any = None

    def numbers(self, update: int) -> Any:
        return {"rate": 0.1} if Odd.given is None else Odd.given

    def update(self, parameter: Any, gradient: Any, slots: Any, numbers: Any) -> Any:
        return parameter - numbers["rate"] * gradient, {}


@pytest.mark.parametrize("steps", [0, 1, 40])
@pytest.mark.parametrize(
    ("numbers", "kind"),
    [
        (3, rg.DtypeError),
        ([("rate", 0.1)], rg.DtypeError),
        ({"rate": "0.1"}, rg.DtypeError),
        ({"rate": np.zeros(3)}, rg.DtypeError),
        ({"rate": math.nan}, rg.DtypeError),
        ({"rate": 10**400}, rg.DtypeError),
        ({1: 0.1}, rg.DtypeError),
        ({"rate": 0.1, "more": 1.0}, rg.StructureError),
        ({}, rg.StructureError),
    ],
)
def test_numbers_of_ones_own_are_checked_at_each_step(
    numbers: Any, kind: type[Exception], steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user's numbers are checked at each step, also in machine code, which runs later steps."""
    w = rg.parameter("w", (2,), "ones")
    program = rg.compile(w, loss=rg.reduce_sum(rg.square(w)))
    trainer = rg.Trainer(program, Odd(0.1))
    for _ in range(steps):
        trainer.step()
    if not steps and kind is rg.StructureError:
        return  # the first step defines the names
    before = program.parameters["w"].copy()
    monkeypatch.setattr(Odd, "given", numbers)
    with pytest.raises(kind, match=r"test_optimizers\.py:\d+: Odd\.numbers\(\d+\) "):
        trainer.step()
    assert_array_equal(program.parameters["w"], before)
    monkeypatch.undo()
    trainer.step()
    assert (program.parameters["w"] < before).all()


Given = Callable[[Any, Any], Any]
WRONG_UPDATES: dict[str, tuple[Given, type[Exception]]] = {
    "nothing": (lambda p, kept: None, rg.StructureError),
    "the parameter alone": (lambda p, kept: p, rg.StructureError),
    "an array": (lambda p, kept: (np.zeros(3), kept), rg.DtypeError),
    "a number for a slot": (lambda p, kept: (p, {"mean": 1.0}), rg.DtypeError),
    "a larger parameter": (lambda p, kept: (rg.broadcast_to(p, (5000, 3)), kept), rg.ShapeError),
    "a smaller one": (lambda p, kept: (rg.reduce_sum(p), kept), rg.ShapeError),
    "another dtype": (lambda p, kept: (rg.cast(p, "float64"), kept), rg.ShapeError),
    "a larger slot": (lambda p, kept: (p, {"mean": rg.broadcast_to(p, (5000, 3))}), rg.ShapeError),
}


@pytest.mark.parametrize("guarded", [True, False])
@pytest.mark.parametrize("what", WRONG_UPDATES)
def test_updates_of_ones_own_are_of_the_parameters_type(what: str, guarded: bool) -> None:
    """A user's update must have the parameter's dtype and shape, because it overwrites the parameter's memory."""
    update, kind = WRONG_UPDATES[what]

    class Wrong(rg.Optimizer):
        def slots(self) -> dict[str, float]:
            return {"mean": 0.0}

        def update(self, parameter: Any, gradient: Any, slots: Any, numbers: Any) -> Any:
            return update(parameter, dict(slots))

    w = rg.parameter("w", (3,), "ones")
    program = rg.compile(w, loss=rg.reduce_sum(rg.square(w)))
    with pytest.raises(kind, match=r"test_optimizers\.py:\d+: Wrong\.update returns "):
        rg.Trainer(program, Wrong(0.1), skip_non_finite=guarded).step()
    assert_array_equal(program.parameters["w"], [1, 1, 1])


@pytest.mark.parametrize("slots", [None, ["mean"], {"mean": "0"}, {"mean": np.zeros(3)}, {1: 0.0}, {"mean": math.inf}])
def test_slots_of_ones_own_are_numbers_by_name(slots: Any) -> None:
    class Wrong(SignDescent):
        def slots(self) -> Any:
            return slots

    w = rg.parameter("w", (3,), "ones")
    with pytest.raises(rg.DtypeError, match=r"test_optimizers\.py:\d+: Wrong\.slots\(\) is "):
        rg.Trainer(rg.compile(w, loss=rg.reduce_sum(rg.square(w))), Wrong(0.1))
