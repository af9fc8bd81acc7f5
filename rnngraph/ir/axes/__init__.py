"""Questions about axes. ``by_size``: which axis counts steps or rows, by the names of sizes. ``walk``: what an op, or a
graph with its loops, does to an axis, by the column of the table of ops. ``unmixed``: which axes a loop's steps keep
apart.
"""
