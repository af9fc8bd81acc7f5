"""Profiles: where calls spend time, by layer, kernel, phase and line, compared with lower bounds.

``limits`` measures this machine's maximum rates; ``work`` counts a kernel's operations and bytes, and ``floors``
computes their minimum time and the bound. ``measure`` runs an entry with counters, which
``codegen/schedule/emit/ticks.py`` adds; ``breakdown`` converts counts to kernels, layers and lines; ``page`` and
``picture`` draw them; ``profile`` is the user's object, and ``calls`` makes it. The room knows neither programs nor
trainers.
"""
