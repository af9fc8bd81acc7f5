"""A character language model, trained in minutes: its bits per character against an LSTM's, and narrow weights."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnngraph as rg

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
EPOCHS = 3
LOST = {"float32": 1e-6, "int8_blocks": 0.005, "int4": 0.04}
"""Maximum loss in bits per character, by kind of weights."""


def bits(program: rg.Program, ids: np.ndarray) -> float:
    """Return a text's bits per character, by NumPy in float64, from logits of a stream in chunks."""
    stream, total = program.inference.stream(), 0.0
    for first in range(0, len(ids) - 1, 4096):
        chunk = ids[first : first + 4096]
        following = ids[first + 1 : first + 1 + len(chunk)]
        logits = stream.process(ids=chunk[None])["logits"][0, : len(following)].astype(np.float64)
        logits -= logits.max(-1, keepdims=True)
        chosen = logits[np.arange(len(following)), following]
        total += float((np.log(np.exp(logits).sum(-1)) - chosen).sum())
    return total / (len(ids) - 1) / np.log(2)


@pytest.mark.exhaustive
def test_bits_per_character_compared_with_the_lstm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import char_lm
    import delta_net_lm

    text, held_out = char_lm.parts()
    ids = char_lm.encode(held_out)
    measured: dict[tuple[str, str], float] = {}
    logits = {"gated delta net": delta_net_lm.logits, "LSTM": char_lm.logits}
    for name, (net, _) in delta_net_lm.NETS.items():
        history = delta_net_lm.fit(name, text, held_out, EPOCHS)
        rg.compile({"logits": logits[name]}, parameters=net).save(tmp_path / name)
        for kind in LOST:
            measured[name, kind] = bits(rg.load(tmp_path / name, weights=kind), ids)
        assert measured[name, "float32"] == pytest.approx(history["validation_bits"][-1], abs=2e-3)
    print("\n" + "\n".join(f"{name}, {kind}: {value:.4f} bits" for (name, kind), value in measured.items()))
    for (name, kind), value in measured.items():
        assert value <= measured[name, "float32"] + LOST[kind], (name, kind)
    assert measured["gated delta net", "int4"] < measured["LSTM", "float32"] < 2.6
    whole_words(tmp_path / "gated delta net", char_lm)
    for name in ("delta_net_lm", "char_lm"):
        sys.modules.pop(name)  # reimport these modules, because their parameters are trained now


def whole_words(path: Path, char_lm: Any) -> None:
    """Check that texts generated for many callers, with 4-bit weights, consist of words from the training text."""
    with rg.load(path, weights="int4").inference.generator(slots=4) as generator:
        handles = [
            generator.submit(char_lm.encode("VIOLA.\n"), max_new=400, sample={"temperature": 0.5}, number=number)
            for number in range(6)
        ]
        written = ["".join(char_lm.CHARACTERS[token] for token in handle) for handle in handles]
    assert len({*written}) == 6
    known = {*char_lm.TEXT.split()}
    words = [word for text in written for word in text.split()[1:-1]]
    assert sum(word in known for word in words) > 0.8 * len(words)
