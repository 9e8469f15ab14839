"""Words that several messages share."""


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 user``, ``2 users``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
