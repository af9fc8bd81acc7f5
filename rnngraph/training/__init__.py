"""Training: ``trainer`` is what users hold, a step of it one native call (``step_variants``, ``step_runner``,
``step_buffers``). ``optimizers`` are equations, ``schedules`` their rates, ``fit`` the loop over examples.
"""
