"""Names and keywords of Keras and torch either exist in rnngraph, or raise an error that says what to write."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.support import migration_hints, numpy_names

LINES = (Path(__file__).parents[1] / "fixtures" / "foreign_signatures.txt").read_text().splitlines()
SIGNATURES = {
    path: keywords.split() for path, _, keywords in (line.partition(":") for line in LINES if not line.startswith("#"))
}

OURS: dict[str, Any] = {
    "SimpleRNN": rg.BasicRNNCell,
    "SimpleRNNCell": rg.BasicRNNCell,
    "LSTM": rg.LSTMCell,
    "LSTMCell": rg.LSTMCell,
    "GRU": rg.GRUCell,
    "GRUCell": rg.GRUCell,
    "RNNCell": rg.BasicRNNCell,
    "StackedRNNCells": rg.MultiRNNCell,
    "Dense": rg.dense,
    "Linear": rg.dense,
    "Embedding": rg.embedding,
    "Dropout": rg.dropout,
    "LayerNormalization": rg.layer_norm,
    "LayerNorm": rg.layer_norm,
    "BatchNormalization": rg.batch_normalization,
    "BatchNorm1d": rg.batch_normalization,
    "Conv1D": rg.conv1d,
    "Conv1d": rg.conv1d,
    "MaxPooling1D": rg.max_pool1d,
    "MaxPool1d": rg.max_pool1d,
    "AveragePooling1D": rg.average_pool1d,
    "AvgPool1d": rg.average_pool1d,
    "Input": rg.placeholder,
    "SGD": rg.SGD,
    "RMSprop": rg.RMSProp,
    "Adam": rg.Adam,
    "AdamW": rg.AdamW,
    "Adagrad": rg.Adagrad,
    "MeanSquaredError": rg.mean_squared_error,
    "MSELoss": rg.mean_squared_error,
    "MeanAbsoluteError": rg.absolute_difference,
    "L1Loss": rg.absolute_difference,
    "Huber": rg.huber_loss,
    "SmoothL1Loss": rg.huber_loss,
    "SparseCategoricalCrossentropy": rg.sparse_softmax_cross_entropy,
    "CrossEntropyLoss": rg.sparse_softmax_cross_entropy,
    "NLLLoss": rg.sparse_softmax_cross_entropy,
    "CategoricalCrossentropy": rg.softmax_cross_entropy,
    "BinaryCrossentropy": rg.sigmoid_cross_entropy,
    "BCEWithLogitsLoss": rg.sigmoid_cross_entropy,
    "CTC": rg.ctc_loss,
    "CTCLoss": rg.ctc_loss,
    "compile": rg.compile,
    "fit": rg.Trainer.fit,
    "StepLR": rg.ExponentialDecay,
    "ExponentialLR": rg.ExponentialDecay,
    "CosineAnnealingLR": rg.CosineDecay,
    "LinearLR": rg.PolynomialDecay,
    "ReduceLROnPlateau": rg.ReduceOnPlateau,
}
"""rnngraph's counterpart of a foreign function or class."""
DRIVEN = ("RNN", "SimpleRNN", "LSTM", "GRU")
"""Foreign layers whose keywords may belong to a driver as well as to a cell."""

CASES = [
    (path, ours, keyword)
    for path, keywords in SIGNATURES.items()
    for keyword in keywords
    if (ours := OURS.get(path.rpartition(".")[2])) is not None
]
GROUPS = {
    "cell": rg.GRUCell,
    "optimizer": rg.Adam,
    "driver": rg.dynamic_rnn,
    "Trainer": rg.Trainer,
    "fit": rg.Trainer.fit,
    "predict": rg.Program.predict,
    "evaluate": rg.Trainer.evaluate,
    "compile": rg.compile,
    "dense": rg.dense,
    "embedding": rg.embedding,
    "dropout": rg.dropout,
    "wrapper": rg.DropoutWrapper,
    "conv1d": rg.conv1d,
    "max_pool1d": rg.max_pool1d,
    "average_pool1d": rg.average_pool1d,
    "pad": rg.pad,
    "layer_norm": rg.layer_norm,
    "placeholder": rg.placeholder,
    "batch_normalization": rg.batch_normalization,
}


KIN = {"optimizer": (rg.RMSProp, rg.Adagrad), "driver": (rg.bidirectional_dynamic_rnn,)}


def message_of(ours: Any, keyword: str) -> str:
    with pytest.raises(rg.RnnGraphError) as caught:
        ours(**{keyword: 1})
    assert isinstance(caught.value, TypeError)
    assert str(caught.value).startswith(f"{caught.value.where}: ")
    return caught.value.what


def test_all_is_from_real_signatures() -> None:
    assert len(SIGNATURES) > 90
    assert len(CASES) > 350
    assert {"hidden_size", "batch_first", "bidirectional"} <= set(SIGNATURES["torch.nn.LSTM"])
    assert {"return_sequences", "recurrent_dropout"} <= set(SIGNATURES["keras.layers.GRU"])


@pytest.mark.parametrize("path", [path for path in SIGNATURES if path.rpartition(".")[2] not in ("fit", "compile")])
def test_names(path: str) -> None:
    name = path.rpartition(".")[2]
    if name in rg.__all__:
        return
    with pytest.raises(rg.NotOfferedError, match=r"; write |did you mean RMSProp") as caught:
        getattr(rg, name)
    assert caught.value.where is not None
    assert caught.value.where.file == __file__
    assert not hasattr(rg, name)


@pytest.mark.parametrize(("path", "ours", "keyword"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_keywords(path: str, ours: Any, keyword: str) -> None:
    if keyword in inspect.signature(ours).parameters:
        return
    what = message_of(ours, keyword)
    assert f"has no argument {keyword}; " in what
    assert not re.search("; it takes |; did you mean ", what), what


@pytest.mark.parametrize("path", [path for path in SIGNATURES if path.rpartition(".")[2] in DRIVEN])
def test_keywords_of_layers_that_are_passed_to_a_driver(path: str) -> None:
    for keyword in ("return_sequences", "return_state", "go_backwards", "stateful", "unroll", "batch_first"):
        if keyword in SIGNATURES[path]:
            assert f"has no argument {keyword}; " in message_of(rg.dynamic_rnn, keyword)


def test_suggested_code_runs() -> None:
    """Suggested code runs: every name in it is public and accepts the suggested keywords."""
    texts = [
        *migration_hints.NAMES.values(),
        *(text for group in migration_hints.KEYWORDS.values() for text in group.values()),
    ]
    for text in texts:
        for name, arguments in re.findall(r"\brg\.(\w+)(?:\(([^()]*)\))?", text):
            assert name in rg.__all__, text
            for keyword in re.findall(r"(\w+)=", arguments or ""):
                assert keyword in inspect.signature(getattr(rg, name)).parameters, text
        for keyword, name in re.findall(r"\b(\w+)= of rg\.(\w+)", text):
            assert keyword in inspect.signature(getattr(rg, name)).parameters, text


@pytest.mark.parametrize("group", GROUPS)
def test_a_keyword_that_is_to_be_written_is_taken(group: str) -> None:
    parameters = inspect.signature(GROUPS[group]).parameters
    others = {name for kin in KIN.get(group, ()) for name in inspect.signature(kin).parameters}
    for keyword, text in migration_hints.KEYWORDS[group].items():
        match = re.match(r"write (\w+)(=[\w.]+)?$", text)
        if match:
            assert match[1] in {*parameters, *others}, (keyword, text)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: rg.GRUCell(32, dropout=0.2), ("GRUCell has no argument dropout", "rg.DropoutWrapper")),
        (lambda: rg.Adam(lr=0.1), ("Adam has no argument lr", "learning_rate")),
        (lambda: rg.GRUCell(nmu_units=3), ("did you mean num_units?",)),
        (lambda: rg.GRUCell(), ("GRUCell needs num_units",)),
        (lambda: rg.dense(1, 2, 3, 4, 5, 6), ("dense takes 5 arguments by position, and 6 are given",)),
        (lambda: rg.dense(1, 2, x=3), ("given x twice",)),
        (lambda: rg.PiecewiseConstant(milestones=[1]), ("has no argument milestones; write boundaries",)),
        (lambda: rg.reduce_sum(1.0, nothing_like_it=3), ("it takes x, axis, keepdims",)),
        (lambda: rg.bmm, ("rg has no bmm; write rg.matmul",)),
        (lambda: rg.gru_cell, ("did you mean GRUCell?",)),
        (lambda: rg.Trainer.fit(1, validation_split=0.2), ("validation=0.2",)),
        (lambda: rg.Trainer.fit(1, class_weight={0: 2.0}), ("write class_weights=",)),
        (lambda: rg.Trainer.fit(1, validation_data=(1, 2)), ("write validation",)),
        (lambda: rg.Program.predict(1, x=2), ("Program.predict has no argument x", "write examples")),
        (lambda: rg.ReduceLROnPlateau, ("rg.ReduceOnPlateau",)),
    ],
)
def test_messages(call: Any, words: tuple[str, ...]) -> None:
    with pytest.raises(rg.RnnGraphError) as caught:
        call()
    assert all(word in caught.value.what for word in words), caught.value.what
    assert caught.value.where is not None
    assert caught.value.where.file == __file__


def test_functions_of_numpy_are_errors_with_the_function_for_tensors() -> None:
    """Each NumPy function on a Tensor raises an error that names this package's function."""
    functions = {name for name in rg.__all__ if name[0].islower() and hasattr(getattr(rg, name), "__wrapped__")}
    assert {*numpy_names.NUMPY.values()} <= functions
    shared = {name for name in functions - {"load"} if callable(getattr(np, name, None))}
    assert {name for name, ours in numpy_names.NUMPY.items() if name == ours} - {"concat"} == shared - {"concat"}
