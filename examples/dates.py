"""Train a sequence-to-sequence network with attention to convert written dates to figures.

    python examples/dates.py            # half a minute
    python examples/dates.py --quick    # a few seconds, in CI

The script generates its examples: a day in words, such as "thursday 3 march 1977" or "12 aug 05", and the same day as
1977-03-03. A bidirectional GRU encodes the letters. A second GRU with attention to the encoded letters writes ten
characters and an end sign, each of which is its next input. In training, the correct character replaces the written one
with a probability that decreases (scheduled sampling); the inference graph has no such replacement. One declaration
defines both graphs, and one native call writes a whole batch.
"""

import argparse
import datetime

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

import rnngraph as rg

MONTHS = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
FIRST, LAST, FIRST_SHORT = datetime.date(1930, 1, 1), datetime.date(2029, 12, 31), 1950
LETTERS = " " + "".join(sorted({*"0123456789", *"".join(MONTHS), *"".join(DAYS)}))
WRITTEN = "0123456789-."  # the last one is the end sign
START, END, LONGEST = len(WRITTEN), WRITTEN.index("."), 11
UNITS = 64

# The encoder: reads letters; its output at each letter is the memory that the decoder attends to.
letters = rg.placeholder("letters", shape=(None, None), dtype="int64")
lengths = rg.placeholder("lengths", shape=(None,), dtype="int64")
(forward, backward), (_, thought) = rg.bidirectional_dynamic_rnn(
    rg.GRUCell(UNITS // 2), rg.GRUCell(UNITS // 2), rg.embedding(letters, len(LETTERS), 16), lengths
)
memory = rg.concat([forward, backward])

# The decoder: gives a score for each character; the best one is the input of the next step.
table = rg.parameter("characters", shape=(len(WRITTEN) + 1, 16))
wanted = rg.placeholder("wanted", shape=(None, LONGEST), dtype="int64")
teacher_prob = rg.placeholder("teacher_prob", shape=())


class Writer(rg.Wrapper):
    """Wrapper that converts a cell's output to a score for every character."""

    output_size = len(WRITTEN)

    def step(self, p: rg.Scope, x: rg.Tensor, state: object) -> tuple[rg.Tensor, object]:
        output, state = p.cell(None, self.cell)(x, state)
        return output @ p.kernel("scores", (output.width, len(WRITTEN))), state


attention = rg.LuongAttention(UNITS, memory, memory_sequence_length=lengths)
cell = rg.AttentionWrapper(
    rg.GRUCell(UNITS), attention, attention_layer_size=UNITS, initial_cell_state=rg.dense(thought, UNITS, "tanh")
)
scores, _, steps = rg.dynamic_decode(
    Writer(cell),
    first_input=table[START],
    next_input=lambda scores, _: rg.gather(table, rg.argmax(scores)),
    max_steps=LONGEST,
    stop=lambda scores: rg.by_graph(training=False, inference=rg.equal(rg.argmax(scores), END)),
    teacher=rg.gather(table, wanted),
    teacher_prob=teacher_prob,
)
loss = rg.sparse_softmax_cross_entropy(labels=wanted, logits=scores)
program = rg.compile({"characters": rg.argmax(scores), "steps": steps}, loss=loss, seed=1)


def examples(count: int, seed: int) -> tuple[list[str], list[str]]:
    """Return `count` random days: (in words, in figures)."""
    generator = np.random.default_rng(seed)
    words, figures = [], []
    for ordinal in generator.integers(FIRST.toordinal(), LAST.toordinal(), count):
        day = datetime.date.fromordinal(int(ordinal))
        month = MONTHS[day.month - 1]
        month = month[:3] if generator.random() < 0.5 else month
        is_short = day.year >= FIRST_SHORT and generator.random() < 0.5
        year = f"{day.year % 100:02}" if is_short else f"{day.year}"
        text = f"{day.day} {month} {year}" if generator.random() < 0.7 else f"{month} {day.day} {year}"
        words.append(f"{DAYS[day.weekday()]} {text}" if generator.random() < 0.3 else text)
        figures.append(day.isoformat())
    return words, figures


def numbers(words: list[str]) -> dict[str, NDArray[np.int64]]:
    """Return the encoder's feeds: ids of letters [batch, time], and the number of letters of each row [batch]."""
    read = np.zeros((len(words), max(map(len, words))), np.int64)
    for row, word in zip(read, words, strict=True):
        row[: len(word)] = [LETTERS.index(letter) for letter in word]
    return {"letters": read, "lengths": np.array([len(word) for word in words])}


def write(words: list[str]) -> list[str]:
    """Convert days in words to figures, in one native call."""
    result = program.inference(numbers(words))
    spelled = zip(result["characters"].tolist(), result["steps"], strict=True)
    return ["".join(WRITTEN[number] for number in row[:count]).removesuffix(".") for row, count in spelled]


def main() -> None:
    """Train, and convert days that the network has not seen."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few seconds: fewer updates, an easier goal")
    updates = 120 if parser.parse_args().quick else 600
    console = Console(highlight=False)
    trainer = rg.Trainer(program, rg.Adam(4e-3), clip_norm=1.0)
    losses = []
    for update in range(updates):
        words, figures = examples(64, seed=update)
        targets = np.array([[WRITTEN.index(character) for character in f"{text}."] for text in figures])
        share = max(0.5, 1.0 - update / 800)
        losses.append(trainer.step(**numbers(words), wanted=targets, teacher_prob=share))
        if (update + 1) % (updates // 5) == 0:
            console.print(f"update {update + 1:5}   loss {np.mean(losses[-20:]):.3f}   teacher_prob {share:.2f}")

    words, figures = examples(500, seed=10**6)
    ours = write(words)
    right = sum(mine == text for mine, text in zip(ours, figures, strict=True))
    for word, mine, text in list(zip(words, ours, figures, strict=True))[:8]:
        console.print(f"  {word:28} {mine:12} {'' if mine == text else text}")
    word = words[0]
    looked = program.inference.taps(numbers(words[:1]))["alignments"][0]  # [steps, letters]
    console.print(f"  {ours[0]} while looking at {''.join(word[place] for place in looked.argmax(1)[: len(ours[0])])}")
    console.print(f"days written right, of 500 that were not shown: {right}")
    if np.mean(losses[-20:]) > 0.8 * losses[0]:
        raise SystemExit("it has not learned")


if __name__ == "__main__":
    main()
