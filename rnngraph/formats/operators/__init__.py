"""Operations of other frameworks, each defined once for all front ends: the readers of these frameworks' programs.

ONNX, torch, Keras and TensorFlow 1.x name the same operations differently. An operator is one pure function here. A
front end translates its own names, defaults, layouts and order of arguments, and calls the function.

Values of the front ends
    - ONNX: ``Known`` (an array of the file, or sizes), ``Expanded`` (a repeated value), or a ``Value`` of the script.
      ``Tensors`` cancels transposes, reshapes and slices that undo each other.
    - torch: a ``Value``, or a lazy value such as ``Filled``, ``Positions`` or ``Stacked``. The tracer decides
      comparisons of sizes by the example, and runs again if a size must be fixed.
    - Keras: a ``Signal``, which is a ``Value`` with its mask.
    - TensorFlow 1.x: a ``Tensor`` of ``rg``, on which functions are called immediately.

Backends
    The first argument of every operator is a ``Backend[Item]`` (``backend``), where ``Item`` is the front end's type of
    a value. The protocol has only the primitive operations that front ends implement differently. These are
    shapes, calls of public functions, Python's operators, indexing, moves of entries, padding, and ownership of weight
    arrays.

    ``ScriptBackend`` writes a script, and Keras uses it unchanged. torch overrides ``transpose``, ``reshape`` and
    ``broadcast`` by its lazy values and its policy of sizes. ONNX overrides all moves by ``Tensors``, so that known
    arrays fold. ``TensorBackend`` computes with Tensors, for TensorFlow 1.x, and for tests that compare an operator
    with its definition in NumPy.

Conventions
    - Layouts are those of ``rg``: channels last, kernels [*sizes, width / groups, filters]. A front end transposes
      before and after; backends cancel transposes that undo each other.
    - Sizes are ``Dim``s. An operator that needs a number raises ``UnreadableError`` for a symbolic size. A front end
      that can fix sizes calls the operator's own predicate first (``unrolled_axis``, ``Window.ceiled``).
    - Scripts call public names of ``rg`` only.
    - Masks, writes in place, packed sequences and policies of sizes stay in the front ends.

An operation that users may want is a public function of ``rg`` instead, to which the tables of the front ends map.
Three kinds of operations are operators: those that own weight arrays, those whose sizes only a front end can write, and
those that NumPy defines differently.

Read ``errors`` and ``backend`` first, then ``windows`` (windows along an axis) and ``planes`` (two axes, one of them
unrolled). ``convolutions``, ``pools``, ``attention``, ``dropouts``, ``moves`` (slices and gathers) and ``elementwise``
have the operators.
"""
