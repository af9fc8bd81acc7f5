"""Foreign operations, each defined once for every front end.

ONNX, torch, Keras and TensorFlow 1.x name the same operations differently. An operation is one pure function here; a
front end translates its own names, defaults, layouts and order of arguments, and calls it.

Representations of values
    - ONNX: ``Known`` (an array of the file, or sizes), ``Expanded`` (a repeated value), or a ``Value`` of the script.
      ``Tensors`` cancels transposes, reshapes and slices that undo each other.
    - torch: a ``Value``, or lazily ``Filled``, ``Positions``, ``Repeated``, ``Stacked``, ``Written``, ``Sorted``. The
      tracer specialises sizes by its example and runs again when an example contradicts.
    - Keras: a ``Signal``: a ``Value`` beside its mask.
    - TensorFlow 1.x: a ``Tensor`` of ``rg``, computed with at once.

The facade
    Every operator takes a ``Backend[Item]`` first (``backend``). ``Item`` is what the front end calls a value. The
    protocol holds what a front end may do in its own way: ask for a shape, call a public function, apply an operator
    of Python, index, transpose, reshape, broadcast, concatenate, pad, and own arrays of weights. There is no method
    for anything that follows from these.

    ``ScriptBackend`` writes a script. Keras uses it as it is. torch overrides ``transpose``, ``reshape`` and
    ``broadcast`` by its lazy values and its policy of sizes; ONNX overrides all moves by ``Tensors``, so that
    known arrays fold. ``TensorBackend`` computes with live Tensors: for TensorFlow 1.x, and for tests that hold an
    operator against its definition in NumPy.

Conventions
    - Layouts are those of ``rg``: channels last, kernels [*sizes, width / groups, filters]. A front end transposes
      before and after; backends cancel what is superfluous.
    - Sizes are ``Dim``s. An operator that needs a number where a size is open raises ``UnreadableError``. A front end
      that specialises asks the operator's own predicate first (``written_axis``, ``Window.ceiled``).
    - Written scripts call public names of ``rg`` only.
    - Masks, writes in place, packed sequences and policies of sizes stay in the front ends.

What users could want, too, is no operator but a public function of ``rg``, and a front end's line names it. Operators
are what needs a backend: arrays of weights, sizes that only a front end can write, or a meaning that NumPy has not.

Read ``errors``, ``backend``, then ``windows`` (what an output reads along an axis), ``planes`` (two axes, one of them
written out), ``convolutions``, ``pools``, ``attention``, ``dropouts``, ``moves`` (parts of axes) and ``elementwise``.
"""
