"""Texts as ids: ``tf.contrib.learn.preprocessing.VocabularyProcessor``."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ...storage.atomic_file import as_path, replace_file
from ...storage.read_file import open_file
from ...support.api_guard import api
from ...support.arguments import whole_number
from ...support.errors import ArgumentError, DtypeError, FileError, shown

_WORDS = re.compile(r"[A-Z]{2,}(?![a-z])|[A-Z][a-z]+(?=[A-Z])|['\w\-]+")
_LARGEST = 1 << 30
"""Bytes that a saved vocabulary may have."""

Tokenizer = Callable[[Iterable[str]], Iterable[Sequence[str]]]


@api
def tokenizer(iterator: Iterable[str]) -> Iterator[list[str]]:
    """The words of each text."""
    if isinstance(iterator, str | bytes) or not hasattr(iterator, "__iter__"):
        raise DtypeError(f"texts are given as a list of them, not as {shown(iterator)}")
    return _words(iterator)


def _words(texts: Iterable[str]) -> Iterator[list[str]]:
    for text in texts:
        if not isinstance(text, str):
            raise DtypeError(f"a text is a str, not {shown(text)}")
        yield _WORDS.findall(text)


class CategoricalVocabulary:
    """Ids of words in the order in which they came; 0 is of those that are not known."""

    @api
    def __init__(self, unknown_token: str = "<UNK>", support_reverse: bool = True) -> None:
        self._ids: dict[str, int] = {unknown_token: 0}
        self._counts: dict[str, int] = {}
        self._words = [unknown_token]
        self._frozen = False

    def __len__(self) -> int:
        return len(self._words)

    def freeze(self, freeze: bool = True) -> None:
        """Takes no more words, or does again."""
        self._frozen = bool(freeze)

    @api
    def get(self, category: str) -> int:
        """The id of a word."""
        if not isinstance(category, str):
            raise DtypeError(f"a vocabulary holds words, not {shown(category)}")
        if category not in self._ids:
            if self._frozen:
                return 0
            self._ids[category] = len(self._words)
            self._words.append(category)
        return self._ids[category]

    def add(self, category: str, count: int = 1) -> None:
        """Counts a word."""
        number = self.get(category)
        if number > 0:
            self._counts[category] = self._counts.get(category, 0) + count

    def trim(self, min_frequency: int, max_frequency: int = -1) -> None:
        """Keeps words that occur more often than ``min_frequency``, the most frequent first."""
        counted = sorted(sorted(self._counts.items(), key=lambda item: item[0]), key=lambda item: -item[1])
        kept = [
            word for word, count in counted
            if count > min_frequency and (max_frequency <= 0 or count < max_frequency)
        ]  # fmt: skip
        self._words = [self._words[0], *kept]
        self._ids = {word: number for number, word in enumerate(self._words)}
        self._counts = {word: self._counts[word] for word in kept}

    @api
    def reverse(self, class_id: int) -> str:
        """The word of an id."""
        number = whole_number(class_id, "an id", 0)
        if number >= len(self._words):
            raise ArgumentError(f"the vocabulary has {len(self._words)} words, and no id {number}")
        return self._words[number]

    @property
    def _mapping(self) -> dict[str, int]:
        """Ids by words, as programs read them."""
        return self._ids


class VocabularyProcessor:
    """Makes rows of ids of texts: the first words of each, and 0 behind shorter ones.

    tokenizer_fn: of texts, their words.
    """

    @api
    def __init__(
        self, max_document_length: int, min_frequency: int = 0, vocabulary: Any = None,
        tokenizer_fn: Tokenizer | None = None,
    ) -> None:  # fmt: skip
        self.max_document_length = whole_number(max_document_length, "max_document_length", 1)
        self.min_frequency = whole_number(min_frequency, "min_frequency", 0)
        if vocabulary is not None and not isinstance(vocabulary, CategoricalVocabulary):
            raise DtypeError(f"vocabulary is a CategoricalVocabulary, not {shown(vocabulary)}")
        self.vocabulary_ = CategoricalVocabulary() if vocabulary is None else vocabulary
        self._tokenizer: Tokenizer = tokenizer if tokenizer_fn is None else tokenizer_fn
        if not callable(self._tokenizer):
            raise DtypeError(f"tokenizer_fn is a function of texts, not {shown(tokenizer_fn)}")

    def _tokens(self, raw_documents: Any) -> Iterable[Sequence[str]]:
        if isinstance(raw_documents, str | bytes) or not hasattr(raw_documents, "__iter__"):
            raise DtypeError(f"texts are given as a list of them, not as {shown(raw_documents)}")
        return self._tokenizer(raw_documents)

    @api
    def fit(self, raw_documents: Any, unused_y: Any = None) -> VocabularyProcessor:
        """Learns the words of texts."""
        for words in self._tokens(raw_documents):
            for word in words:
                self.vocabulary_.add(word)
        if self.min_frequency > 0:
            self.vocabulary_.trim(self.min_frequency)
        self.vocabulary_.freeze()
        return self

    @api
    def transform(self, raw_documents: Any) -> Iterator[np.ndarray]:
        """Rows of ids, one by one: int64 [max_document_length]."""
        return self._rows(self._tokens(raw_documents))

    def _rows(self, documents: Iterable[Sequence[str]]) -> Iterator[np.ndarray]:
        for words in documents:
            row = np.zeros(self.max_document_length, np.int64)
            for place, word in enumerate(list(words)[: self.max_document_length]):
                row[place] = self.vocabulary_.get(word)
            yield row

    @api
    def fit_transform(self, raw_documents: Any, unused_y: Any = None) -> Iterator[np.ndarray]:
        """``fit`` and ``transform``."""
        texts = (
            list(raw_documents)
            if hasattr(raw_documents, "__iter__") and not isinstance(raw_documents, str)
            else raw_documents
        )
        return self.fit(texts).transform(texts)

    @api
    def reverse(self, documents: Any) -> Iterator[str]:
        """Texts of rows of ids, words with spaces between."""
        return (" ".join(self.vocabulary_.reverse(number) for number in row) for row in np.asarray(documents).tolist())

    @api
    def save(self, filename: str) -> None:
        """Writes the vocabulary, as JSON: TensorFlow's own files are pickles, which nothing here reads or writes."""
        held = {
            "length": self.max_document_length,
            "min_frequency": self.min_frequency,
            "words": self.vocabulary_._words,
        }
        with replace_file(as_path(filename)) as file:
            file.write(json.dumps(held).encode())

    @classmethod
    @api
    def restore(cls, filename: str) -> VocabularyProcessor:
        """What ``save`` wrote."""
        path = as_path(filename)
        try:
            with open_file(path, "a vocabulary") as file:
                data = file.read(_LARGEST + 1)
        except FileError:
            raise
        except OSError as error:
            raise FileError(f"can't read {os.fspath(path)}: {error.strerror or error}") from None
        try:
            held: Any = json.loads(data) if len(data) <= _LARGEST else None
            made = cls(held["length"], held["min_frequency"])
            words = held["words"]
            if not words or not all(isinstance(word, str) for word in words):
                raise ValueError
        except (ValueError, TypeError, KeyError, RecursionError):
            raise FileError(
                f"{os.fspath(path)} is no vocabulary that save wrote; TensorFlow's own are pickles, which may run "
                "anything: make the vocabulary anew with fit"
            ) from None
        made.vocabulary_ = CategoricalVocabulary(words[0])
        for word in words[1:]:
            made.vocabulary_.get(word)
        made.vocabulary_.freeze()
        return made
