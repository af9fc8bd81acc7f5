"""Foreign operations, each defined once for every front end.

ONNX, torch, Keras and TensorFlow 1.x name the same operations differently. An operation is one pure function here. A
front end translates its own names, defaults, layouts and order of arguments, and calls the function.

Representations of values
    - ONNX: ``Known`` (an array of the file, or sizes), ``Expanded`` (a repeated value), or a ``Value`` of the script.
      ``Tensors`` cancels transposes, reshapes and slices that undo each other.
    - torch: a ``Value``, or a lazy one: ``Filled``, ``Positions``, ``Repeated``, ``Stacked``, ``Written``, ``Sorted``.
      The tracer specialises sizes by its example, and runs again when the example contradicts.
    - Keras: a ``Signal``: a ``Value`` with its mask.
    - TensorFlow 1.x: a ``Tensor`` of ``rg``, computed with at once.

The facade
    Every operator takes a ``Backend[Item]`` first (``backend``). ``Item`` is the front end's type of a value. The
    protocol has the operations that front ends implement differently: shapes, calls of public functions, Python's
    operators, indexing, transposes, reshapes, broadcasts, concatenation, padding, and ownership of weight arrays. There
    is no method for anything that follows from these.

    ``ScriptBackend`` writes a script. Keras uses it as it is. torch overrides ``transpose``, ``reshape`` and
    ``broadcast`` by its lazy values and its policy of sizes; ONNX overrides all moves by ``Tensors``, so that
    known arrays fold. ``TensorBackend`` computes with live Tensors: for TensorFlow 1.x, and for tests that hold an
    operator against its definition in NumPy.

Conventions
    - Layouts are those of ``rg``: channels last, kernels [*sizes, width / groups, filters]. A front end transposes
      before and after; backends cancel transposes that undo each other.
    - Sizes are ``Dim``s. An operator that needs a number where a size is open raises ``UnreadableError``. A front end
      that specialises asks the operator's own predicate first (``written_axis``, ``Window.ceiled``).
    - Written scripts call public names of ``rg`` only.
    - Masks, writes in place, packed sequences and policies of sizes stay in the front ends.

An operation that users could want is a public function of ``rg`` instead, which front ends name in their tables. An
operator needs a backend: for weight arrays, for sizes that only a front end can write, or because NumPy defines the
operation differently.

Read ``errors``, ``backend``, then ``windows`` (windows along an axis), ``planes`` (two axes, one of which is unrolled),
``convolutions``, ``pools``, ``attention``, ``dropouts``, ``moves`` (slices and gathers) and ``elementwise``.
"""
