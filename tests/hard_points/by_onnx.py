"""Values of ONNX's operators, computed by onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime

from .cases import Entry
from .onnx_models import feeds_of, model_of
from .recorded import Arrays

HEADING = f"onnxruntime {onnxruntime.__version__}"


def values(entry: Entry) -> Arrays | None:
    """Return onnxruntime's values ``y0``, …; None if it raises an error."""
    options: Any = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    model = model_of(entry)
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        results = session.run(None, feeds_of(entry))
    except Exception:  # onnxruntime raises several kinds
        return None
    return {f"y{place}": np.asarray(array) for place, array in enumerate(results)}
