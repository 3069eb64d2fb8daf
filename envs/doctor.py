"""interim"""
GOOD, LACKS, NOTE = "ok", "LACKS", "note"
Verdict = tuple[str, str]
