"""Helpers that every package of rnngraph may use and that import no other package of it.

- ``errors``: error types, and the lookup of the user's line.
- ``arguments``: checks of argument values.
- ``api_guard``: decorator of public functions that explains calls with wrong arguments.
- ``attribute_hints``: replacements for attributes that this package's objects lack.
- ``migration_hints``: replacements for names and keywords of Keras, torch, TensorFlow and JAX.
- ``hint_tables``: reader of these replacements' tables in ``hints/``.
- ``numpy_names``: equivalents of NumPy's functions in this package.
- ``connected``: connected components of items that share keys.
- ``allocation``: checked allocation of large arrays.
- ``bounded_cache``: dicts that evict entries.
- ``garbage``: pauses of the garbage collector.
- ``records``: a decorator for data classes that are cheap to declare.
- ``forks``: locks that are safe across ``fork``.
- ``stage_text``: the text of a compiler stage, with the source lines of each of its lines.
- ``source_lines``: lines of scripts, and continuation lines of statements.
- ``system``: services of the operating system, as the same functions on each.
- ``display``: rendering of texts and numbers for terminals and notebooks.
"""
