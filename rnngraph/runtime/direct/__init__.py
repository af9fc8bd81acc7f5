"""Machine code that CPython calls by itself: ``python_api`` finds what it calls in turn and looks how objects lie in
memory, ``direct_code`` compiles the text of ``codegen/direct_calls`` and puts it in the place of methods. Knows nothing
of what calls compute.
"""
