"""The one surface that pictures and profiles are drawn on: ``surface`` says what can be drawn, ``svg`` writes it as
text, ``png`` as an image.
"""
