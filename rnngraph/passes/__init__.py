"""Passes: each takes a graph and gives a graph, and its law is in its docstring.

The passes stand in ``pipeline``, in the order in which they run. ``lowering`` comes first: the declaration becomes a
graph; ``split`` makes two of it, for training and for inference; ``affine`` runs chunks of steps; ``simplify`` folds
constants and drops what is dead, here and after others; ``gradients`` differentiates. The others make it faster, and
unchanged graphs are the same object: ``layout`` moves transposes away from scans, ``split_concats`` takes joins
apart, ``accumulate`` makes chains of products, ``quantization`` makes weights narrow, ``states`` gives states of
matrices their shape, ``fission`` takes scans apart, ``sink`` moves cheap ops into loops, ``fuse_multiply_add`` joins
products and sums, ``unroll`` puts several steps into a turn, ``sparse_products`` leaves out blocks of zeros.

Beside the pipeline, where they are asked for: ``squeeze`` drops the axis of a single step, ``recomputation`` computes
again what a derivative reads; in training, ``label_weights`` weighs labels by class, ``train_step`` makes parameters of
gradients, ``samples`` draws several times, and ``shards`` takes some of a batch's rows. ``chunks`` makes graphs of
chunks for streams. ``held_weights`` says which weights became narrow. ``loops`` holds what passes over scans share.
Knows no cell and no processor.
"""
