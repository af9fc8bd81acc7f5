"""Model for the server: the gated delta net of delta_net_lm.py, which generates Shakespeare character by character.

    python examples/completions_server/characters.py                      # trains for two minutes
    python examples/completions_server/characters.py --seconds 600
    python examples/completions_server/characters.py --quick              # seconds, and then it writes nonsense

It writes ``characters.net``. A model for the server is a script like this one. It defines ``program``, ``encode`` from
a text to its tokens, and ``decode`` from tokens to their text. It may also define ``stop``, tokens that end a text;
``prefix``, a text with which all prompts begin; and ``input`` and ``output``, the names of the input for tokens and of
the output with logits.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

import char_lm
import delta_net_lm
from rich.console import Console

import rnngraph as rg

FILE = "characters.net"


def encode(text: str) -> list[int]:
    """Return the tokens of a text: the index of each character in ``CHARACTERS``."""
    unknown = sorted({*text} - {*char_lm.CHARACTERS})
    if unknown:
        raise ValueError(f"the model has no token for {unknown[0]!r}; it has tokens for {char_lm.CHARACTERS!r}")
    tokens: list[int] = char_lm.encode(text).tolist()
    return tokens


def decode(tokens: list[int]) -> str:
    """Return the text of tokens."""
    return "".join(char_lm.CHARACTERS[token] for token in tokens)


def load(path: str | Path = FILE, weights: str = "float32") -> rg.Program:
    """Return the trained net of a file, or an untrained net if the file is missing."""
    if not Path(path).exists():
        print(f"{path} does not exist, so the net is untrained; train it with python {__file__}", file=sys.stderr)
        return rg.compile({"logits": delta_net_lm.logits}, seed=0, weights=weights)
    return rg.load(path, weights=weights)


def program(weights: str) -> rg.Program:
    """Return the net that the server runs, with weights in the number format ``weights``."""
    return load(FILE, weights)


def main() -> None:
    """Train and save the net."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120, help="training time")
    parser.add_argument("--directory", type=Path, default=Path(), help=f"folder of {FILE}")
    parser.add_argument("--quick", action="store_true", help="a few seconds: little text")
    options = parser.parse_args()
    name, (text, held_out) = "gated delta net", char_lm.parts()
    if options.quick:
        text, held_out, options.seconds = text[:60_000], held_out[:5_000], 1.0
    rate = delta_net_lm.characters_a_second(name, text)
    history = delta_net_lm.fit(name, text, held_out, options.seconds * rate / len(text))
    served = rg.compile({"logits": delta_net_lm.logits}, parameters=delta_net_lm.program)
    served.save(options.directory / FILE)
    bits = history.row(history.best())["validation_bits"]
    Console(highlight=False).print(f"{options.directory / FILE}: held out {bits:.3f} bits per character")


if __name__ == "__main__":
    main()
