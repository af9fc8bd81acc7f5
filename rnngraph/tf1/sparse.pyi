"""``tf.sparse``, written by tools/write_tf1_stubs.py."""

from rnngraph.tf1.labelling.sparse import SparseTensor as SparseTensor
from rnngraph.tf1.labelling.sparse import sparse_placeholder as placeholder
from rnngraph.tf1.labelling.sparse import sparse_tensor_to_dense as to_dense
