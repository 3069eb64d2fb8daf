"""What all errors for people share."""


class OneLineError(Exception):
    """Its message is one line, whatever the names and texts in it look like."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class WorldError(OneLineError):
    """A world failed and cannot go on, such as an engine that does not start any more; the message says what to do."""
