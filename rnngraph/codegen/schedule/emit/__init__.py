"""Third phase: the loop IR of an entry, as its plan says.

``entry_emitter`` goes through the plan and gives a ``scheduled_entry``, through an ``entry_writer``, which finds equal
functions and sets barriers. ``kernel_calls`` adds calls of kernels and copies, ``scan_writer`` loops over steps, in
whose ``step_parts`` workers wait for each other, ``time_loop`` chunks of time and pipelines, ``interleaved_loop`` scans
beside each other. ``ticks`` are what an entry counts that is profiled.
"""
