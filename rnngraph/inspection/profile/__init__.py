"""Profiles: where calls spend time, by layer, kernel, phase and line, compared with lower bounds.

The package is independent of programs and trainers.

- ``limits``: measures this machine's maximum rates.
- ``work``: counts a kernel's operations and bytes; ``floors`` computes their minimum time and the bottleneck.
- ``measure``: runs an entry with counters, which ``codegen/schedule/emit/ticks.py`` adds.
- ``breakdown``: converts counts to kernels, layers and lines; ``page`` and ``picture`` draw them.
- ``profile``: the user's object, which ``calls`` makes.
"""
