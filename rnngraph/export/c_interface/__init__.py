"""Object code with C functions: ``ports`` are the arrays that callers see, ``nets`` what is exported in either form.
``wrapper`` fills an argument block and calls an entry, which ``stream_functions`` and ``sequence_functions`` do;
``sizes`` are computed for both. ``weights`` come from outside, ``dispatch`` chooses by processor, ``object_code`` puts
all together.
"""
