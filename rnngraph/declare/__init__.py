"""The declaration API. Every call builds nodes of the graph IR, which record their line of the user's script.

Read ``tensor`` and ``cell`` first. Then read ``driver``, which traces one step of a cell, and ``drivers``, the public
functions that run cells over time. The other modules:

- ``layer`` tracks the layer being declared, and ``trace`` the state of a cell's tracing;
- ``nest`` and ``state`` define the structure of states, ``carried`` checks the states of steps, and ``structures`` maps
  functions over nests;
- ``parameters``, ``initializers`` and ``parameter_maps`` declare, initialize and transform parameters;
- ``placeholders`` are the inputs, and ``taps`` are named intermediate values;
- ``public_types`` converts dtypes, sizes and slices.

``functions``, ``cells`` and ``seq2seq`` use the same API as users' own code. ``description`` shows a declaration as a
graph or as text. This package compiles nothing.
"""
