"""A module's run on tensors without values. Read ``sizes``, which are open as long as the module lets them, and
``numbers``, what its code computes of them; ``values``, what a tensor stands for, and ``tensors``, how the module
sees it; ``making``, how it becomes a value of the script; ``registry``, where meanings are kept; ``moved_axes``,
calls that are made before axes are moved; ``answers`` and ``tracer``, to which every call of torch's comes, with
``calls`` and ``names`` about these, ``forwards``, of classes of users' own, ``nests`` of arguments, ``kinds``, the
types of what calls take and give, ``cuts``, time axes that torch cuts, ``python_functions``, what ``len`` and ``int``
give, and ``states``, which a run leaves.
"""
