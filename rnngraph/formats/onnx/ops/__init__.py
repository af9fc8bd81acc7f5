"""Ops, a file a kind. Elementwise ones come first, on which the others build."""
