"""Record what TensorFlow 1.15.5 itself does: its variables, and the numbers of programs that hang on order.

    python tools/record_tensorflow.py

Needs a Python 3.7 with ``tensorflow==1.15.5``, which has ``contrib``. Runs the programs of
`tests/fixtures/tensorflow_variables.py` and `tests/fixtures/tensorflow_order.py`, and writes the files of these names
with ``.json`` at their end, which tests of `tests/tf1` compare with.
"""

import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
FIXTURES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "fixtures")
sys.path.insert(0, FIXTURES)


def record(path, version, programs):  # type: ignore[no-untyped-def]
    """Write what programs give, one a line. Returns how many failed."""
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


def main():  # type: ignore[no-untyped-def]
    """Write both files."""
    import tensorflow as tf
    import tensorflow_order
    import tensorflow_variables
    from tensorflow.contrib.rnn.python.ops import rnn_cell

    tf.logging.set_verbosity(tf.logging.ERROR)
    for name in ("MinimalRNNCell", "CFNCell"):  # cells of contrib that tf.contrib.rnn does not name
        setattr(tf.contrib.rnn, name, getattr(rnn_cell, name))
    variables = {
        name: lambda program=program: tensorflow_variables.table(tf, program)
        for name, program in tensorflow_variables.PROGRAMS.items()
    }
    order = {name: lambda name=name: tensorflow_order.told(tf, name) for name in tensorflow_order.PROGRAMS}
    failed = record("tensorflow_variables.json", tf.__version__, variables)
    failed += record("tensorflow_order.json", tf.__version__, order)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
