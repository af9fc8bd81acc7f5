"""Sizes of axes: ints, or formulas of symbols such as ``T-1``, ``B*T`` and ``(T+1)//2``.

Read ``polynomial`` first. The loop IR also uses these formulas for index arithmetic over loop variables and strides.
``arithmetic`` divides and compares sizes for the readers of other formats, with a policy for undecidable cases.
``table`` unifies sizes that must be equal. ``polynomial`` prints sizes, and ``parser`` parses the printed form. This
package does not depend on tensors.
"""
