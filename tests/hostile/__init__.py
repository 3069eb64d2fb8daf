"""Files as strangers may send them: good ones of every format, broken in many ways, and what must become of them.

``python -m tests.hostile 3000`` tries so many, each in a process of its own, and prints what was found of each format.
"""
