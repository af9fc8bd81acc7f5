"""A stack with dropout, declared, compiled and run."""

from typing import assert_type

import numpy as np

import rnngraph as rg


def build(units: int, layers: int) -> rg.Program:
    x = rg.placeholder("x", shape=(None, None, 28))
    cells = [rg.DropoutWrapper(rg.BasicRNNCell(units), input_keep_prob=0.5) for _ in range(layers)]
    outputs, states = rg.dynamic_rnn(rg.MultiRNNCell(cells), x)
    logits = rg.dense(outputs[:, -1], 10, activation=rg.tanh)
    y = rg.placeholder("y", shape=(None,), dtype="int64")
    loss = rg.sparse_softmax_cross_entropy(labels=y, logits=logits)
    return rg.compile({"logits": logits, "states": states}, loss=loss, seed=0)


program = build(8, 2)
batch, labels = np.zeros((4, 5, 28), np.float32), np.zeros(4, np.int64)
result = program.inference(x=batch)
assert_type(result, rg.Result)
scores = result["logits"]
drawn = program.training({"x": batch, "y": labels}, seed=7)
loss_value, gradients = program.training.gradients(x=batch, y=labels, seed=7)
names = [name for name, gradient in gradients.items() if gradient.shape == program.parameters[name].shape]
finding = program.inference.check(x=batch)
print(result.keys(), float(drawn["loss"]), float(loss_value), names, finding is None or finding.value)
print(program.inference.show("graph"), program.summary(), program.inference.memory(batch=4, time=5).total)

lines = program.inference.show("loops").lines
assert_type(lines[0].text, str)
print({(origin.line, origin.layer, origin.phase) for line in lines for origin in line.origins})

profile = program.inference.profile(x=batch, seconds=0.001)
assert_type(profile, rg.Profile)
share: float = profile.layers["dense"].share
print(share, profile["dense"].bound, [kernel.lines for kernel in profile.kernels], profile.plot().startswith("<svg"))

program.plot("net.svg", graphs="inference", detail="layers")


def page() -> str:
    return program.explore(feeds={"x": batch}, profile=[profile], title="a stack")


call = program.inference.on_columns("x", {"x": "pixels"}, keep=["id"])
assert_type(program.inference.on_columns("x")({"x": batch, "id": labels}), rg.Result)
data: bytes = rg.dumps(program)
print(call.keep, rg.loads(data).inference(x=batch).keys(), rg.loads(rg.dumps(program.inference))(x=batch).keys())

single = rg.compile(rg.relu(rg.placeholder("z", (None, 3)) - 1.0), sparse=True)
array = single.inference(z=np.ones((2, 3)))
rows: int = array.shape[0]
print(rows, array.dtype, array + 1)

rg.write_onnx(single, "single.onnx", opset=18)


def read_others(path: str) -> list[rg.Net]:
    found = [rg.read_onnx(path, fixed={"sr": 16000}), rg.read_nam(path), rg.read_gguf(path), rg.read_rtneural(path)]
    assert_type(found[0], rg.Net)
    sizes = {name: array.shape for net in found for name, array in net.parameters.items()}
    inputs: list[rg.Tensor] = [tensor for net in found for tensor in (*net.inputs.values(), *net.outputs.values())]
    found[0].save(path)
    print(sizes, inputs, rg.read_tf1_variables(path)["step"].dtype)
    return found


cell = rg.GRUCell(3)
held = {"W": np.ones((9, 2)), "R": np.ones((9, 3)), "B": np.ones(18)}
for converted in (rg.weights.from_onnx(cell, held), rg.weights.to_onnx(cell, rg.weights.from_onnx(cell, held))):
    print({name: array.shape for name, array in converted.items()})


def read(path: str) -> rg.Program[rg.Result]:
    net = rg.read_keras(path)
    assert_type(net.script(), str)
    return net.program(seed=1)


heads = rg.placeholder("heads", (None, 5, 3))
assert_type(rg.batch_normalization(heads), rg.Tensor)
assert_type(heads @ rg.transpose(heads, (0, 2, 1)), rg.Tensor)
count = rg.parameter("count", (1,), "zeros", trainable=False)
assert_type(rg.with_update(rg.matmul(heads, np.ones((3, 2), np.float32)), count, count + 1.0), rg.Tensor)
