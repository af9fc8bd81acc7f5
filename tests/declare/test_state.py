"""States as mappings: matched by their keys everywhere, in any order, and validated."""

from __future__ import annotations

import re
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import rnngraph as rg
from rnngraph.declare.nest import arranged, map_leaves, matched

UNITS, BATCH, STEPS = 3, 2, 5
Pair = namedtuple("Pair", ("late", "early"))


class TwoSpeeds(rg.Cell):
    """Cell with two states: ``early`` follows the input, and ``late`` follows ``early``. Swapping them changes the
    results.
    """

    def __init__(self, new: Callable[[Any, Any], Any] = lambda early, late: {"early": early, "late": late}) -> None:
        self.new = new

    def state(self) -> Any:
        return {"early": UNITS, "late": UNITS}

    def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        early = 0.5 * state["early"] + x
        late = 0.9 * state["late"] + state["early"]
        return early - 2.0 * late, self.new(early, late)


class Paired(TwoSpeeds):
    state_type = Pair  # fields in another order than in state()


def reference(x: np.ndarray, early: np.ndarray, late: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    outputs = []
    for step in range(x.shape[1]):
        early, late = 0.5 * early + x[:, step], 0.9 * late + early
        outputs.append(early - 2.0 * late)
    return np.stack(outputs, 1), early, late


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).normal(size=shape)


X, EARLY, LATE = normal(BATCH, STEPS, UNITS), normal(BATCH, UNITS, seed=1), normal(BATCH, UNITS, seed=2)
ZERO = np.zeros((BATCH, UNITS))


def sequence() -> rg.Tensor:
    return rg.placeholder("x", (None, None, UNITS), "float64")


def compiled(cell: rg.Cell, initial_state: Any = None) -> rg.Program:
    outputs, state = rg.dynamic_rnn(cell, sequence(), initial_state=initial_state)
    return rg.compile({"outputs": outputs, "state": state}, cache=False)


def check(result: Any, early: np.ndarray, late: np.ndarray) -> None:
    outputs, early, late = reference(X, early, late)
    assert_allclose(result["outputs"], outputs, rtol=1e-12)
    assert_allclose(result["state"].early, early, rtol=1e-12)
    assert_allclose(result["state"].late, late, rtol=1e-12)


ORDERS: dict[str, Callable[[Any, Any], Any]] = {
    "as declared": lambda early, late: {"early": early, "late": late},
    "turned round": lambda early, late: {"late": late, "early": early},
    "a namedtuple": lambda early, late: Pair(late=late, early=early),
    "by position": lambda early, late: (early, late),
}


@pytest.mark.parametrize("nest", ORDERS.values(), ids=ORDERS)
def test_a_new_state_is_matched_by_its_keys(nest: Callable[[Any, Any], Any]) -> None:
    check(compiled(TwoSpeeds(nest)).inference(x=X), ZERO, ZERO)


@pytest.mark.parametrize("nest", ORDERS.values(), ids=ORDERS)
def test_an_initial_state_is_matched_by_its_keys(nest: Callable[[Any, Any], Any]) -> None:
    check(compiled(TwoSpeeds(), nest(rg.constant(EARLY), rg.constant(LATE))).inference(x=X), EARLY, LATE)
    check(compiled(TwoSpeeds(), nest(EARLY, LATE)).inference(x=X), EARLY, LATE)


@pytest.mark.parametrize("nest", ORDERS.values(), ids=ORDERS)
def test_a_cells_own_initial_state_is_matched_by_its_keys(nest: Callable[[Any, Any], Any]) -> None:
    class Started(TwoSpeeds):
        def initial_state(self, p: rg.Scope) -> Any:
            return nest(rg.constant(EARLY[0]), rg.constant(LATE[0]))

    check(compiled(Started()).inference(x=X), np.tile(EARLY[0], (BATCH, 1)), np.tile(LATE[0], (BATCH, 1)))
    wrapped = rg.DropoutWrapper(Started(), state_keep_prob=0.5)
    check(compiled(wrapped).inference(x=X), np.tile(EARLY[0], (BATCH, 1)), np.tile(LATE[0], (BATCH, 1)))


def test_fields_in_another_order_than_states_are_the_same_states() -> None:
    program = compiled(Paired(), Pair(late=LATE, early=EARLY))
    result = program.inference(x=X)
    assert type(result["state"]) is Pair
    check(result, EARLY, LATE)
    positions = compiled(Paired(), (LATE, EARLY))  # in the order of state_size, which is a Pair
    check(positions.inference(x=X), EARLY, LATE)
    stream = program.inference.stream(batch=BATCH)
    stream.process(x=X)
    assert type(stream.state) is Pair
    assert_array_equal(stream.state.late, result["state"].late)


def test_fields_that_are_no_states_are_refused() -> None:
    class Odd(TwoSpeeds):
        state_type = namedtuple("Odd", ("slow", "early"))

    with pytest.raises(rg.StructureError, match=r"state_type has the fields slow, early, and state"):
        compiled(Odd())


def test_a_wrapper_with_states_of_its_own_does_not_take_the_fields_of_the_cell() -> None:
    class Counting(rg.Wrapper):
        def state(self) -> Any:
            return {"inner": self.cell, "count": 1}

        def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
            output, inner = p.cell(None, self.cell)(x, state["inner"])
            return output, {"count": state["count"] + 1.0, "inner": inner}

        def initial_state(self, p: rg.Scope) -> Any:
            return None

    deep: rg.Cell = rg.LSTMCell(4)
    for _ in range(30):  # deep enough to reveal repeated requests at every level
        deep = rg.ResidualWrapper(Counting(deep))
    assert deep.state_size._fields == ("inner", "count")
    for cell in (rg.GRUCell(4), TwoSpeeds()):
        for _ in range(30):
            cell = rg.ResidualWrapper(cell)
        assert cell.state_size in (4, (UNITS, UNITS))
    _, state = rg.dynamic_rnn(Counting(rg.LSTMCell(4)), sequence())
    assert state._fields == ("inner", "count")
    assert state.inner._fields == ("c", "h")
    result = rg.compile({"state": state}, cache=False).inference(x=X)["state"]
    assert_array_equal(result.count, np.full((BATCH, 1), STEPS))


@pytest.mark.parametrize("nest", ORDERS.values(), ids=ORDERS)
def test_states_in_stacks_and_wrappers_are_matched_by_their_keys(nest: Callable[[Any, Any], Any]) -> None:
    cells = [rg.DropoutWrapper(TwoSpeeds(nest), state_keep_prob=0.5), rg.GRUCell(4), TwoSpeeds(nest)]
    stack = rg.MultiRNNCell([rg.ResidualWrapper(cells[0]), rg.OutputProjectionWrapper(cells[1], UNITS), cells[2]])
    plain = rg.MultiRNNCell(
        [rg.ResidualWrapper(TwoSpeeds()), rg.OutputProjectionWrapper(rg.GRUCell(4), UNITS), TwoSpeeds()]
    )
    h = normal(BATCH, 4)
    first, third = nest(EARLY, LATE), nest(LATE, EARLY)
    ours = compiled(stack, (first, {"h": h}, third)).inference(x=X)
    theirs = compiled(plain, ((EARLY, LATE), h, (LATE, EARLY))).inference(x=X)
    for one, other in zip(ours.values(), theirs.values(), strict=True):
        for mine, expected in zip(flat(one), flat(other), strict=True):
            assert_array_equal(mine, expected)


def flat(nest: Any) -> list[np.ndarray]:
    return [leaf for item in nest for leaf in flat(item)] if isinstance(nest, tuple) else [nest]


def test_both_directions_and_stacks_of_them_take_mappings() -> None:
    x = sequence()
    swapped, plain = {"late": LATE, "early": EARLY}, (EARLY, LATE)

    def both(state: Any) -> Any:
        outputs, states = rg.bidirectional_dynamic_rnn(
            TwoSpeeds(), TwoSpeeds(), x, initial_state_fw=state, initial_state_bw=state
        )
        deep = rg.stack_bidirectional_dynamic_rnn([TwoSpeeds()], [TwoSpeeds()], x, [state], [state])[0]
        steps = rg.static_rnn(TwoSpeeds(), [x[:, 0], x[:, 1]], initial_state=state)[0][1]
        return {"fw": outputs[0], "bw": outputs[1], "deep": deep, "steps": steps, "states": states}

    ours = rg.compile(both(swapped), cache=False).inference(x=X)
    theirs = rg.compile(both(plain), cache=False).inference(x=X)
    for name in ("fw", "bw", "deep", "steps"):
        assert_array_equal(ours[name], theirs[name])


def test_a_decoder_takes_mappings() -> None:
    def decoded(state: Any) -> np.ndarray:
        first = rg.placeholder("first", (None, UNITS), "float64")
        outputs, _, _ = rg.dynamic_decode(TwoSpeeds(), first, lambda y, _: y, 4, initial_state=state)
        return np.asarray(rg.compile(outputs, cache=False).inference(first=X[:, 0]))

    assert_array_equal(decoded({"late": LATE, "early": EARLY}), decoded((EARLY, LATE)))


def test_zoneout_and_attention_take_mappings() -> None:
    def zoned(keep: Any) -> np.ndarray:
        return np.asarray(compiled(rg.ZoneoutWrapper(TwoSpeeds(), state_keep_prob=keep)).inference(x=X)["outputs"])

    assert_array_equal(zoned({"late": 0.75, "early": 1.0}), zoned((1.0, 0.75)))

    def attending(state: Any) -> np.ndarray:
        memory = rg.placeholder("memory", (None, None, UNITS), "float64")
        cell = rg.InputProjectionWrapper(TwoSpeeds(), UNITS)
        wrapped = rg.AttentionWrapper(cell, rg.LuongAttention(UNITS, memory), initial_cell_state=state)
        outputs, _ = rg.dynamic_rnn(wrapped, sequence())
        return np.asarray(rg.compile(outputs, seed=1, cache=False).inference(x=X, memory=X))

    assert_array_equal(attending({"late": LATE, "early": EARLY}), attending((EARLY, LATE)))
    with pytest.raises(rg.StructureError, match=r"initial_cell_state has no entry 'erly' \(did you mean early\?"):
        attending({"late": LATE, "erly": EARLY})
    with pytest.raises(rg.StructureError, match=r"state_keep_prob lacks 'late'"):
        zoned({"early": 0.5})


def test_a_streams_state_is_matched_by_its_keys() -> None:
    program = compiled(TwoSpeeds())
    whole = reference(X, EARLY, LATE)[0]
    for nest in ({"late": LATE, "early": EARLY}, Pair(LATE, EARLY), (EARLY, LATE)):
        stream = program.inference.stream(batch=BATCH)
        stream.state = nest
        assert_allclose(stream.process(x=X)["outputs"], whole, rtol=1e-12)
    before = stream.state
    with pytest.raises(
        rg.StructureError, match=r"test_state\.py:\d+: the stream's state has .*'erly' .did you mean early.*'early'"
    ):
        stream.state = {"late": LATE, "erly": EARLY}
    with pytest.raises(rg.StructureError, match="the stream's state lacks 'early'"):
        stream.state = {"late": LATE}
    assert_array_equal(stream.state.late, before.late)
    single = compiled(rg.GRUCell(UNITS)).inference.stream(batch=BATCH)
    with pytest.raises(rg.StructureError, match="has no entry 'g' and lacks 'h'"):
        single.state = {"g": LATE}


STACKS: dict[str, tuple[Callable[[], rg.Cell], Callable[[Any], list[Any]]]] = {
    "one": (lambda: rg.GRUCell(4), lambda h: [h, {"h": h}, [h], (h,), namedtuple("State", "h")(h)]),
    "two": (lambda: rg.LSTMCell(4), lambda h: [(h, h), {"h": h, "c": h}, rg.LSTMStateTuple(h, h)]),
    "stack of one": (lambda: rg.MultiRNNCell([rg.GRUCell(4)]), lambda h: [h, (h,), [{"h": h}], {"h": h}, {"0": h}]),
    "stack": (
        lambda: rg.MultiRNNCell([rg.ResidualWrapper(rg.GRUCell(4)), rg.LSTMCell(4)]),
        lambda h: [(h, (h, h)), [{"h": h}, {"c": h, "h": h}], {"0": {"h": h}, "1": rg.LSTMStateTuple(h, h)}],
    ),
}


@pytest.mark.parametrize("saved", [False, True])
@pytest.mark.parametrize("name", STACKS)
def test_a_stream_takes_a_state_in_every_form_that_drivers_do(name: str, saved: bool, tmp_path: Path) -> None:
    """Accepted forms include the name of a cell's only state, and states as calls and streams return them."""
    make, forms = STACKS[name]
    x = rg.placeholder("x", (None, None, 4))
    outputs, states = rg.dynamic_rnn(make(), x)
    program: Any = rg.compile({"outputs": outputs, "states": states}, cache=False)
    if saved:
        program.save(tmp_path / "saved")
        program = rg.load(tmp_path / "saved", cache=False)
    stream, half = program.inference.stream(batch=2), np.full((2, 4), 0.5, np.float32)
    step, expected = np.ones((2, 4), np.float32), []
    for form in forms(half):
        rg.dynamic_rnn(make(), x, initial_state=map_leaves(rg.constant, form))
        stream.state = form
        expected.append(stream.step(x=step)["outputs"])
    assert all(np.array_equal(array, expected[0]) for array in expected)
    sequence = np.random.default_rng(0).normal(size=(2, 6, 4)).astype(np.float32)
    stream.state = program.inference(x=sequence[:, :5])["states"]
    own = stream.state
    last = stream.step(x=sequence[:, 5])["outputs"]
    assert_array_equal(last, program.inference(x=sequence)["outputs"][:, 5])
    stream.state = own
    assert_array_equal(stream.step(x=sequence[:, 5])["outputs"], last)
    with pytest.raises(rg.StructureError, match="'z'"):
        stream.state = {"z": half}


def test_a_mapping_for_one_array_is_an_error() -> None:
    cell = rg.GRUCell(4)
    start = rg.state_placeholder("start", cell)
    outputs, _ = rg.dynamic_rnn(cell, rg.placeholder("x", (None, None, 4)), initial_state=start)
    with pytest.raises(rg.StructureError, match="feed start is one array, not a mapping of 'h'; give the array alone"):
        rg.compile(outputs).inference(x=np.ones((2, 3, 4)), start={"h": np.ones((2, 4))})


def test_gradients_of_a_fed_state_have_its_structure() -> None:
    cell = TwoSpeeds()
    outputs, _ = rg.dynamic_rnn(cell, sequence(), initial_state=rg.state_placeholder("first", cell, "float64"))
    program = rg.compile(outputs, loss=rg.reduce_sum(rg.square(outputs)), cache=False)
    _, expected = program.training.gradients(x=X, first=(EARLY, LATE), wrt=["first"])
    for nest in ({"late": LATE, "early": EARLY}, Pair(LATE, EARLY)):
        _, gradients = program.training.gradients(x=X, first=nest, wrt=["first"])
        names = dict(gradients["first"]) if isinstance(nest, dict) else gradients["first"]._asdict()
        assert [*names] == ["late", "early"]
        assert_array_equal(names["early"], expected["first"][0])
        assert_array_equal(names["late"], expected["first"][1])


WRONG: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "misspelt": (lambda a, b: {"erly": a, "late": b}, "has no entry 'erly' (did you mean early?) and lacks 'early'"),
    "one too many": (lambda a, b: {"early": a, "late": b, "h": b}, "has no entry 'h'; it takes (early, late)"),
    "one too few": (lambda a, b: {"late": b}, "lacks 'early'; it takes (early, late)"),
    "other fields": (lambda a, b: rg.LSTMStateTuple(a, b), "has no entry 'c', 'h' and lacks 'early', 'late'"),
    "by position": (lambda a, b: (a, b, b), "takes 2 entries (early, late), not 3"),
    "no nest": (lambda a, b: a, "takes a nest (early, late), not Tensor"),
    "a nest inside": (lambda a, b: {"early": {"h": a}, "late": b}, ".early must be one array, not a nest (h,)"),
    "several inside": (lambda a, b: {"early": (a, a), "late": b}, ".early must be one array, not a tuple of 2"),
}


@pytest.mark.parametrize(("nest", "message"), WRONG.values(), ids=WRONG)
def test_unknown_and_missing_keys_are_named(nest: Callable[[Any, Any], Any], message: str) -> None:
    class Started(TwoSpeeds):
        def initial_state(self, p: rg.Scope) -> Any:
            return nest(rg.constant(EARLY), rg.constant(LATE))

    calls: dict[str, Callable[[], Any]] = {
        r"TwoSpeeds\(.*\): new state": lambda: compiled(TwoSpeeds(nest)),
        r"TwoSpeeds\(\): initial_state": lambda: compiled(TwoSpeeds(), nest(rg.constant(EARLY), rg.constant(LATE))),
        r"Started\(\): initial_state": lambda: compiled(Started()),
    }
    for what, call in calls.items():
        pattern = rf"test_state\.py:\d+: {what}.*{re.escape(message)}"
        with pytest.raises(rg.StructureError, match=pattern):
            call()


def test_a_wrong_name_of_a_state_is_an_error_with_the_name() -> None:
    class Asking(TwoSpeeds):
        def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
            return state["erly"], state

    with pytest.raises(rg.NameLookupError, match=r"no state is named 'erly'; did you mean early\?"):
        compiled(Asking())


@pytest.mark.parametrize(
    "state", [UNITS, (UNITS,), {"h": UNITS}, rg.GRUCell(UNITS)], ids=["int", "tuple", "dict", "cell"]
)
@pytest.mark.parametrize("gives", [lambda h: h, lambda h: (h,), lambda h: [h]], ids=["bare", "tuple", "list"])
def test_a_single_state_may_come_without_its_container(state: Any, gives: Callable[[Any], Any]) -> None:
    class Single(rg.Cell):
        output_size = UNITS

        def state(self) -> Any:
            return state

        def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
            h = state["h"] if isinstance(state, dict) else state[0] if isinstance(state, tuple) else state
            return h + x, gives(h + x)

    result = compiled(Single(), gives(rg.constant(EARLY))).inference(x=X)
    assert_allclose(result["outputs"], EARLY[:, None] + np.cumsum(X, 1), rtol=1e-12)


def test_states_without_names_are_matched_by_position() -> None:
    class Positions(TwoSpeeds):
        def state(self) -> Any:
            return UNITS, UNITS

        def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
            output, new = TwoSpeeds.step(self, p, x, {"early": state[0], "late": state[1]})
            return output, rg.LSTMStateTuple(new["early"], new["late"])

    result = compiled(Positions(), (EARLY, LATE)).inference(x=X)
    assert_allclose(result["outputs"], reference(X, EARLY, LATE)[0], rtol=1e-12)
    with pytest.raises(rg.StructureError, match=r"has no entry 'a', 'b' and lacks '0', '1'; it takes \(0, 1\)"):
        compiled(Positions(), {"a": EARLY, "b": LATE})


def test_matching() -> None:
    tree = {"a": {"x": 0, "y": 0}, "b": 0}
    for nest in (
        {"b": 3, "a": {"y": 2, "x": 1}},
        ((1, 2), 3),
        [1, 2, 3],
        {"a": (1, 2), "b": 3},
        ({"y": 2, "x": 1}, 3),
    ):
        assert matched(tree, nest, "it") == [1, 2, 3]
    assert arranged({"a": {"x": 1, "y": 2}, "b": 3}, {"b": 0, "a": {"y": 0, "x": 0}}) == {"b": 3, "a": {"y": 2, "x": 1}}
    assert matched({"only": 0}, 1, "it") == matched({"only": 0}, (1,), "it") == matched(0, 1, "it") == [1]
    rows = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
    assert matched({"only": 0}, rows, "it") == [rows]
    with pytest.raises(rg.StructureError, match=r"it\.a has no entry 'z' and lacks 'x'; it takes \(x, y\)"):
        matched(tree, {"a": {"z": 1, "y": 2}, "b": 3}, "it")


def test_matching_works_deeper_than_the_stack() -> None:
    structure, nest, depth = 0, 1, 5000
    for level in range(depth):
        structure, nest = {"a": structure, "b": level}, {"b": level + 2, "a": nest}  # type: ignore[assignment]
    assert matched(structure, nest, "it")[:3] == [1, 2, 3]
    with pytest.raises(rg.StructureError, match="lacks 'b'"):
        matched({"a": structure, "b": 1}, {"a": {"a": 1}, "b": 1}, "it")
