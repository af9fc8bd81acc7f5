"""Mini-batches of a user's examples.

- ``sources``: the accepted forms of examples.
- ``examples``: reading and zero padding of examples.
- ``batches``: order of the examples, and length of each batch.
- ``clocks``: sizes of time that placeholders share.
- ``input_axes``: batch and time axes of a graph's inputs.
- ``padding_safety``: proof that results do not depend on padding.
- ``row_mixing``: analysis of whether a graph mixes the rows of a batch.
- ``further_padding``: test batches that reveal a dependence on padding.
"""
