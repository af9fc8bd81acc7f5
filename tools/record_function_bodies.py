"""Record the function bodies by which ONNX defines operators, in ``rnngraph/formats/onnx/function_bodies.json``.

Only operators without a reader are recorded, and only bodies that don't depend on the node. Run it again with a newer
package onnx to record that version's bodies: ``python tools/record_function_bodies.py``.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

from onnx import FunctionProto, defs

from rnngraph.formats.onnx import read
from rnngraph.formats.onnx.core.table import OPS

FILE = Path(read.__file__).with_name("function_bodies.json")


def bodies() -> dict[str, dict[str, str]]:
    """Return {operator: {version: base64 text of a ``FunctionProto``}}."""
    by_operator: dict[str, dict[str, str]] = {}
    for schema in defs.get_all_schemas_with_history():
        if schema.domain or ("", schema.name) in OPS or not schema.has_function:
            continue
        for version in schema.function_opset_versions:
            body = FunctionProto.FromString(schema.get_function_with_opset_version(version))
            defaults = [item.default_value for item in schema.attributes.values() if item.default_value.name]
            body.attribute_proto.extend(defaults)
            by_operator.setdefault(schema.name, {})[str(version)] = base64.b64encode(body.SerializeToString()).decode()
    return dict(sorted(by_operator.items()))


if __name__ == "__main__":
    FILE.write_text(json.dumps(bodies(), indent=1) + "\n")
