"""A verdict of ``h-dqn doctor`` on one thing that this machine has or lacks: one of these three words, and a line of text."""

GOOD, LACKS, NOTE = "ok", "LACKS", "note"
Verdict = tuple[str, str]
