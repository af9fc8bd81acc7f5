"""Labels of sequences.

``crf`` is ``tf.contrib.crf``. ``ctc`` has the loss and the decoder for labels that are shorter than their inputs, and
``sparse`` the sparse Tensors in which labels are fed and fetched. ``sampled`` has losses over a sample of many classes.
"""
