"""Sequence labelling: CRF, CTC, and losses over samples of classes.

``crf`` is ``tf.contrib.crf``. ``ctc`` has the CTC loss and decoder. ``sparse`` has sparse Tensors, which hold labels.
``sparse_products`` multiplies sparse matrices. ``sampled`` has losses over a sample of the classes.
"""
