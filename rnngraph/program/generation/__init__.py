"""Generation of tokens: after a prompt, each chosen token is the input of the next step.

``ports`` finds the input and the output that tokens go through. ``prompts`` checks prompts and stop tokens. ``draws``
declares draws by ``rg.sample`` and compiles them, and ``choice`` chooses tokens from logits. ``generation`` is one
generation, ``chunk_runner`` reads prompts, and ``continuation`` is the state from which one continues without a prompt.
``generator`` runs those of many callers in one pool, ``handle`` is each caller's object, and ``token_rows`` runs their
rows.
"""
