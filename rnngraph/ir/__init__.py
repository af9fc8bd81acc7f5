"""The graph IR: types, one table of ops, nodes and graphs, printer, parser, verifier, interpreter."""
