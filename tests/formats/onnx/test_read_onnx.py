"""ONNX files as nets: names, layouts, open sizes, arithmetic of sizes, conditions, refusals, damage."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from systems import WINDOWS

import rnngraph as rg

onnx = pytest.importorskip("onnx")

from changed_files import check_changed_files  # noqa: E402  # after importorskip
from changed_models import changed_model  # noqa: E402  # after importorskip
from onnx import TensorProto, helper, numpy_helper  # noqa: E402  # after importorskip
from onnx_recurrent import random_node  # noqa: E402  # after importorskip

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def model(
    nodes: list[Any],
    inputs: dict[str, Any],
    outputs: list[str],
    arrays: dict[str, np.ndarray] | None = None,
    opset: int = 17,
) -> Any:
    """Return a model. ``inputs`` are shapes, or pairs of element type and shape."""
    infos = [
        helper.make_tensor_value_info(name, *(item if isinstance(item, tuple) else (FLOAT, item)))
        for name, item in inputs.items()
    ]
    results = [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs]
    storage = [numpy_helper.from_array(np.asarray(array), name) for name, array in (arrays or {}).items()]
    graph = helper.make_graph(nodes, "net", infos, results, storage)
    domains = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=domains, ir_version=8)


def node(op: str, inputs: str, outputs: str, **attributes: Any) -> Any:
    return helper.make_node(op, inputs.split(","), outputs.split(","), name=f"{outputs}: the {op}", **attributes)


def array(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def run_script(net: Any) -> Any:
    """Return the program of the net's script, with the net's weights."""
    text = net.script().replace("program.parameters.load(Path(__file__).with_name('weights.safetensors'))", "")
    names: dict[str, Any] = {}
    exec(compile(text, "net.py", "exec"), names)
    names["program"].parameters.load(net.parameters)
    return names["program"]


def gives(name: str) -> list[Any]:
    return [helper.make_tensor_value_info(name, FLOAT, None)]


def stack_of_two(units: int = 7, inputs: int = 5) -> Any:
    """Return two GRU layers, batch first, as torch's exporter writes them: computed state shapes, and transposes."""
    arrays = {
        "rest": np.array([units]),
        "one": np.array([1]),
        "axis0": np.array([0]),
        "shift": array(3),
        "head": array(units, 3, seed=9),
    }
    for layer, width in enumerate((inputs, units)):
        arrays |= {f"W{layer}": array(1, 3 * units, width, seed=layer), f"R{layer}": array(1, 3 * units, units, seed=5)}
    nodes = [
        node("Shape", "x", "shape"),
        node("Gather", "shape,axis0", "batch", axis=0),
        node("Concat", "one,batch,rest", "sizes", axis=0),
        node("ConstantOfShape", "sizes", "start"),
        node("Transpose", "x", "t0", perm=[1, 0, 2]),
    ]
    for layer in (0, 1):
        names, options = f"t{layer},W{layer},R{layer},,,start", {"hidden_size": units, "linear_before_reset": 1}
        nodes += [
            node("GRU", names, f"y{layer},h{layer}", **options),
            node("Squeeze", f"y{layer},one", f"t{layer + 1}"),
        ]
    nodes += [
        node("Transpose", "t2", "all", perm=[1, 0, 2]),
        node("MatMul", "all,head", "product"),
        node("Add", "shift,product", "logits"),
        node("Identity", "h1", "hn"),
    ]
    return model(nodes, {"x": ["batch", "time", inputs]}, ["logits", "hn"], arrays)


def test_equal_layers_are_a_stack_and_all_sizes_stay_open() -> None:
    net = rg.read_onnx(stack_of_two())
    assert list(net.inputs) == ["x"]
    assert list(net.outputs) == ["logits", "hn"]
    assert net.inputs["x"].shape == ("batch", "time", 5)
    text = net.script()
    assert "rg.MultiRNNCell([rg.GRUCell(7, reset_after=True) for _ in range(2)])" in text
    assert "transpose" not in text
    assert "name='dense'" in text
    program, from_script = net.program(), run_script(net)
    assert net.parameters.keys() == program.parameters.keys()
    for batch, time in ((1, 1), (2, 7), (5, 3)):
        x = array(batch, time, 5, seed=time)
        result = program.inference(x=x)
        assert result["logits"].shape == (batch, time, 3)
        assert result["hn"].shape == (1, batch, 7)
        assert np.array_equal(from_script.inference(x=x)["logits"], result["logits"])
        assert_allclose(result["logits"][:, :1], program.inference(x=x[:, :1])["logits"], atol=1e-6)


def test_a_net_that_was_saved_is_a_module(tmp_path: Path) -> None:
    net = rg.read_onnx(stack_of_two())
    net.save(tmp_path / "net")
    path = tmp_path / "net" / "net.py"
    names: dict[str, Any] = {"__file__": str(path)}
    exec(compile(path.read_text(), "net.py", "exec"), names)
    x = array(2, 5, 5)
    assert np.array_equal(names["program"].inference(x=x)["hn"], net.program().inference(x=x)["hn"])


def test_paths_bytes_and_models_give_the_same_net(tmp_path: Path) -> None:
    onnx_model = stack_of_two()
    onnx.save(onnx_model, tmp_path / "net.onnx")
    texts = {
        rg.read_onnx(item).script() for item in (onnx_model, onnx_model.SerializeToString(), tmp_path / "net.onnx")
    }
    assert len(texts) == 1


def test_recurrences_without_a_builtin_cell_become_cells_of_the_script() -> None:
    recurrence = random_node("LSTM", 0)
    recurrence.attributes = {
        "hidden_size": recurrence.attributes["hidden_size"],
        "direction": recurrence.attributes["direction"],
        "input_forget": 1,
        "clip": 0.5,
    }
    net = rg.read_onnx(recurrence.model())
    text = net.script()
    assert "class FreeLSTMCell(rg.Cell):" in text
    assert "limit=0.5" in text
    feeds = recurrence.feeds()
    one, other = net.program().inference(feeds), run_script(net).inference(feeds)
    assert all(np.array_equal(one[name], other[name]) for name in net.outputs)


def conditional() -> Any:
    """Return a model with an If on a number, one of whose branches has an If on a size being 1."""
    one = helper.make_graph([node("Squeeze", "x,last", "flat1")], "one", [], gives("flat1"))
    many = helper.make_graph([node("Identity", "x", "same")], "many", [], gives("same"))
    inside = [
        node("Shape", "x", "shape"),
        node("Gather", "shape,at", "size", axis=0),
        node("Equal", "size,ones", "is_one"),
        node("If", "is_one", "flat", then_branch=one, else_branch=many),
        node("MatMul", "flat,w", "wide"),
    ]
    wide = helper.make_graph(inside, "wide", [], gives("wide"))
    erased = helper.make_node("Erased", ["x"], ["narrow"], domain="elsewhere")
    narrow = helper.make_graph([erased], "narrow", [], gives("narrow"))
    nodes = [node("Equal", "sr,limit", "is_wide"), node("If", "is_wide", "y", then_branch=wide, else_branch=narrow)]
    arrays = {"limit": np.array(16000), "last": np.array([-1]), "at": np.array([2]), "ones": np.array([1])}
    inputs = {"x": ["batch", 2, "time"], "sr": (INT64, [])}
    return model(nodes, inputs, ["y"], arrays | {"w": array(2, 3)})


def test_a_fixed_input_settles_which_graph_is_taken() -> None:
    net = rg.read_onnx(conditional(), fixed={"sr": 16000})
    assert list(net.inputs) == ["x"]
    program = net.program()
    x = array(4, 2, 1)
    assert_allclose(program.inference(x=x)["y"], x[..., 0] @ array(2, 3), atol=1e-6)
    with pytest.raises(rg.ShapeError, match="time = 2"):  # only a length of 1 can be read
        program.inference(x=array(4, 2, 2))
    with pytest.raises(rg.NotReadableError, match=r"the If' \(If\): .*pass fixed=\{'sr': …\}"):
        rg.read_onnx(conditional())
    with pytest.raises(rg.NotReadableError, match=r"elsewhere\.Erased"):
        rg.read_onnx(conditional(), fixed={"sr": 8000})
    assert rg.read_onnx(conditional(), fixed={"sr": 16000, "time": 1, "batch": 3}).inputs["x"].shape == (3, 2, 1)


@pytest.mark.parametrize(
    ("fixed", "error", "text"),
    [
        ({"rate": 1}, rg.NameLookupError, "no input or size 'rate'.*'sr'"),
        ({"sr": [1, 2]}, rg.ShapeError, r"has shape \[2\]"),
        ({"sr": "16k"}, rg.DtypeError, "'sr'"),
        ({"time": 0}, rg.DtypeError, "of 1 or more"),
        ("sr", rg.DtypeError, "fixed must be a mapping"),
    ],
)
def test_fixed_values_are_checked(fixed: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        rg.read_onnx(conditional(), fixed=fixed)


def test_every_node_that_cant_be_read_is_listed() -> None:
    nodes = [
        node("NonZero", "x", "a"),
        node("Cast", "a", "b", to=FLOAT),
        helper.make_node("Nothing", ["x"], ["c"], domain="my'\n"),
        node("Compress", "x,k", "d"),
        node("Sum", "b,c,d", "y"),
    ]
    with pytest.raises(rg.NotReadableError) as caught:
        rg.read_onnx(model(nodes, {"x": [None, 3]}, ["y"], {"k": np.array([True])}))
    problems = caught.value.problems
    assert len(problems) == 3
    assert problems[0].startswith("node 'b: the Cast' (Cast): it reads the indices of NonZero")
    assert problems[1].startswith("the node of 'c' (\"my'\\n.Nothing\"): ")
    assert problems[2].startswith("node 'd: the Compress' (Compress): ")


HOSTILE = "x'); import os; os.abort()  #\"\"\"\n__import__('os').abort()"


def test_names_are_only_literals_in_scripts() -> None:
    relu = helper.make_node("Relu", ["in put"], [HOSTILE], name=HOSTILE)
    nodes = [relu, helper.make_node("Neg", [HOSTILE], ["out"])]
    net = rg.read_onnx(model(nodes, {"in put": ["a b", "def", HOSTILE]}, [HOSTILE, "out"]))
    assert HOSTILE in net.outputs
    assert net.inputs["in put"].rank == 3
    text = net.script()
    assert "\nx = rg.placeholder('in put', ('size_0', 'size_1', 'size_2'))\n" in text
    assert repr(HOSTILE) in text
    assert "os.abort()" not in text.replace(repr(HOSTILE), "")
    compile(text, "net.py", "exec")


@pytest.mark.parametrize(
    ("nodes", "text"),
    [
        ([node("Add", "x,b", "a"), node("Neg", "a", "b"), node("Neg", "b", "y")], "depends on its own output"),
        ([node("Add", "x,nothing", "y")], "no node computes 'nothing'"),
        ([node("Neg", "x", "y"), node("Abs", "x", "y")], "defines 'y' twice"),
    ],
)
def test_graphs_without_an_order_are_damage(nodes: list[Any], text: str) -> None:
    with pytest.raises(rg.FileError, match=text):
        rg.read_onnx(model(nodes, {"x": [2, 3]}, ["y"]))


def test_long_chains_and_deep_graphs_end() -> None:
    many = [node("Neg", f"v{number}" if number else "x", f"v{number + 1}") for number in range(3000)]
    assert rg.read_onnx(model([*many, node("Abs", "v3000", "y")], {"x": [2]}, ["y"])).outputs["y"].shape == (2,)
    graph = helper.make_graph([node("Neg", "x", "o")], "g", [], gives("o"))
    for _ in range(45):
        outer = node("If", "yes", "o", then_branch=graph, else_branch=graph)
        graph = helper.make_graph([outer], "g", [], gives("o"))
        if graph.ByteSize() > 1 << 16:
            break
    deep = model(
        [node("If", "yes", "y", then_branch=graph, else_branch=graph)], {"x": [2]}, ["y"], {"yes": np.array(True)}
    )
    rg.read_onnx(deep)


@pytest.mark.parametrize(
    "nodes",
    [
        [node("ConstantOfShape", "huge", "a"), node("Add", "x,a", "y")],
        [node("Expand", "x,huge", "b"), node("Tile", "b,huge", "y")],
        [node("Range", "zero,many,one", "a"), node("Cast", "a", "b", to=FLOAT), node("Add", "x,b", "y")],
        [node("OneHot", "ids,many,pair", "a"), node("Add", "x,a", "y")],
        [node("Pad", "x,pads", "y")],
        [node("Tile", "x,many", "y")],
    ],
)
def test_huge_arrays_are_rejected_before_they_are_created(nodes: list[Any]) -> None:
    arrays = {
        "huge": np.array([2**40, 2**20]),
        "zero": np.array(0),
        "many": np.array([2**50]),
        "one": np.array(1),
        "ids": np.array([1]),
        "pair": np.array([0.0, 1.0], np.float32),
        "pads": np.array([2**50, 2**50]),
    }
    with pytest.raises(rg.RnnGraphError):
        rg.read_onnx(model(nodes, {"x": [1]}, ["y"], arrays)).program().inference(x=np.zeros(1, np.float32))


def test_external_arrays_come_only_from_the_files_folder(tmp_path: Path) -> None:
    onnx_model = model([node("MatMul", "x,w", "y")], {"x": [None, 5]}, ["y"], {"w": array(5, 3)})
    (tmp_path / "inner").mkdir()
    path = tmp_path / "inner" / "net.onnx"
    onnx.save(onnx_model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    x = array(4, 5)
    assert_allclose(rg.read_onnx(path).program().inference(x=x)["y"], x @ array(5, 3), atol=1e-6)
    with pytest.raises(rg.FileError, match="give the model's path"):
        rg.read_onnx(path.read_bytes())
    (tmp_path / "inner" / "weights.bin").rename(tmp_path / "weights.bin")
    with pytest.raises(rg.FileError, match="can't read"):
        rg.read_onnx(path)
    outside = onnx.load(path, load_external_data=False)
    outside.graph.initializer[0].external_data[0].value = "../weights.bin"
    path.write_bytes(outside.SerializeToString())
    with pytest.raises(rg.FileError, match="outside of the model's folder"):
        rg.read_onnx(path)
    if WINDOWS:  # links need a privilege
        return
    (tmp_path / "inner" / "link.bin").symlink_to(tmp_path / "weights.bin")
    outside.graph.initializer[0].external_data[0].value = "link.bin"
    path.write_bytes(outside.SerializeToString())
    with pytest.raises(rg.FileError, match="outside of the model's folder"):
        rg.read_onnx(path)


def test_a_dynamically_quantized_lstm_is_read_as_floats() -> None:
    units, inputs = 6, 4
    draw = np.random.default_rng(3)
    kernels = {
        name: draw.integers(-100, 100, (1, size, 4 * units)).astype(np.int8)
        for name, size in (("W", inputs), ("R", units))
    }
    arrays = {
        **kernels,
        "ws": np.array([0.01], np.float32),
        "wz": np.zeros(1, np.int8),
        "rs": np.full((1, 4 * units), 0.008, np.float32),
        "rz": np.zeros((1, 4 * units), np.int8),
    }
    quantized = helper.make_node(
        "DynamicQuantizeLSTM",
        ["x", "W", "R", "", "", "", "", "", "ws", "wz", "rs", "rz"],
        ["y"],
        domain="com.microsoft",
        hidden_size=units,
    )
    x = array(3, 2, inputs)
    results = rg.read_onnx(model([quantized], {"x": ["t", "b", inputs]}, ["y"], arrays)).program().inference(x=x)["y"]
    plain = {
        "W": kernels["W"].transpose(0, 2, 1) * np.float32(0.01),
        "R": kernels["R"].transpose(0, 2, 1) * np.float32(0.008),
    }
    same = model(
        [helper.make_node("LSTM", ["x", "W", "R"], ["y"], hidden_size=units)], {"x": ["t", "b", inputs]}, ["y"], plain
    )
    assert_allclose(results, rg.read_onnx(same).program().inference(x=x)["y"], atol=1e-6)


def test_quantized_numbers_are_read_only_by_operators_that_dequantize() -> None:
    arrays = {
        "s": np.array(0.1, np.float32),
        "z": np.array(3, np.uint8),
        "w": np.arange(6, dtype=np.int8).reshape(2, 3),
    }
    nodes = [
        node("QuantizeLinear", "x,s,z", "q"),
        node("DequantizeLinear", "q,s,z", "d"),
        node("DequantizeLinear", "w,s", "v"),
        node("MatMul", "d,v", "y"),
    ]
    x = array(4, 2)
    results = rg.read_onnx(model(nodes, {"x": [None, 2]}, ["y"], arrays)).program().inference(x=x)["y"]
    assert_allclose(results, np.clip(x, -0.3, 25.2) @ (arrays["w"] * np.float32(0.1)), atol=1e-6)
    with pytest.raises(rg.NotReadableError, match="output 'q': it is quantized"):
        rg.read_onnx(model(nodes[:1], {"x": [None, 2]}, ["q"], arrays))


def test_functions_of_a_file_are_written_out() -> None:
    body = helper.make_function(
        "mine", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], [helper.make_opsetid("", 17)]
    )
    onnx_model = model([helper.make_node("Twice", ["x"], ["y"], domain="mine")], {"x": [None, 2]}, ["y"])
    onnx_model.opset_import.append(helper.make_opsetid("mine", 1))
    onnx_model.functions.append(body)
    assert_allclose(rg.read_onnx(onnx_model).program().inference(x=np.ones((1, 2)))["y"], [[2, 2]])
    body.node[0].op_type, body.node[0].domain = "Twice", "mine"
    del body.node[0].input[1]
    onnx_model.functions[0].CopyFrom(body)
    with pytest.raises(rg.FileError, match="calls itself"):
        rg.read_onnx(onnx_model)


def test_functions_within_functions_have_names_and_attributes_of_their_calls() -> None:
    """One function is called twice, with an attribute's default and with another value, and with an inner loop."""
    opset = [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)]
    leaky = helper.make_node("LeakyRelu", ["a"], ["t"])
    leaky.attribute.append(onnx.AttributeProto(name="alpha", ref_attr_name="slope", type=1))
    branches = [
        helper.make_graph([node("Add", "t,t", "o")], "g", [], gives("o")),
        helper.make_graph([node("Abs", "t", "t2"), node("Neg", "t2", "o")], "g", [], gives("o")),
    ]
    inner = helper.make_function(
        "mine",
        "Inner",
        ["a", "c"],
        ["b"],
        [leaky, helper.make_node("If", ["c"], ["b"], then_branch=branches[0], else_branch=branches[1])],
        opset,
    )
    inner.attribute_proto.append(helper.make_attribute("slope", 0.5))
    calls = [
        helper.make_node("Inner", ["a", "c"], ["t"], domain="mine"),
        helper.make_node("Inner", ["t", "c"], ["b"], domain="mine", slope=0.25),
    ]
    outer = helper.make_function("mine", "Outer", ["a", "c"], ["b"], calls, opset)
    x = array(3, 2)
    for condition in (True, False):
        onnx_model = model(
            [helper.make_node("Outer", ["x", "c"], ["y"], domain="mine")],
            {"x": [None, 2]},
            ["y"],
            {"c": np.array(condition)},
        )
        onnx_model.opset_import.append(opset[1])
        onnx_model.functions.extend([outer, inner])

        def step(x: np.ndarray, slope: float, condition: bool = condition) -> np.ndarray:
            t = np.where(x < 0, x * slope, x)
            return t + t if condition else -np.abs(t)

        results = rg.read_onnx(onnx_model).program().inference(x=x)["y"]
        assert_allclose(results, step(step(x, 0.5), 0.25), atol=1e-6)


def test_functions_are_read_by_their_own_versions_of_operators() -> None:
    """ReduceSum has its axes as an attribute in opset 12, and as an input in 13."""
    total = helper.make_node("ReduceSum", ["a"], ["b"], axes=[1], keepdims=0)
    body = helper.make_function("mine", "Total", ["a"], ["b"], [total], [helper.make_opsetid("", 12)])
    onnx_model = model([helper.make_node("Total", ["x"], ["y"], domain="mine")], {"x": [None, 2]}, ["y"])
    onnx_model.opset_import.append(helper.make_opsetid("mine", 1))
    onnx_model.functions.append(body)
    assert_allclose(rg.read_onnx(onnx_model).program().inference(x=np.ones((3, 2)))["y"], [2, 2, 2])


def test_files_of_other_formats_are_rejected(tmp_path: Path) -> None:
    for data in (b"", b"{}", b"\xff" * 40, stack_of_two().SerializeToString()[:-100]):
        with pytest.raises(rg.FileError):
            rg.read_onnx(data)
    with pytest.raises(rg.FileError, match="no file"):
        rg.read_onnx(tmp_path / "none.onnx")
    with pytest.raises(rg.DtypeError):
        rg.read_onnx(3)  # type: ignore[arg-type]


def test_changed_files_give_an_error_or_a_net() -> None:
    onnx_model = stack_of_two()
    check_changed_files(rg.read_onnx, onnx_model.SerializeToString(), range(60))
    check_changed_models(onnx_model, range(60))
    check_changed_models(conditional(), range(40))


def check_changed_models(onnx_model: Any, seeds: Any, compare: Any = None) -> None:
    for seed in seeds:
        changed = changed_model(onnx_model, seed)
        try:
            net = rg.read_onnx(
                changed, fixed={"sr": 16000} if any(i.name == "sr" for i in changed.graph.input) else None
            )
        except rg.RnnGraphError:
            continue
        compile(net.script(), "net.py", "exec")
        if compare is not None:
            compare(changed, net, seed)


@pytest.mark.exhaustive
def test_many_changed_files_give_an_error_or_the_numbers_of_onnxruntime() -> None:
    runtime = pytest.importorskip("onnxruntime")
    runtime.set_default_logger_severity(4)
    outcomes: Counter[str] = Counter()

    def compare(changed: Any, net: Any, seed: int) -> None:
        outcomes["read"] += 1
        if seed % 4:
            return
        feeds = small_feeds(net, seed)
        try:
            session = runtime.InferenceSession(changed.SerializeToString())
            fixed = {"sr": np.array(16000)} if "sr" in [item.name for item in session.get_inputs()] else {}
            expected = session.run(None, feeds | fixed)
        except Exception:  # onnxruntime's errors have several classes
            outcomes["refused by onnxruntime"] += 1
            return
        try:
            results = net.program().inference(feeds)
        except rg.RnnGraphError:
            outcomes["refused at the call"] += 1
            return
        for name, numbers in zip(net.outputs, expected, strict=True):
            assert results[name].shape == numbers.shape, seed
            assert_allclose(results[name], numbers, atol=1e-4, err_msg=str(seed))
        outcomes["the same numbers"] += 1

    for onnx_model in (stack_of_two(), conditional()):
        check_changed_files(rg.read_onnx, onnx_model.SerializeToString(), range(1000, 6000))
        check_changed_models(onnx_model, range(1000, 6000), compare)
    print(f"\n{dict(outcomes)}")
    assert outcomes["the same numbers"] > 100


def small_feeds(net: Any, seed: int) -> dict[str, np.ndarray]:
    """Return arrays with two rows, one step or three, and at most 7 entries along other axes."""
    sizes, results = {"batch": 2, "time": (1, 3)[seed // 4 % 2]}, {}
    for name, tensor in net.inputs.items():
        shape = [min(sizes.get(size, 2) if isinstance(size, str | None) else size, 7) for size in tensor.shape]
        results[name] = np.random.default_rng(seed).uniform(-1, 1, shape).astype(tensor.dtype)
    return results


# Open and fixed axes ------------------------------------------------------------------------------------


def test_axes_are_opened_fixed_and_listed() -> None:
    nodes = [node("MatMul", "x,w", "h"), node("Reshape", "h,shape", "y")]
    arrays = {"w": array(3, 4), "shape": np.array([0, 0, 2, 2])}
    proto = model(nodes, {"x": ["rows", 5, 3]}, ["y"], arrays)
    assert rg.read_onnx(proto).sizes["x"] == {0: "rows", 1: 5, 2: 3}
    net = rg.read_onnx(proto, open={"x": {1: "T"}}, fixed={"x": {0: 2}})
    assert net.sizes["x"] == {0: 2, 1: "T", 2: 3}
    assert "axis 0 is 2, by fixed=; axis 1 is open (T); axis 2 is 3, by the file" in str(net)
    x = array(2, 7, 3)
    assert_allclose(net.program().inference(x)["y"], (x @ arrays["w"]).reshape(2, 7, 2, 2), atol=1e-6)


def test_an_axis_that_a_node_closes_is_an_error_that_names_the_node() -> None:
    nodes = [node("Reshape", "x,shape", "y")]
    proto = model(nodes, {"x": ["rows", "T", 3]}, ["y"], {"shape": np.array([0, 5, 3])})
    net = rg.read_onnx(proto)
    assert net.sizes["x"][1] == 5
    assert "axis 1 is 5, by node 'y: the Reshape' (Reshape)" in str(net)
    with pytest.raises(rg.NotReadableError, match=r"axis 1 of x can't be open: .*y: the Reshape"):
        rg.read_onnx(proto, open={"x": {1: "T"}})


def test_an_axis_whose_size_parameters_determine_cannot_be_open() -> None:
    proto = model([node("Mul", "x,w", "y")], {"x": ["rows", 3, 4]}, ["y"], {"w": array(3, 4)})
    message = r"axis 1 of x can't be open: axis 1 of x must be 3, by the operation \*"
    with pytest.raises(rg.NotReadableError, match=message):
        rg.read_onnx(proto, open={"x": {1: "T"}})
    assert rg.read_onnx(proto, open={"x": {0: "N"}}).sizes["x"] == {0: "N", 1: 3, 2: 4}


def test_a_branch_on_a_size_of_one_is_reported() -> None:
    nodes = [
        node("Shape", "x", "all"),
        node("Gather", "all,one", "count", axis=0),
        node("Equal", "count,one", "is_one"),
        node(
            "If",
            "is_one",
            "y",
            then_branch=helper.make_graph([node("Neg", "x", "a")], "then", [], gives("a")),
            else_branch=helper.make_graph([node("Relu", "x", "b")], "else", [], gives("b")),
        ),
    ]
    net = rg.read_onnx(model(nodes, {"x": ["B", "T"]}, ["y"], {"one": np.array(1)}))
    assert "T is not 1, as node 'y: the If' (If) assumes" in str(net)


def test_a_number_that_is_repeated_changes_its_shape() -> None:
    """The repeated array gains a leading axis, then the axes are swapped."""
    arrays = {"two": array(1, 1, 1), "wide": np.array([1, 2, 3]), "flat": np.array([0, 6]), "first": np.array([0])}
    nodes = [
        node("Shape", "x", "shape"),
        node("Gather", "shape,first", "rows", axis=0),
        node("Concat", "rows,wide", "sizes", axis=0),
        node("Expand", "two,sizes", "repeated"),
        node("Reshape", "repeated,flat", "reshaped"),
        node("Transpose", "reshaped", "turned", perm=[1, 0]),
        node("Add", "x,turned", "y"),
    ]
    net = rg.read_onnx(model(nodes, {"x": ["n", "n"]}, ["y"], arrays))
    x = array(6, 6)
    assert_allclose(net.program().inference(x=x)["y"], x + arrays["two"].item(), rtol=1e-6)
