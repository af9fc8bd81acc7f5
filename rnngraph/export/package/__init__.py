"""The files around exported code. All are written from one ``description``, whichever of the two forms a net has.

``header`` is C's. ``self_test`` is what the self-tests have in common, ``stream_self_test`` checks a net that runs step
by step, ``sequence_self_test`` one that takes whole sequences. ``build_files`` are for other build systems,
``plugin_files`` for audio plugins on several systems, ``linking`` makes libraries, ``python_module`` and
``javascript_module`` load the code and run it. All of these fill in files of ``templates``, by ``template``.
"""
