"""Data that runs pull: ``tf.data``, queues and input producers, as Python iterators. No thread is needed.

``sources`` has streams of elements, of which every run takes the next one. ``functions`` runs a program's functions on
single elements. ``dataset`` is ``tf.data.Dataset``, made of the steps in ``batches``, with ``shapes`` as programs give
them and ``transformations`` for ``Dataset.apply``; ``iterators`` begin a ``reading`` of it. ``queues`` hold elements,
and ``producers`` fill them.
"""
