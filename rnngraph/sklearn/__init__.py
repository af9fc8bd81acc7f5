"""scikit-learn estimators for sequences.

``sequences`` reads a user's X with scikit-learn's ``checks``, ``network`` declares the net of an estimator's
parameters, and ``estimators`` are ``SequenceClassifier`` and ``SequenceRegressor``, which fit it with a ``Trainer``.
The room uses the public API only.
"""

from ..support.errors import MissingExtraError

try:
    import sklearn  # noqa: F401
except ImportError:
    raise MissingExtraError("rnngraph.sklearn needs scikit-learn; pip install scikit-learn") from None

from .estimators import SequenceClassifier, SequenceRegressor

__all__ = ["SequenceClassifier", "SequenceRegressor"]
