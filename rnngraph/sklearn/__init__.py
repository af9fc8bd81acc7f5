"""scikit-learn estimators for sequences.

``sequences`` reads a user's X with scikit-learn's ``checks``, and ``network`` declares the net of an estimator's
parameters. ``base`` fits the net with a ``Trainer``, and ``estimators`` has ``SequenceClassifier`` and
``SequenceRegressor``. This package uses the public API only.
"""

from ..support.errors import MissingExtraError

try:
    import sklearn  # noqa: F401
except ImportError:
    raise MissingExtraError("rnngraph.sklearn needs scikit-learn; pip install scikit-learn") from None

from .estimators import SequenceClassifier, SequenceRegressor

__all__ = ["SequenceClassifier", "SequenceRegressor"]
