"""Record TensorFlow 1.15.5's own results: variables, outputs of programs that depend on order, signatures of cells.

    python tools/record_tensorflow.py

Needs a Python 3.7 with ``tensorflow==1.15.5``, which has ``contrib``. Runs the programs of
`tests/fixtures/tensorflow_variables.py` and `tests/fixtures/tensorflow_order.py`, and writes ``.json`` files of the
same names, with which tests of `tests/tf1` compare. It also writes

- `tensorflow_signatures.json`: the constructors of cells and attention;
- `tensorflow_arguments.json`: arguments of all functions in `rnngraph/tf1/table/names.txt`;
- `tensorflow_windows.npz`: convolutions and pools.
"""

import inspect
import json
import os
import sys

import numpy as np

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
FIXTURES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "fixtures")
sys.path.insert(0, FIXTURES)


def record(path, version, programs):  # type: ignore[no-untyped-def]
    """Write the results of programs to a JSON file, one per line. Return the number of programs that failed."""
    recorded, failed = {"tensorflow": version}, 0
    for name, program in programs.items():
        try:
            recorded[name] = program()
        except Exception as error:
            failed += 1
            print(f"{name}: {type(error).__name__}: {str(error).splitlines()[0]}")
    with open(os.path.join(FIXTURES, path), "w") as file:
        entries = ",\n".join(f"{json.dumps(name)}: {json.dumps(recorded[name])}" for name in recorded)
        file.write("{\n" + entries + "\n}\n")
    print(f"{path}: {len(recorded) - 1} of {len(programs)} programs")
    return failed


SIGNED = {
    "nn.rnn_cell": "BasicRNNCell BasicLSTMCell LSTMCell GRUCell MultiRNNCell DropoutWrapper ResidualWrapper",
    "contrib.rnn": "HighwayWrapper LayerNormBasicLSTMCell CoupledInputForgetGateLSTMCell NASCell UGRNNCell "
    "IntersectionRNNCell IndRNNCell SRUCell MinimalRNNCell CFNCell LSTMBlockCell GRUBlockCellV2 "
    "InputProjectionWrapper OutputProjectionWrapper",
    "contrib.seq2seq": "AttentionWrapper BahdanauAttention LuongAttention",
}


def signature(path):  # type: ignore[no-untyped-def]
    """Return the signature of a TensorFlow class as text, with the names of functions that are defaults."""
    import tensorflow as tf

    item = tf
    for name in path.split("."):
        item = getattr(item, name)
    for cls in item.__mro__:  # wrappers take (*args, **kwargs) and pass them on
        own = inspect.signature(cls.__init__) if "__init__" in vars(cls) else None
        if own is not None and len([item for item in own.parameters.values() if item.kind == 1]) > 1:
            break
    parameters = [
        item.replace(default=item.default.__name__)
        if callable(item.default) and item.default is not item.empty
        else item
        for name, item in own.parameters.items()
        if name != "self"
    ]
    return str(own.replace(parameters=parameters))[1:-1]


def arguments():  # type: ignore[no-untyped-def]
    """Return {path: names of the arguments by position} of the functions and classes of rnngraph.tf1's table."""
    import tensorflow as tf

    by_path = {}
    with open(os.path.join(FIXTURES, "..", "..", "rnngraph", "tf1", "table", "names.txt")) as table:
        entries = [line.split() for line in table if line[0] not in "#$\n"]
    for path, target in (entry[:2] for entry in entries):
        item = tf
        for name in path.split("."):
            item = getattr(item, name, None)
        if target in ("!", "=", "->") or not callable(item):
            continue
        for function in [vars(cls).get("__init__") for cls in item.__mro__] if inspect.isclass(item) else [item]:
            try:
                parameters = inspect.signature(function).parameters.values()
            except (TypeError, ValueError):
                continue
            names = [item.name for item in parameters if item.kind == 1 and item.name != "self"]
            if names:
                by_path[path] = " ".join(names)
                break
    return by_path


def main():  # type: ignore[no-untyped-def]
    """Run all programs, and write the files that the tests read."""
    import tensorflow as tf
    import tensorflow_order
    import tensorflow_variables
    import tensorflow_windows
    from tensorflow.contrib.rnn.python.ops import rnn_cell

    tf.logging.set_verbosity(tf.logging.ERROR)
    for name in ("MinimalRNNCell", "CFNCell"):  # contrib cells that tf.contrib.rnn does not export
        setattr(tf.contrib.rnn, name, getattr(rnn_cell, name))
    variables = {
        name: lambda program=program: tensorflow_variables.table(tf, program)
        for name, program in tensorflow_variables.PROGRAMS.items()
    }
    order = {name: lambda name=name: tensorflow_order.told(tf, name) for name in tensorflow_order.PROGRAMS}
    failed = record("tensorflow_variables.json", tf.__version__, variables)
    failed += record("tensorflow_order.json", tf.__version__, order)
    paths = [f"{module}.{name}" for module, names in SIGNED.items() for name in names.split()]
    signatures = {path: lambda path=path: signature(path) for path in paths}
    failed += record("tensorflow_signatures.json", tf.__version__, signatures)
    names = arguments()
    failed += record(
        "tensorflow_arguments.json", tf.__version__, {path: (lambda path=path: names[path]) for path in names}
    )
    tf.reset_default_graph()
    arrays = tensorflow_windows.values(tf)
    np.savez_compressed(os.path.join(FIXTURES, "tensorflow_windows.npz"), **arrays)
    print(f"tensorflow_windows.npz: {len(arrays)} arrays")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
