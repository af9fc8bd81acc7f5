"""``tf.sparse``, written by tools/write_tf1_stubs.py."""

from rnngraph.tf1.labelling.sparse import SparseTensor as SparseTensor
from rnngraph.tf1.labelling.sparse import sparse_placeholder as placeholder
from rnngraph.tf1.labelling.sparse_products import sparse_reorder as reorder
from rnngraph.tf1.labelling.sparse_products import sparse_tensor_dense_matmul as sparse_dense_matmul
from rnngraph.tf1.labelling.sparse import sparse_tensor_to_dense as to_dense
