"""The declaration API. Every call builds nodes of the graph IR, which record their line of the user's script.

Read ``tensor`` and ``cell`` first. Then read ``driver``, the node of a traced step, and the package ``running``, with
the public functions that run cells over time. The other modules:

- ``layer`` tracks the layer being declared and the variables of its step, and ``trace`` the state of a cell's tracing;
- ``nest`` and ``state`` define the structure of states, and ``carried`` checks inputs and results of steps;
- ``structures`` maps functions over nests, and ``call_text`` shows cells as the call that created them;
- ``parameters``, ``initializers`` and ``parameter_maps`` declare, initialize and transform parameters;
- ``placeholders`` are the inputs, and ``taps`` are named intermediate values;
- ``public_types`` converts dtypes, sizes and slices.

``functions``, ``cells`` and ``seq2seq`` use the same API as users' own code. ``description`` shows a declaration as a
graph or as text. This package compiles nothing.
"""
