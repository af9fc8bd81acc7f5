"""Files around exported code, written from one ``description`` for both forms of a net.

``header`` is for C. ``stream_self_test`` and ``sequence_self_test`` check the two forms, with common parts in
``self_test``. ``build_files`` are for other build systems, ``plugin_files`` for audio plugins. ``linking`` makes
libraries, ``python_module`` and ``javascript_module`` load and run the code. All fill in ``templates``, by
``template``.
"""
