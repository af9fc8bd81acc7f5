"""Profiles: where the time of calls goes, by layer, kernel, phase and line, and how far each is from its floor.

``limits`` measures what this machine can do at best; ``work`` counts what a kernel does, ``floors`` says what that
takes at least, and in words what bounds it. ``measure`` runs an entry that counts, which
``codegen/schedule/emit/ticks.py`` is about; ``breakdown`` makes kernels, layers and lines of what was counted;
``page`` and ``picture`` draw them; ``profile`` is what users hold, ``calls`` makes one of calls that are given. Knows
neither programs nor trainers.
"""
