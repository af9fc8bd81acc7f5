"""Reads GGUF files of recurrent language models, as llama.cpp writes them.

``read`` is the entry point. ``container`` parses a file's header, and checks it against the file's size. ``stored``
decodes a tensor's bytes to arrays of parameters. ``declaring`` declares parameters, products and norms in a script.
``rwkv`` and ``mamba`` declare the layers of each architecture, and ``vocabulary`` decodes the tokens.

To add an architecture, write a function that declares a net from a ``Model``, and add it to ``ARCHITECTURES`` of
``read``. To add a tensor type, add a function to ``DECODERS`` of ``stored``, and a case to ``declaring``.
"""
