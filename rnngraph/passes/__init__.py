"""Passes: functions from a graph to a graph. Each docstring states its law: what the pass preserves.

``pipeline`` lists the passes in the order in which they run. ``lowering`` turns the declaration into a graph, and
``split`` makes the training and the inference graph. ``affine`` runs recurrences in chunks of steps. ``simplify``
folds constants and removes dead code, and ``gradients`` differentiates. The others optimise: ``layout`` moves
transposes away from scans, ``split_concats`` splits concatenations, ``accumulate`` chains products, ``quantization``
narrows weights, ``states`` restores the shape of matrix states and stores narrow ones, ``fission`` splits scans,
``sink`` moves cheap ops into loops, ``fuse_multiply_add`` fuses products and sums, ``unroll`` unrolls steps,
``sparse_products`` skips blocks of zeros. A pass that changes nothing returns the same object.

Others run on demand. ``squeeze`` removes the time axis of a single step, and ``recomputation`` rematerialises what a
derivative reads. For training, ``label_weights`` weights labels by class, ``train_step`` updates parameters from
gradients, ``samples`` draws several times, and ``shards`` splits a batch by rows. ``chunks`` makes graphs of chunks
for streams, ``held_weights`` lists narrowed weights, and ``loops`` has what passes over scans share.

Passes know no cell and no processor.
"""
