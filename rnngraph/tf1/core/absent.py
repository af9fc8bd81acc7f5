"""TensorFlow 1.x's names that ``tf1`` does not have, each with what to use instead."""

from __future__ import annotations

from ...declare.functions import activations, layers, normalization
from ...declare.functions import basic as functions
from ...declare.functions.elementary import angles, hyperbolic, logarithms, normal, numbers, powers, remainders
from ...support.errors import NotOfferedError

GUIDE = "docs/tf1.md#what-is-not-offered"
_COMPILED = "program = rg.compile(outputs, loss=loss), then "
_BATCHES = "feed NumPy arrays to session.run in a loop, or let the fit method of an rg.Trainer make batches"
_OWN_CELL = "write its equations as a class with state() and step(p, x, state), a subclass of rg.Cell"
_DRIVER = "use tf.nn.dynamic_rnn"
_PYTHON = "it has no part in a declaration; use Python's own means"
_BY_STEP = (
    "run a decoder step by step, fetching its state and feeding it back, or use program.inference.stream(), which "
    "keeps it"
)
_SEARCH = f"search in Python over runs of one step; {_BY_STEP}"
_DECODER = "decode what session.run gives in Python: argmax over classes, drop repeats, then blanks"
_DTYPE = "use tf.float32, tf.float64, tf.int32, tf.int64 or tf.bool"
_BATCH_NORM = "use tf.layers.batch_normalization(x, training=True)"
_STEPS = "write the loop over session.run([train_op, loss], feed_dict) yourself, or use the fit method of an rg.Trainer"
_META = "run the script that declares the graph, then tf.train.Saver().restore(session, path)"
_LOCAL = "there is one process and one processor; leave it out"
_QUEUE = f"there are no queues and no threads that read; {_BATCHES}"
_TABLE = "look up ids in Python, with a dict, and feed them as tf.int32"
_HOOK = f"do it in the loop, between two runs of the session; {_STEPS}"
_DATA_SIZE = "how many entries it gives is data; do it in NumPy with what session.run gives, or with what is fed"
_FINITE = "leave it out, and look with np.isfinite at what a run gives; rg.Trainer(…).fit names the first such value"
_PLANE = "nets of pictures are not what this is for; over sequences use tf.layers.conv1d and tf.layers.max_pooling1d"
_REUSE = "call the function again within tf.variable_scope(name, reuse=tf.AUTO_REUSE)"
_METRIC = (
    "use tf.reduce_mean(tf.cast(tf.equal(predictions, labels), tf.float32)) in a run, or NumPy over what runs give"
)
_GRADIENT = "gradients are those of the functions; tf.stop_gradient and tf.clip_by_value change them"
_CHECK = "sizes that meet are checked at each run; leave it out"
_EAGER = "there are graphs and sessions only; use tf.gradients and tf.Session"
_SORTED = "use tf.nn.top_k for a few of the largest, or NumPy with what session.run gives"
_LAYER = "use the function of the same name in lower case, or a class of Python's own that calls tf.get_variable"
_FILES = "read the files in Python, with NumPy, and feed the arrays"
_PADDED = "pad rows in NumPy, and give sequence_length=; the fit method of an rg.Trainer pads lists of sequences"
_WORDS = "make ids of words in Python, with a dict, and feed them as tf.int32"
_SUMMARY = "fetch the value with session.run, and log it in Python"

INSTEAD: dict[str, str] = {
    "argsort": _SORTED,
    "Assert": "fetch what it checks with session.run, and check that in Python; sizes are checked at each run",
    "assert_equal": "sizes that meet are checked at each run; leave it out",
    "assert_greater": _CHECK,
    "assert_greater_equal": _CHECK,
    "assert_less": _CHECK,
    "assert_less_equal": _CHECK,
    "assert_non_negative": _CHECK,
    "assert_positive": _CHECK,
    "assert_rank": _CHECK,
    "assert_rank_at_least": _CHECK,
    "assert_type": _CHECK,
    "bfloat16": _DTYPE,
    "clip_by_average_norm": "use tf.clip_by_norm or tf.clip_by_global_norm",
    "complex128": _DTYPE,
    "complex64": _DTYPE,
    "contrib.crf": "use tf.contrib.crf.crf_log_likelihood, crf_decode or viterbi_decode",
    "contrib.cudnn_rnn": "use tf.nn.rnn_cell.LSTMCell, or rg.GRUCell(units, reset_after=True) for cuDNN's GRU",
    "contrib.data": _BATCHES,
    "contrib.distribute": _LOCAL,
    "contrib.distributions": "write its density with the functions of tf; draw with tf.random_normal or tf.multinomial",
    "contrib.estimator": _STEPS,
    "contrib.framework.arg_scope": "give the arguments to each call, or wrap the function with functools.partial",
    "contrib.layers.conv2d": _PLANE,
    "contrib.learn": _STEPS,
    "contrib.learn.datasets": _FILES,
    "contrib.learn.preprocessing": _WORDS,
    "contrib.legacy_seq2seq": "use tf.contrib.legacy_seq2seq.rnn_decoder, or another of its functions that are there",
    "contrib.lookup": _TABLE,
    "contrib.losses": "use the function of the same name in tf.losses",
    "contrib.metrics": _METRIC,
    "contrib.opt": f"{_COMPILED}rg.Trainer(program, rg.AdamW(rate, weight_decay=weight_decay)) or another optimizer",
    "contrib.rnn": _OWN_CELL,
    "contrib.rnn.AttentionCellWrapper": "use tf.contrib.seq2seq.AttentionWrapper over a memory, or a cell of your own",
    "contrib.rnn.BasicRNN": "use tf.contrib.rnn.BasicRNNCell",
    "contrib.rnn.DeviceWrapper": "there are no devices to choose; leave it out",
    "contrib.rnn.EmbeddingWrapper": "apply tf.nn.embedding_lookup(table, ids) to the inputs",
    "contrib.rnn.FusedRNNCellAdaptor": "use the cell itself with tf.nn.dynamic_rnn(…, time_major=True)",
    "contrib.rnn.GRUBlockCell": "use tf.contrib.rnn.GRUCell, which is compiled to the same fused code",
    "contrib.rnn.LSTMBlockFusedCell": "use tf.contrib.rnn.LSTMCell with tf.nn.dynamic_rnn(…, time_major=True)",
    "contrib.rnn.LSTMBlockWrapper": "use tf.contrib.rnn.LSTMCell",
    "contrib.rnn.stack_bidirectional_rnn": "use tf.contrib.rnn.stack_bidirectional_dynamic_rnn",
    "contrib.rnn.static_state_saving_rnn": _DRIVER,
    "contrib.rnn.TimeReversedFusedRNN": "use tf.nn.bidirectional_dynamic_rnn, or tf.reverse_sequence",
    "contrib.rnn.transpose_batch_time": "use tf.transpose(x, [1, 0, 2])",
    "check_numerics": _FINITE,
    "contrib.seq2seq": _BY_STEP,
    "contrib.seq2seq.BeamSearchDecoder": _SEARCH,
    "contrib.seq2seq.tile_batch": f"it is for beam search: {_SEARCH}",
    "contrib.training": _BATCHES,
    "custom_gradient": _GRADIENT,
    "data": _BATCHES,
    "debugging": _CHECK,
    "debugging.check_numerics": _FINITE,
    "decode_csv": _BATCHES,
    "decode_raw": _BATCHES,
    "distribute": _LOCAL,
    "distributions": "write its density with the functions of tf; draw with tf.random_normal or tf.multinomial",
    "dynamic_partition": _DATA_SIZE,
    "dynamic_stitch": _DATA_SIZE,
    "enable_eager_execution": _EAGER,
    "enable_v2_behavior": _EAGER,
    "estimator": _STEPS,
    "feature_column": "make the columns in NumPy, and feed them",
    "FIFOQueue": _QUEUE,
    "FixedLenFeature": _BATCHES,
    "float16": _DTYPE,
    "examples": _FILES,
    "function": _EAGER,
    "GradientTape": _EAGER,
    "GraphDef": _META,
    "half": _DTYPE,
    "hessians": "there are first derivatives; tf.gradients of a gradient is not offered",
    "image": _PLANE,
    "import_graph_def": _META,
    "IndexedSlices": "gradients of embeddings are dense arrays; compute with them as with others",
    "initializers": "use an initializer of tf, such as tf.glorot_uniform_initializer",
    "invert_permutation": "use np.argsort of what is fed",
    "keras": "use the cells of tf.nn.rnn_cell and tf.layers.dense",
    "keras.datasets": _FILES,
    "keras.preprocessing": _PADDED,
    "keras.preprocessing.text": _WORDS,
    "keras.utils.to_categorical": "use np.eye(classes)[labels], or tf.one_hot",
    "layers.BatchNormalization": _BATCH_NORM,
    "layers.Conv1D": _LAYER,
    "layers.conv2d": _PLANE,
    "layers.Dropout": _LAYER,
    "layers.Flatten": _LAYER,
    "layers.Layer": _LAYER,
    "layers.max_pooling2d": _PLANE,
    "lookup": _TABLE,
    "losses": "write it with tf.reduce_mean and the functions of tf",
    "make_template": _REUSE,
    "metrics": "tf.metrics has accuracy, mean, precision, recall, auc, and the means of errors; for places among the "
    "first k, tf.metrics.mean of tf.nn.in_top_k(predictions, labels, k)",
    "model_variables": "use tf.global_variables",
    "nn.avg_pool": _PLANE,
    "nn.conv1d": "use tf.layers.conv1d, which owns its kernel",
    "nn.conv2d": f"{_PLANE}, which is what filters are that span a text's whole width",
    "nn.ctc_beam_search_decoder": _DECODER,
    "nn.ctc_loss_v2": "use tf.nn.ctc_loss",
    "nn.embedding_lookup_sparse": "feed padded ids and a mask; use tf.nn.embedding_lookup and tf.reduce_sum",
    "nn.fused_batch_norm": _BATCH_NORM,
    "nn.local_response_normalization": _PLANE,
    "nn.lrn": _PLANE,
    "nn.max_pool": _PLANE,
    "nn.rnn_cell": _OWN_CELL,
    "nn.rnn_cell.DeviceWrapper": "there are no devices to choose; leave it out",
    "nn.seq2seq": "use tf.contrib.legacy_seq2seq",
    "nn.static_state_saving_rnn": _DRIVER,
    "NoGradient": _GRADIENT,
    "NotDifferentiable": _GRADIENT,
    "numpy_function": f"run the function between two runs of the session; {_PYTHON}",
    "PaddingFIFOQueue": _QUEUE,
    "parallel_stack": "use tf.stack",
    "parse_example": _BATCHES,
    "parse_single_example": _BATCHES,
    "placeholder_v2": "use tf.placeholder",
    "Print": "fetch it with session.run, and print what that gives",
    "print": "fetch it with session.run, and print what that gives",
    "profiler": "use rnngraph profile SCRIPT",
    "py_func": f"run the function between two runs of the session; {_PYTHON}",
    "py_function": f"run the function between two runs of the session; {_PYTHON}",
    "python_io": _BATCHES,
    "QueueBase": _QUEUE,
    "RandomShuffleQueue": _QUEUE,
    "read_file": _BATCHES,
    "RegisterGradient": _GRADIENT,
    "rnn": _DRIVER,
    "saved_model": _META,
    "scatter_nd": "use tf.unsorted_segment_sum, or tf.one_hot and tf.matmul",
    "scatter_update": "run the session, change the array, and tf.assign it",
    "searchsorted": "do it in NumPy with what is fed",
    "segment_sum": "use tf.unsorted_segment_sum with the number of segments",
    "setdiff1d": _DATA_SIZE,
    "sort": _SORTED,
    "sparse": "use tf.sparse_placeholder, tf.SparseTensor or tf.sparse_tensor_to_dense, for labels of tf.nn.ctc_loss",
    "sparse_tensor_dense_matmul": "make the matrix dense, and use tf.matmul",
    "sparse_to_dense": "use tf.one_hot, or make the array in NumPy and feed it",
    "string": f"text is Python's: {_TABLE}",
    "strings": f"text is Python's: {_TABLE}",
    "summary": _SUMMARY,
    "summary.audio": _SUMMARY,
    "summary.tensor_summary": _SUMMARY,
    "test": "use unittest or pytest, with tf.Session and np.testing.assert_allclose; there is no GPU",
    "TFRecordReader": _QUEUE,
    "train": f"use an optimizer, a Saver or a learning rate that tf.train has; else {_COMPILED}rg.Trainer(program)",
    "train.batch": _QUEUE,
    "train.Checkpoint": "use tf.train.Saver, or the save and load methods of an rg.Trainer",
    "train.CheckpointManager": "use tf.train.Saver(max_to_keep=…)",
    "train.CheckpointSaverHook": _HOOK,
    "train.ClusterSpec": _LOCAL,
    "train.Coordinator": _QUEUE,
    "train.cosine_decay_restarts": "write the rate as a function of nothing, or feed it as a tf.placeholder",
    "train.Example": _BATCHES,
    "train.export_meta_graph": _META,
    "train.Feature": _BATCHES,
    "train.Features": _BATCHES,
    "train.import_meta_graph": _META,
    "train.init_from_checkpoint": "use tf.train.Saver({name in the file: variable}).restore(session, path)",
    "train.input_producer": _QUEUE,
    "train.linear_cosine_decay": "write the rate as a function of nothing, or feed it as a tf.placeholder",
    "train.LoggingTensorHook": _HOOK,
    "train.LooperThread": _QUEUE,
    "train.match_filenames_once": _QUEUE,
    "train.MonitoredSession": f"use tf.Session and tf.train.Saver; {_STEPS}",
    "train.MonitoredTrainingSession": f"use tf.Session and tf.train.Saver; {_STEPS}",
    "train.NanTensorHook": _HOOK,
    "train.noisy_linear_cosine_decay": "write the rate as a function of nothing, or feed it as a tf.placeholder",
    "train.QueueRunner": _QUEUE,
    "train.range_input_producer": _QUEUE,
    "train.replica_device_setter": _LOCAL,
    "train.Scaffold": f"use tf.Session and tf.train.Saver; {_STEPS}",
    "train.Server": _LOCAL,
    "train.SessionRunHook": _HOOK,
    "train.SessionManager": f"use tf.Session and tf.train.Saver; {_STEPS}",
    "train.shuffle_batch": _QUEUE,
    "train.SingularMonitoredSession": f"use tf.Session and tf.train.Saver; {_STEPS}",
    "train.slice_input_producer": _QUEUE,
    "train.start_queue_runners": _QUEUE,
    "train.StepCounterHook": _HOOK,
    "train.StopAtStepHook": _HOOK,
    "train.string_input_producer": _QUEUE,
    "train.SummarySaverHook": _HOOK,
    "train.Supervisor": f"use tf.Session and tf.train.Saver; {_STEPS}",
    "train.SyncReplicasOptimizer": _LOCAL,
    "train.write_graph": _META,
    "unique": _DATA_SIZE,
    "unique_with_counts": _DATA_SIZE,
    "VarLenFeature": _BATCHES,
    "verify_tensor_all_finite": _FINITE,
}
"""Of a path or of all paths under it, whichever is longer."""

OFFERED = (
    functions, layers, normalization, activations, angles, hyperbolic, logarithms, normal, numbers, powers, remainders,
)  # fmt: skip
"""Modules whose functions rnngraph has under their own names."""


def not_offered(path: str) -> NotOfferedError:
    """The error for ``tf.<path>``: it names what to use instead, and the guide."""
    return NotOfferedError(f"tf.{path} is not offered; {remedy(path)} ({GUIDE})")


def remedy(path: str) -> str:
    known = path
    while known:
        if known in INSTEAD:
            return INSTEAD[known]
        known = known.rpartition(".")[0]
    name = path.rpartition(".")[2]
    if any(getattr(getattr(module, name, None), "__module__", "") == module.__name__ for module in OFFERED):
        return f"use rg.{name}, from import rnngraph as rg"
    return "write it with the functions of rnngraph that dir(rnngraph) lists, such as rg.where, rg.matmul and rg.exp"
