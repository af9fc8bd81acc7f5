"""Machine code that CPython calls directly. It does not depend on what the calls compute.

``python_api`` looks up CPython's functions and verifies object layouts. ``direct_code`` compiles the text of
``codegen/direct_calls`` and installs it in place of methods.
"""
