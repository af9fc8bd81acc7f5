"""scikit-learn's checks of X and y, with errors of this package that name the user's line."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
from sklearn import utils
from sklearn.utils import class_weight, multiclass, validation

from ..support.errors import ArgumentError, DtypeError, RnnGraphError, user_line

NO_NUMBERS = ("could not convert string to float", "float() argument must be")
REMEDY = "; give arrays of numbers, such as ids of words, as in array.astype(np.float32)"
MAX_MESSAGE = 600
"""Maximum characters of a message of scikit-learn, which may print a whole array."""


def _ours(check: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a check so that it raises ``ArgumentError``, or ``DtypeError`` for scikit-learn's ``TypeError``."""

    @wraps(check)
    def call(*arguments: Any, **named: Any) -> Any:
        try:
            with np.errstate(over="ignore"):  # numbers too large for float32 are an error below, without a warning
                return check(*arguments, **named)
        except RnnGraphError:
            raise
        except Exception as error:  # includes exceptions of users' own objects
            kind = DtypeError if isinstance(error, TypeError) else ArgumentError
            text = str(error) or type(error).__name__
            text = text if len(text) <= MAX_MESSAGE else f"{text[:MAX_MESSAGE]} …"
            remedy = REMEDY if text.startswith(NO_NUMBERS) else ""
            raise kind(text + remedy, user_line()) from error

    return call


check_array = _ours(utils.check_array)
check_classification_targets = _ours(multiclass.check_classification_targets)
check_consistent_length = _ours(utils.check_consistent_length)
check_random_state = _ours(utils.check_random_state)
column_or_1d = _ours(validation.column_or_1d)
compute_class_weight = _ours(class_weight.compute_class_weight)
validate_data = _ours(validation.validate_data)
