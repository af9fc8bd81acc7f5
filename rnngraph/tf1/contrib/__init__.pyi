"""``tf.contrib``, written by tools/write_tf1_stubs.py."""

from rnngraph.tf1.contrib import crf as crf
from rnngraph.tf1.contrib import data as data
from rnngraph.tf1.contrib import framework as framework
from rnngraph.tf1.contrib import layers as layers
from rnngraph.tf1.contrib import legacy_seq2seq as legacy_seq2seq
from rnngraph.tf1.contrib import rnn as rnn
from rnngraph.tf1.contrib import seq2seq as seq2seq
from rnngraph.tf1.contrib import slim as slim
from rnngraph.tf1.contrib import training as training
