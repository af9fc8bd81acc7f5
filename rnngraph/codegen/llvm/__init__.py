"""From loop IR to LLVM text: ``module`` and its functions, ``register_tile`` for products, single ``instructions``, and
elementary functions as vector code (``vecmath``), whose errors are bounded. ``debug_info`` gives a twin lines and
layers, ``listing`` reads its assembly.
"""
