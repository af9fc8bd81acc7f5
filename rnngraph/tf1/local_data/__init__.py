"""Data of local files, as programs of TensorFlow 1.x read them.

``digits`` are MNIST's in its own format, ``stored`` reads archives of arrays, ``datasets`` are what Keras calls so;
``vocabulary`` makes ids of texts, ``sequences`` arrays of lists. Nothing is downloaded, and no pickle is read. Knows no
graph.
"""
