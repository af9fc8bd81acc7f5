"""Replacements for names and keywords of other frameworks, read from ``hints/``.

For a name or keyword that is in no table, the error lists the valid ones.
"""

from __future__ import annotations

from .hint_tables import hint_tables

NAMES = hint_tables("names")["names"]
"""Replacements for ``rg.NAME``. Lookup ignores case and underscores."""

KEYWORDS = hint_tables("keywords")
"""Replacements for keywords, by function or group of functions."""

COMMON = KEYWORDS.pop("common")
"""Replacements for keywords of all functions."""

for _no_function in ("phrases", "reading"):
    del KEYWORDS[_no_function]

_GROUPS = {
    "estimator": ("SequenceClassifier", "SequenceRegressor"),
    "schedule": ("ExponentialDecay", "PolynomialDecay", "CosineDecay", "PiecewiseConstant", "ReduceOnPlateau"),
    "optimizer": ("SGD", "RMSProp", "Adagrad", "Adam", "AdamW", "Optimizer"),
    "driver": (
        "dynamic_rnn",
        "static_rnn",
        "bidirectional_dynamic_rnn",
        "stack_bidirectional_dynamic_rnn",
        "dynamic_decode",
    ),
    "loss": (
        "sparse_softmax_cross_entropy",
        "softmax_cross_entropy",
        "sigmoid_cross_entropy",
        "mean_squared_error",
        "absolute_difference",
        "huber_loss",
        "ctc_loss",
        "accuracy",
    ),
}

_BY_NAME = {name.lower().replace("_", ""): remedy for name, remedy in NAMES.items()}


def name_instead(name: str) -> str | None:
    """Return the replacement for a name of another framework; None if unknown."""
    return _BY_NAME.get(name.lower().replace("_", ""))


def keyword_instead(function: str, keyword: str) -> str | None:
    """Return the replacement for a keyword of another framework's function; None if unknown."""
    group = next((group for group, names in _GROUPS.items() if function in names), function)
    if function.endswith(("Cell", "Wrapper")):
        group = "cell" if function.endswith("Cell") else "wrapper"
    return KEYWORDS.get(group, {}).get(keyword) or COMMON.get(keyword)
