"""Passes: functions from a graph to a graph. They are independent of cells and processors.

Each docstring states the law of its pass: the properties that it preserves. A pass that changes nothing returns the
same object. ``pipeline`` and ``optimization`` list the passes in the order in which they run:

- ``lowering``: turns the declaration into a graph; ``split`` makes the training and the inference graph.
- ``affine``: runs recurrences in chunks of steps.
- ``simplify``: folds constants and removes dead code.
- ``gradients``: differentiates.
- ``axes``: keeps axes separate that nets merge and split again, and computes only the steps that are read.
- ``windows``: computes convolutions and pools of pictures without copies.
- ``layout``: moves transposes away from scans; ``split_concats`` splits concatenations.
- ``accumulate``: makes each product start from the sum of the previous ones; ``fuse_multiply_add`` fuses products and
  sums.
- ``quantization``: narrows weights; ``sparse_products`` skips blocks of zeros.
- ``states``: restores the shape of matrix states, and stores narrow ones.
- ``fission``: splits scans; ``sink`` moves cheap ops into loops; ``unroll`` unrolls steps.

Others run on demand:

- ``squeeze``: removes the time axis of a single step.
- ``recomputation``: rematerialises values that a derivative reads.
- ``label_weights``: weights labels by class, in training.
- ``train_step``: updates parameters from gradients.
- ``samples``: computes several random draws in one call; ``shards`` splits a batch by rows.
- ``chunks``: makes graphs of chunks for streams.
- ``held_weights``: lists the dtypes in which weights are stored; ``loops`` has helpers for passes over scans.
"""
