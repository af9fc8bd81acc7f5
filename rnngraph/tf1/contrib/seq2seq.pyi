"""``tf.contrib.seq2seq``, written by tools/write_tf1_stubs.py."""

from rnngraph.tf1.ops.recurrent.seq2seq import AttentionWrapper as AttentionWrapper
from rnngraph.declare.seq2seq.attention import AttentionWrapperState as AttentionWrapperState
from rnngraph.tf1.ops.recurrent.seq2seq import BahdanauAttention as BahdanauAttention
from rnngraph.tf1.seq2seq.decoders import BasicDecoder as BasicDecoder
from rnngraph.tf1.seq2seq.decoders import BasicDecoderOutput as BasicDecoderOutput
from rnngraph.tf1.seq2seq.beam_search import BeamSearchDecoder as BeamSearchDecoder
from rnngraph.tf1.seq2seq.beam_search import BeamSearchDecoderOutput as BeamSearchDecoderOutput
from rnngraph.tf1.seq2seq.beam_search import BeamSearchDecoderState as BeamSearchDecoderState
from rnngraph.tf1.seq2seq.helpers import CustomHelper as CustomHelper
from rnngraph.tf1.seq2seq.decoders import Decoder as Decoder
from rnngraph.tf1.seq2seq.beam_search import FinalBeamSearchDecoderOutput as FinalBeamSearchDecoderOutput
from rnngraph.tf1.seq2seq.helpers import GreedyEmbeddingHelper as GreedyEmbeddingHelper
from rnngraph.tf1.seq2seq.helpers import Helper as Helper
from rnngraph.tf1.seq2seq.helpers import InferenceHelper as InferenceHelper
from rnngraph.tf1.ops.recurrent.seq2seq import LuongAttention as LuongAttention
from rnngraph.tf1.seq2seq.helpers import SampleEmbeddingHelper as SampleEmbeddingHelper
from rnngraph.tf1.seq2seq.helpers import ScheduledEmbeddingTrainingHelper as ScheduledEmbeddingTrainingHelper
from rnngraph.tf1.seq2seq.helpers import ScheduledOutputTrainingHelper as ScheduledOutputTrainingHelper
from rnngraph.tf1.seq2seq.helpers import TrainingHelper as TrainingHelper
from rnngraph.tf1.seq2seq.decoders import dynamic_decode as dynamic_decode
from rnngraph.tf1.seq2seq.beam_search import gather_tree as gather_tree
from rnngraph.tf1.seq2seq.losses import sequence_loss as sequence_loss
from rnngraph.tf1.seq2seq.beam_search import tile_batch as tile_batch
