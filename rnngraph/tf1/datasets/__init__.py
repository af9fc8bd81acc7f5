"""Input pipelines: ``tf.data``, queues and input producers, as Python iterators. No thread is needed.

- ``sources`` has streams of elements. Each run that reads a stream takes the stream's next element.
- ``functions`` runs a program's functions on single elements.
- ``dataset`` is ``tf.data.Dataset``. ``batches`` has its transformations as functions of iterators, ``shapes`` parses
  shapes, and ``transformations`` has the functions for ``Dataset.apply``.
- ``iterators`` is ``tf.data.Iterator``, and ``reading`` one pass over a dataset.
- ``queues`` has the queues, and ``producers`` those that fill themselves.
"""
