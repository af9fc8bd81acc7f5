"""How workers wait for each other and share work, as LLVM text: ``barrier`` (all wait for all), ``spin_wait`` (how
often one looks before one sleeps), ``claim`` (who takes the next task: dynamic scheduling), ``pool_functions`` (what a
pool's threads run until they sleep; ``runtime/native/worker_pool`` starts them). Knows neither kernels nor graphs.
"""
