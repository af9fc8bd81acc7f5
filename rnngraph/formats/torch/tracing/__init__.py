"""A module's run on tensors without values. Read ``sizes``, which are open as long as the module lets them; ``values``,
what a tensor stands for, and ``tensors``, how the module sees it; ``making``, how it becomes a value of the script;
``answers`` and ``tracer``, to which every call of torch's comes, with ``names`` of calls, ``nests`` of arguments, and
``lengths``, what ``len`` gives.
"""
