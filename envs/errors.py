"""Base classes of errors that are shown to users."""


class OneLineError(Exception):
    """An error whose message is always one line."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class WorldError(OneLineError):
    """A world failed and cannot go on, such as an engine that does not start any more; the message says what to do."""
