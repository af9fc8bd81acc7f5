"""Services of TensorFlow 1.x beside graphs. No module here depends on a graph.

``flags`` parses the command line, ``app`` runs a main function, ``settings`` is ``HParams``, ``gfile`` has files,
``logging`` messages, ``texts`` conversions of strings, ``devices`` the one device, and ``version`` TensorFlow's
version.
"""
