"""Record names, shapes, dtypes and collections of the variables of TensorFlow 1.15.5.

    python tools/record_tensorflow_variables.py

Needs a Python 3.7 with ``tensorflow==1.15.5``, whose ``contrib`` is in it. Runs the programs of
`tests/fixtures/tensorflow_variables.py`, and writes `tests/fixtures/tensorflow_variables.json`, which
`tests/tf1/test_variables.py` compares with.
"""

import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
FIXTURES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "fixtures")
sys.path.insert(0, FIXTURES)


def main():  # type: () -> None
    """Write the table."""
    import tensorflow as tf
    from tensorflow.contrib.rnn.python.ops import rnn_cell
    from tensorflow_variables import PROGRAMS, table

    tf.logging.set_verbosity(tf.logging.ERROR)
    for name in ("MinimalRNNCell", "CFNCell"):  # cells of contrib that tf.contrib.rnn does not name
        setattr(tf.contrib.rnn, name, getattr(rnn_cell, name))
    recorded, failed = {"tensorflow": tf.__version__}, []
    for name, program in PROGRAMS.items():
        try:
            recorded[name] = table(tf, program)
        except Exception as error:
            failed.append(name)
            print("{}: {}: {}".format(name, type(error).__name__, str(error).partition("\n")[0]))
    with open(os.path.join(FIXTURES, "tensorflow_variables.json"), "w") as file:
        entries = ",\n".join(f"{json.dumps(name)}: {json.dumps(recorded[name])}" for name in recorded)
        file.write("{\n" + entries + "\n}\n")
    print(f"{len(recorded) - 1} of {len(PROGRAMS)} programs")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
