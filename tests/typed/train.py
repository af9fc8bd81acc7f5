"""Training: batches of one's own, then epochs over arrays with validation, a metric and a checkpoint."""

import tempfile
from pathlib import Path

import numpy as np

import rnngraph as rg

x = rg.placeholder("x", (None, None, 4))
steps = rg.placeholder("steps", (None,), dtype="int64")
y = rg.placeholder("y", (None,), dtype=np.int64)
outputs, _ = rg.dynamic_rnn(rg.GRUCell(6), x, sequence_length=steps)
logits = rg.dense(rg.gather_last(outputs, steps), 3)
loss = rg.sparse_softmax_cross_entropy(y, logits)
program = rg.compile({"logits": logits}, loss=loss, threads=1)

generator = np.random.default_rng(0)
sequences = [generator.normal(size=(length, 4)).astype(np.float32) for length in (3, 5, 4, 2)]
labels = np.array([0, 1, 2, 0])


def seldom(trainer: rg.Trainer, row: dict[str, float]) -> bool:
    return row["loss"] < 1e-9 or trainer.updates > 100


with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "run.safetensors"
    trainer = rg.Trainer(program, rg.Adam(1e-3), clip_norm=1.0, only="rnn/*")
    history = trainer.fit(
        {x: sequences, y: labels},
        epochs=2,
        batch_size=2,
        validation=0.5,
        patience=2,
        callbacks=[seldom],
        metrics={"accuracy": rg.accuracy(y, logits)},
        checkpoint=path,
        progress=False,
    )
    trainer.save(path)
    again = rg.Trainer.load(path, program)
    program.save(Path(folder) / "model")
    loaded = rg.load(Path(folder) / "model")
    program.parameters.save(Path(folder) / "weights.npz")
    loaded.parameters.load(Path(folder) / "weights.npz", rename=lambda name: name)
print(history["loss"][-1], history.best(), history.epochs, again.updates, list(loaded.parameters))
trainer.learning_rate = rg.WarmUp(3, 1e-3)
with program.parameters.edit("dense/bias") as bias:
    bias[0] = 1.0
evaluated = program.evaluate(x=sequences[0][None], steps=[3], y=[0])
print(float(evaluated["loss"]), evaluated["logits"].shape)
