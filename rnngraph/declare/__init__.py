"""What users write: tensors, functions, cells, wrappers, stacks, drivers, layers and losses."""
