"""What users write. Every call makes nodes of the graph IR, which name their line of the script.

Read ``tensor`` and ``cell`` first, then ``driver``, which traces one step of a whole cell, and ``drivers``, which users
call. ``layer`` says what is being declared, ``trace`` what is gathered while a cell is traced. ``nest`` and ``state``
say what a state may be, ``carried`` holds steps to it, and ``structures`` maps what stands in nests. ``parameters`` and
``initializers`` are what a net owns, ``parameter_maps`` functions that parameters pass through; ``placeholders`` are
fed, ``taps`` are values to look at by name, and ``public_types`` the types, ints and slices that users write.

``functions``, ``cells`` and ``seq2seq`` are written with these, as users would. ``description`` is the declaration as a
picture and as text. Compiles nothing.
"""
