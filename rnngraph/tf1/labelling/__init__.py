"""Labels of sequences: ``crf`` is ``tf.contrib.crf``, ``ctc`` the loss and the decoder of labels that are shorter than
their inputs, and ``sparse`` the sparse Tensors in which these are fed and fetched. ``sampled`` are losses
over some of many classes.
"""
