"""TensorFlow 1.x's names that ``tf1`` does not have, each with what to use instead."""

from __future__ import annotations

from ...declare.functions import activations
from ...declare.functions import basic as functions
from ...errors import NotOfferedError

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
_SUMMARY = "fetch the value with session.run, and log it in Python"

INSTEAD: dict[str, str] = {
    "Print": "fetch it with session.run, and print what that gives",
    "Assert": "sizes that meet are checked at each run; leave it out",
    "assert_equal": "sizes that meet are checked at each run; leave it out",
    "clip_by_average_norm": "use tf.clip_by_norm or tf.clip_by_global_norm",
    "contrib.crf": "use tf.contrib.crf.crf_log_likelihood, crf_decode or viterbi_decode",
    "contrib.cudnn_rnn": "use tf.nn.rnn_cell.LSTMCell, or rg.GRUCell(units, reset_after=True) for cuDNN's GRU",
    "contrib.data": _BATCHES,
    "contrib.distribute": _LOCAL,
    "contrib.estimator": _STEPS,
    "contrib.layers.batch_norm": _BATCH_NORM,
    "contrib.layers.dropout": "use tf.nn.dropout(x, keep_prob=…), which is part of every run",
    "contrib.layers.embed_sequence": "use tf.nn.embedding_lookup(tf.get_variable(name, [vocabulary, width]), ids)",
    "contrib.layers.optimize_loss": "use an optimizer of tf.train and its minimize",
    "contrib.learn": _STEPS,
    "contrib.legacy_seq2seq": "use tf.contrib.legacy_seq2seq.rnn_decoder, or another of its functions that are there",
    "contrib.lookup": _TABLE,
    "contrib.opt": f"{_COMPILED}rg.Trainer(program, rg.AdamW(rate, weight_decay=weight_decay)) or another optimizer",
    "contrib.rnn.BasicRNN": "use tf.contrib.rnn.BasicRNNCell",
    "contrib.rnn.DeviceWrapper": "there are no devices to choose; leave it out",
    "contrib.rnn.GRUBlockCell": "use tf.contrib.rnn.GRUCell, which is compiled to the same fused code",
    "contrib.rnn.GRUBlockCellV2": "use tf.contrib.rnn.GRUCell, which is compiled to the same fused code",
    "contrib.rnn.LSTMBlockCell": "use tf.contrib.rnn.LSTMCell, which is compiled to the same fused code",
    "contrib.rnn.LSTMBlockFusedCell": "use tf.contrib.rnn.LSTMCell with tf.nn.dynamic_rnn(…, time_major=True)",
    "contrib.rnn.LSTMBlockWrapper": "use tf.contrib.rnn.LSTMCell",
    "contrib.rnn.EmbeddingWrapper": "apply tf.nn.embedding_lookup(table, ids) to the inputs",
    "contrib.rnn.stack_bidirectional_rnn": "use tf.contrib.rnn.stack_bidirectional_dynamic_rnn",
    "contrib.rnn.static_state_saving_rnn": _DRIVER,
    "contrib.rnn": _OWN_CELL,
    "contrib.seq2seq.BeamSearchDecoder": _SEARCH,
    "contrib.seq2seq.tile_batch": f"it is for beam search: {_SEARCH}",
    "contrib.seq2seq": _BY_STEP,
    "contrib.training": _BATCHES,
    "data": _BATCHES,
    "distribute": _LOCAL,
    "estimator": _STEPS,
    "FIFOQueue": _QUEUE,
    "PaddingFIFOQueue": _QUEUE,
    "RandomShuffleQueue": _QUEUE,
    "float16": _DTYPE,
    "GraphDef": _META,
    "half": _DTYPE,
    "import_graph_def": _META,
    "int8": _DTYPE,
    "int16": _DTYPE,
    "keras.datasets.cifar10": "its files are pickles, which may run anything; save them as arrays where you trust them",
    "keras": "use the cells of tf.nn.rnn_cell and tf.layers.dense",
    "layers.BatchNormalization": _BATCH_NORM,
    "lookup": _TABLE,
    "losses": "write it with tf.reduce_mean and the functions of tf",
    "nn.fused_batch_norm": _BATCH_NORM,
    "nn.conv1d": "use tf.layers.conv1d, which owns its kernel",
    "nn.ctc_beam_search_decoder": _DECODER,
    "nn.rnn": _DRIVER,
    "nn.rnn_cell.DeviceWrapper": "there are no devices to choose; leave it out",
    "nn.rnn_cell": _OWN_CELL,
    "nn.static_state_saving_rnn": _DRIVER,
    "nn.sampled_softmax_loss": "use tf.nn.sparse_softmax_cross_entropy_with_logits over all classes",
    "placeholder_v2": "use tf.placeholder",
    "py_func": f"run the function between two runs of the session; {_PYTHON}",
    "QueueBase": _QUEUE,
    "rnn": _DRIVER,
    "saved_model": _META,
    "scatter_update": "run the session, change the array, and tf.assign it",
    "sparse": "use tf.sparse_placeholder, tf.SparseTensor or tf.sparse_tensor_to_dense, for labels of tf.nn.ctc_loss",
    "string": f"text is Python's: {_TABLE}",
    "summary.audio": _SUMMARY,
    "summary.tensor_summary": _SUMMARY,
    "summary": _SUMMARY,
    "test": _PYTHON,
    "train.batch": _QUEUE,
    "train.Checkpoint": "use tf.train.Saver, or the save and load methods of an rg.Trainer",
    "train.CheckpointManager": "use tf.train.Saver(max_to_keep=…)",
    "train.ClusterSpec": _LOCAL,
    "train.Coordinator": _QUEUE,
    "train.cosine_decay_restarts": "write the rate as a function of nothing, or feed it as a tf.placeholder",
    "train.ExponentialMovingAverage": "use rg.with_update and rg.compile, or average fetched values in NumPy",
    "train.export_meta_graph": _META,
    "train.import_meta_graph": _META,
    "train.input_producer": _QUEUE,
    "train.match_filenames_once": _QUEUE,
    "train.MonitoredSession": f"use tf.Session and tf.train.Saver; {_STEPS}",
    "train.MonitoredTrainingSession": f"use tf.Session and tf.train.Saver; {_STEPS}",
    "train.QueueRunner": _QUEUE,
    "train.range_input_producer": _QUEUE,
    "train.replica_device_setter": _LOCAL,
    "train.Server": _LOCAL,
    "train.shuffle_batch": _QUEUE,
    "train.slice_input_producer": _QUEUE,
    "train.start_queue_runners": _QUEUE,
    "train.string_input_producer": _QUEUE,
    "train.Supervisor": f"use tf.Session and tf.train.Saver; {_STEPS}",
    "train.SyncReplicasOptimizer": _LOCAL,
    "train.write_graph": _META,
    "train": f"use an optimizer, a Saver or a learning rate that tf.train has; else {_COMPILED}rg.Trainer(program)",
}
"""Of a path or of all paths under it, whichever is longer."""

OFFERED = (functions, activations)
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
