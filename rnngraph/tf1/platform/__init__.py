"""Services of TensorFlow 1.x other than graphs. No module here depends on a graph.

- ``flags``, ``app``: the command line and the main function.
- ``settings``: ``HParams``.
- ``gfile``, ``texts``: files, and conversions of strings.
- ``logging``, ``devices``, ``version``: messages, the one device, TensorFlow's version.
"""
