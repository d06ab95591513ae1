"""How fast the runtime is, as ratios against the bare database in the same run: ``python -m benchmarks``.

Nothing here asserts a time, and nothing of it is in the wheel. docs/reference/benchmarks.md says how to read it.
"""
