"""What users write. Every call makes nodes of the graph IR, which name their line of the script.

Read ``tensor`` and ``cell`` first, then ``driver``, which traces one step of a whole cell, and ``drivers``, which users
call. ``nest`` and ``state`` say what a state may be, ``parameters`` and ``initializers`` what a net owns.
``functions``, ``cells`` and ``seq2seq`` are written with these, as users would. ``description`` is the declaration as a
picture and as text. Compiles nothing.
"""
