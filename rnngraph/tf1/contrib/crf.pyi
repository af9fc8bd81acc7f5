"""``tf.contrib.crf``, written by tools/write_tf1_stubs.py."""

from rnngraph.tf1.labelling.crf import crf_binary_score as crf_binary_score
from rnngraph.tf1.labelling.crf import crf_decode as crf_decode
from rnngraph.tf1.labelling.crf import crf_log_likelihood as crf_log_likelihood
from rnngraph.tf1.labelling.crf import crf_log_norm as crf_log_norm
from rnngraph.tf1.labelling.crf import crf_sequence_score as crf_sequence_score
from rnngraph.tf1.labelling.crf import crf_unary_score as crf_unary_score
from rnngraph.tf1.labelling.crf import viterbi_decode as viterbi_decode
