"""scikit-learn's estimators for sequences: ``sequences`` reads what users give as X, by ``checks`` of scikit-learn's,
``network`` declares the net that their parameters describe, ``estimators`` are ``SequenceClassifier`` and
``SequenceRegressor``, which fit it with a ``Trainer``. Uses what users can use, and nothing below knows of it.
"""

from ..support.errors import MissingExtraError

try:
    import sklearn  # noqa: F401
except ImportError:
    raise MissingExtraError("rnngraph.sklearn needs scikit-learn; pip install scikit-learn") from None

from .estimators import SequenceClassifier, SequenceRegressor

__all__ = ["SequenceClassifier", "SequenceRegressor"]
