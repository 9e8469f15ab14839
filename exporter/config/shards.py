"""Which of several equal exporters watches which project. Pure, and the same in every process and version."""

import hashlib


def shard_of(project_id: str, total: int) -> int:
    """The shard, from 0 to ``total`` - 1, that a project belongs to.

    Each shard draws a number for the project, and the highest wins (rendezvous hashing). So one more shard takes about
    1 / ``total`` of the projects over, each from whoever had it, and moves no other.
    """
    return max(range(total), key=lambda shard: hashlib.sha256(f"{shard}/{project_id}".encode()).digest())
