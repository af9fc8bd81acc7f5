"""How workers wait for each other and share work, as loop IR and LLVM text: ``barrier``, ``spin_wait``, ``claim`` (who
takes the next task), ``pool_functions`` (what a pool's threads run).
"""
