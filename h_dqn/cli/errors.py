"""Errors for people: the command line turns them into one line and exit code 2."""


class UserError(Exception):
    """Something the user can mend; the message says what was wrong, where, and what to do."""
