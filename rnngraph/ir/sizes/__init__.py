"""Sizes of axes: ints, or formulas of names such as ``T``, ``T-1``, ``B*T`` and ``(T+1)//2``.

Read ``polynomial``, whose formulas are index arithmetic in the loop IR, too, over loop variables and strides;
``arithmetic``, what all readers compute of sizes, each with its policy for what formulas do not tell; then ``table``,
which settles sizes that must be equal, and ``text``, which reads what is printed. Knows no tensors.
"""
