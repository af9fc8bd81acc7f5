"""``read_gguf``: logits against llama.cpp's and NumPy's float64, stored numbers, streams, scripts and refusals."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf_files import NETS, VOCABULARY, File, gguf_file, ids, with_one_layer
from gguf_reference import logits as reference
from numpy.testing import assert_allclose, assert_array_equal

import rnngraph as rg
from rnngraph.ir.interpreter import interpret

RECORDED = Path(__file__).parents[2] / "fixtures" / "gguf_logits.npz"
KINDS = {"Q8_0": "int8_blocks", "Q4_0": "int4", "BF16": "bfloat16"}

EXHAUSTIVE = pytest.mark.exhaustive


def recorded(architecture: str, kind: str) -> np.ndarray:
    """Return llama.cpp's logits of ``ids(1)``."""
    with np.load(RECORDED) as arrays:
        return arrays[f"{architecture}-{kind}"]


def logits(net: rg.Net, tokens: np.ndarray, **options: Any) -> np.ndarray:
    return net.program(**options).inference(ids=tokens)["logits"]


def interpreted(net: rg.Net, tokens: np.ndarray) -> np.ndarray:
    """Return the interpreter's logits, without compiling the graph."""
    graph = net.program().evaluation.graph
    return interpret(graph, {**net.parameters, "ids": tokens}, wide=True)["logits"]


@pytest.mark.parametrize("architecture", NETS)
def test_nets_compute_llama_cpps_logits(architecture: str) -> None:
    file = gguf_file(architecture)
    (actual,) = interpreted(rg.read_gguf(file.data), ids(1))
    assert_allclose(actual, recorded(architecture, "F32"), atol=1e-5)
    assert_allclose(actual, reference(file, architecture, ids(1))[0], atol=1e-5)


@pytest.mark.parametrize("kind", ["F16", "BF16", "Q8_0", "Q4_0"])
@pytest.mark.parametrize("architecture", NETS)
def test_stored_numbers_keep_their_values(architecture: str, kind: str) -> None:
    file = gguf_file(architecture, kind)
    assert_allclose(interpreted(rg.read_gguf(file.data), ids(1)), reference(file, architecture, ids(1)), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", NETS)
def test_logits_are_those_of_llama_cpp(architecture: str) -> None:
    (actual,) = logits(rg.read_gguf(gguf_file(architecture).data), ids(1))
    assert_allclose(actual, recorded(architecture, "F32"), atol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0"])
@pytest.mark.parametrize("architecture", NETS)
def test_quantized_nets_are_as_near_to_llama_cpp_as_activations_of_8_bits(architecture: str, kind: str) -> None:
    """llama.cpp and rnngraph round activations to 8 bits, but llama.cpp's scales have 16 bits and rnngraph's 32."""
    file = gguf_file(architecture, kind)
    exact, theirs = reference(file, architecture, ids(1))[0], recorded(architecture, kind)
    (actual,) = logits(rg.read_gguf(file.data), ids(1))
    assert np.abs(actual - theirs).max() < 0.1
    assert np.abs(actual - exact).max() < 1.4 * np.abs(theirs - exact).max()


@pytest.mark.parametrize("kind", KINDS)
def test_weights_stay_as_they_are_stored(kind: str) -> None:
    file = gguf_file("mamba2", kind)
    net = rg.read_gguf(file.data)
    name = "blk.0.ssm_in.weight"
    rows, width = file.arrays[name].shape
    stored = {key: array for key, array in net.parameters.items() if key.startswith(name)}
    if kind == "BF16":
        (bits,) = stored.values()
        assert bits.dtype == np.uint16
        numbers = (bits.astype(np.uint32) << 16).view(np.float32)
    else:
        integers, scales = stored[f"{name}/{KINDS[kind]}/numbers"], stored[f"{name}/{KINDS[kind]}/scales"]
        assert integers.dtype.itemsize == 1
        assert integers.size == rows * width * (8 if kind == "Q8_0" else 4) // 8
        assert_array_equal(scales, scales.astype(np.float16))
        parameters = [
            rg.parameter("i", integers.shape, integers, False, integers.dtype),
            rg.parameter("s", scales.shape),
        ]
        program = rg.compile(rg.dequantize(*parameters, bits=8 if kind == "Q8_0" else 4))
        program.parameters["s"] = scales
        numbers = program.inference({})
    assert_array_equal(numbers, file.arrays[name])
    assert str(net).endswith('weights="float32" computes in float32')
    assert f'"{KINDS[kind]}"' in str(net)
    floats = sum(array.nbytes for array in net.parameters.values() if array.dtype == np.float32)
    assert floats < sum(4 * array.size for array in file.arrays.values()) / 4


@pytest.mark.slow
def test_a_net_streams_and_generates() -> None:
    net = rg.read_gguf(with_one_layer("mamba2", "Q4_0"))
    program, tokens = net.program(), ids(1, 3)
    stream = program.inference.stream(batch=1)
    steps = [stream.step(ids=tokens[:, step])["logits"] for step in range(3)]
    first = next(iter(program.inference.generate(tokens[0], max_new=1)))
    assert first == steps[-1].argmax()


@pytest.mark.parametrize(
    "architecture", [pytest.param(name, marks=pytest.mark.slow if name == "mamba2" else EXHAUSTIVE) for name in NETS]
)
def test_scripts_files_and_steps_have_the_bits_of_the_program(architecture: str, tmp_path: Path) -> None:
    net = rg.read_gguf(with_one_layer(architecture, "Q4_0", {"token_embd.weight": "Q8_0"}))
    program, tokens = net.program(), ids(1, 5)
    whole = program.inference(ids=tokens)["logits"]
    stream = program.inference.stream(batch=1)
    for step in range(5):
        assert_array_equal(stream.step(ids=tokens[:, step])["logits"], whole[:, step])
    net.save(tmp_path)
    written = runpy.run_path(str(tmp_path / "net.py"))["program"]
    assert_array_equal(written.inference(ids=tokens)["logits"], whole)
    program.save(tmp_path / "net.rnn")
    assert_array_equal(rg.load(tmp_path / "net.rnn").inference(ids=tokens)["logits"], whole)


def test_only_weights_of_products_get_a_kind() -> None:
    """A quantized embedding table is only looked up, so that no kind of weights is requested for it."""
    assert "weights=" not in str(rg.read_gguf(gguf_file("rwkv7", "F32", kinds={"token_embd.weight": "Q8_0"}).data))
    tied = rg.read_gguf(gguf_file("mamba2", "F32", kinds={"token_embd.weight": "Q8_0"}).data)
    assert str(tied).count('weights={"*/int8_blocks/*": "int8_blocks"}') == 1


def test_a_file_is_read_from_a_path(tmp_path: Path) -> None:
    file = gguf_file("mamba")
    (tmp_path / "net.gguf").write_bytes(file.data)
    net, same = rg.read_gguf(tmp_path / "net.gguf"), rg.read_gguf(file.data)
    assert net.parameters.keys() == same.parameters.keys()
    for name, array in net.parameters.items():
        assert_array_equal(array, same.parameters[name])
    assert net.vocabulary is not None
    assert net.vocabulary == same.vocabulary
    assert (len(net.vocabulary), net.vocabulary[0], net.vocabulary[-1]) == (VOCABULARY, b"<s>", b"ab\n")
    assert net.metadata["tokenizer.ggml.eos_token_id"] == 0
    assert net.metadata["general.architecture"] == "mamba"


def test_the_last_product_shares_the_table_unless_there_is_a_matrix() -> None:
    tied, own = (rg.read_gguf(gguf_file("mamba2", is_tied=is_tied).data) for is_tied in (True, False))
    assert own.parameters.keys() - tied.parameters.keys() == {"output.weight"}


def test_older_files_of_rwkv6_have_shares_one_by_one() -> None:
    def split_tensors(facts: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        for number in range(2):
            name = f"blk.{number}.time_mix_lerp_"
            for key, share in zip("wkvrg", arrays.pop(f"{name}fused.weight"), strict=True):
                arrays[f"{name}{key}.weight"] = share

    (actual,) = interpreted(rg.read_gguf(gguf_file("rwkv6", change=split_tensors).data), ids(1))
    assert_allclose(actual, recorded("rwkv6", "F32"), atol=1e-5)


def test_norms_of_falcon_mamba() -> None:
    def normed(facts: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        facts["mamba.ssm.dt_b_c_rms"] = True

    file = gguf_file("mamba", change=normed)
    assert_allclose(interpreted(rg.read_gguf(file.data), ids(1)), reference(file, "mamba", ids(1)), atol=1e-5)


# Refusals ----------------------------------------------------------------------------------------------------


def with_tensors(*names: str) -> File:
    def change(facts: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        arrays.update(dict.fromkeys(names, np.zeros((2, 32), np.float32)))

    return gguf_file("mamba2", change=change)


@pytest.mark.parametrize(
    ("names", "problems"),
    [
        (("blk.1.attn_q.weight", "blk.1.attn_k.weight"), ["layer 1 has softmax attention"]),
        (("blk.0.ffn_gate_exps.weight", "blk.1.attn_output.weight"), ["layer 0 has experts", "layer 1 has softmax"]),
        (("blk.1.ffn_up.weight",), ["blk.1.ffn_up.weight does not belong to architecture mamba2"]),
    ],
)
def test_other_layers_are_refused_by_name(names: tuple[str, ...], problems: list[str]) -> None:
    with pytest.raises(rg.NotReadableError, match=r"llama\.cpp") as error:
        rg.read_gguf(with_tensors(*names).data)
    for problem, actual in zip(problems, error.value.problems, strict=True):
        assert problem in actual


def test_other_types_are_refused_by_name() -> None:
    kinds = {"blk.0.ssm_out.weight": "Q4_1", "blk.1.ssm_in.weight": "Q5_0"}
    with pytest.raises(rg.NotReadableError, match="llama-quantize") as error:
        rg.read_gguf(gguf_file("mamba2", kinds=kinds).data)
    assert error.value.problems == ["blk.1.ssm_in.weight has type Q5_0", "blk.0.ssm_out.weight has type Q4_1"] or (
        sorted(error.value.problems) == ["blk.0.ssm_out.weight has type Q4_1", "blk.1.ssm_in.weight has type Q5_0"]
    )


def test_other_architectures_are_refused_by_name() -> None:
    data = gguf_file("mamba2").data.replace(b"mamba2", b"jamba2")
    with pytest.raises(rg.NotReadableError, match=r"architecture 'jamba2'.*rwkv6, rwkv7, mamba, mamba2"):
        rg.read_gguf(data)


def test_gguf_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(rg.MissingExtraError, match=r"pip install gguf$"):
        rg.read_gguf(b"GGUF")
