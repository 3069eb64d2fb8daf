"""What a network has learned, where it fails, and what it looks at: pure functions of what was recorded, one file a concept.

Shape letters beside those of ``h_dqn/README.md``: R steps (rows) of all episodes, one episode after the other; E episodes; K
clusters, and with the two ends (success, failure) K + 2.

Source: Zahavy, Ben-Zrihem and Mannor 2016 ("Graying the black box"); corrections of their code are said where they are made.
"""

from h_dqn.introspection import saliency, samdp

__all__ = ["saliency", "samdp"]
