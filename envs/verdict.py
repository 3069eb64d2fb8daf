"""What a doctor says of one thing that this machine has or lacks: a word of these three, and a line of text."""

GOOD, LACKS, NOTE = "ok", "LACKS", "note"
Verdict = tuple[str, str]
