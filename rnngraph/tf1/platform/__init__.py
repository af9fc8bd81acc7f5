"""What programs of TensorFlow 1.x have beside graphs: ``flags`` of the command line and ``app``, which runs a main
function, ``settings`` by name (``HParams``), files by ``gfile``, messages by ``logging``, ``texts`` as bytes,
``devices``, of which there is one, and the ``version`` that is TensorFlow's. Knows no graph.
"""
