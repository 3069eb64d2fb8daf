"""The tables of README.md and benchmarks/README.md, made from benchmarks/results: ``python -m benchmarks.tables``.

``results.py`` reads the files, ``cells.py`` writes figures with their intervals, ``table.py`` a table with who measured it. In the
other modules is a function a table.
"""
