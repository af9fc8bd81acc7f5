"""Data that runs pull: ``tf.data``, queues and input producers, as Python iterators.

``sources`` has streams of elements of which every run takes one; ``functions`` runs a program's functions on single
elements; ``dataset`` and ``batches`` are ``tf.data.Dataset``, ``iterators`` what reads it; ``queues`` and
``producers`` are queues and what fills them, ``coordinators`` what waits for their threads, of which there are none.
"""
