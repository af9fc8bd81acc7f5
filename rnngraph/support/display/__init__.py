"""What users hold, for eyes: ``colours`` marks what is what in the text of a stage, for terminals and for notebooks;
``html`` makes fragments of HTML of it, in which nothing that a user named becomes markup; ``charts`` draws columns of
numbers as SVG. The room knows texts and numbers, and no program.
"""
