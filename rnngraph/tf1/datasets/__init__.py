"""Input pipelines: ``tf.data``, queues and input producers, as Python iterators. No thread is needed.

``sources`` has streams of elements, of which every run takes the next one. ``functions`` runs a program's functions on
single elements. ``dataset`` is ``tf.data.Dataset``. ``batches`` has its transformations over iterators, ``shapes`` its
shapes, and ``transformations`` the functions for ``Dataset.apply``. ``iterators`` begin a ``reading`` of a dataset.
``queues`` hold elements, and ``producers`` fill them.
"""
