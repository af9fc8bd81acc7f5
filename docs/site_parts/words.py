"""Write ``docs/guides/words.md``, and tables of ``from_torch.md`` and ``from_keras.md``.

Run ``python docs/site_parts/words.py``. The source is ``rnngraph/support/hints/``.

At run time, error messages use these tables. ``tests/test_site.py`` compares the page with them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import frameworks

from rnngraph.support.migration_hints import COMMON, KEYWORDS, NAMES
from rnngraph.support.numpy_names import NUMPY

GUIDES = Path(__file__).resolve().parents[1] / "guides"

HEAD = """# Words of other frameworks

For those who know a function or argument by another framework's name. At the end you know its name in rnngraph.
The tables list names of Keras, torch, TensorFlow, JAX and NumPy. Error messages use the same tables: `rg.LSTM` and
`rg.dense(x, units, bias=False)` raise errors that say what to write. To start from an existing program or file:

- from Keras: [a model, side by side](from_keras.md), with the words of Keras only; [keras.md](../keras.md) reads
  `.keras` and `.h5` files;
- from torch: [a net and its loop, side by side](from_torch.md), with the words of torch only; [torch.md](../torch.md)
  reads an `nn.Module`, and `rg.weights.from_torch` one layer's arrays;
- from TensorFlow 1: [tf1.md](../tf1.md) runs whole programs unchanged, and shows how to move from `Session` to
  `rg.compile`.

This page is written by `python docs/site_parts/words.py`.
"""

TITLES = {
    "cell": "Arguments of cells",
    "optimizer": "Arguments of optimizers",
    "driver": "Arguments of drivers",
    "loss": "Arguments of losses",
    "Trainer": "Arguments of `Trainer`",
    "fit": "Arguments of `fit`",
    "compile": "Arguments of `compile`",
    "predict": "Arguments of `predict`",
    "evaluate": "Arguments of `evaluate`",
    "wrapper": "Arguments of wrappers",
}


def pages() -> dict[Path, str]:
    """Return the generated text of each page, by its path."""
    texts = {GUIDES / "words.md": page()}
    for framework in frameworks.NAMES:
        path = GUIDES / f"from_{framework}.md"
        before, start, rest = path.read_text().partition(f"<!-- words: {framework} -->\n")
        _, end, after = rest.partition("<!-- end of words -->")
        texts[path] = "".join([before, start, "\n", words_of(framework), "\n", end, after])
    return texts


def words_of(framework: str) -> str:
    """Return the tables of one framework's words."""
    parts = [_table({name: NAMES[name] for name in frameworks.NAMES[framework].split()})]
    for group, names in frameworks.ARGUMENTS[framework].items():
        known = {**COMMON, **KEYWORDS[group]}
        parts += [f"### {_title(group)}\n", _table({name: known[name] for name in names.split()})]
    return "\n".join(parts)


def page() -> str:
    """Return the page of all words."""
    parts = [HEAD, "## Names\n", _table(NAMES), "## NumPy's functions of arrays\n"]
    parts += ["For Tensors, write these with `rg.`.\n", _table({k: f"rg.{v}" for k, v in NUMPY.items() if k != v})]
    same = ", ".join(f"`{name}`" for name, ours in NUMPY.items() if name == ours)
    parts += [f"These functions have the same name: {same}.\n", "## Arguments of everything\n", _table(COMMON)]
    for group, words in KEYWORDS.items():
        parts += [f"## {_title(group)}\n", _table(words)]
    return "\n".join(parts)


def _title(group: str) -> str:
    return TITLES.get(group, f"Arguments of `{group}`")


def _table(words: Mapping[str, str]) -> str:
    """Return a table of words by replacement: a row for each remedy, in the order of first appearance."""
    theirs: dict[str, list[str]] = {}
    for word, ours in words.items():
        theirs.setdefault(ours, []).append(f"`{word}`")
    rows = (f"| {', '.join(names)} | {_text(ours)} |" for ours, names in theirs.items())
    return "\n".join(["| theirs | in rnngraph |", "|---|---|", *rows]) + "\n"


def _text(remedy: str) -> str:
    """Return a remedy as Markdown, with this package's names and their arguments in backquotes."""
    parts, place = [], 0
    for start in _NAME.finditer(remedy):
        if start.start() < place:
            continue
        end = _end_of_call(remedy, start.end())
        parts += [remedy[place : start.start()], f"`{remedy[start.start() : end]}`"]
        place = end
    return "".join([*parts, remedy[place:]]).replace("|", "\\|")


_NAME = re.compile(r"\b(rg|program|rnngraph)\.\w+(\.\w+)*")


def _end_of_call(text: str, place: int) -> int:
    """Return the position after the brackets that open at ``place``, and after brackets that follow directly."""
    while text[place : place + 1] in ("(", "["):
        depth = 1
        while depth and place < len(text) - 1:
            place += 1
            depth += (text[place] in "([") - (text[place] in ")]")
        place += 1
        if more := re.match(r"\.\w+", text[place:]):
            place += more.end()
    return place


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text)
