"""Repeatable chance: every random decision comes from a stream named by what it decides."""

import random
import uuid

Key = str | int


def stream(*key: Key) -> random.Random:
    """A generator that depends on the key alone, so that no decision moves another."""
    return random.Random("/".join(map(str, key)))  # noqa: S311 - a simulation's dice, no secret


def identifier(*key: Key) -> str:
    """32 hexadecimal digits, the form of most of the cloud's ids."""
    return f"{stream(*key).getrandbits(128):032x}"


def dashed_identifier(*key: Key) -> str:
    """A UUID, the form of an app server group's id."""
    return str(uuid.UUID(hex=identifier(*key)))
