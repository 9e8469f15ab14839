"""Web files, with the certificates, keys and hashes that they need."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import bcrypt

if TYPE_CHECKING:
    from pathlib import Path

PASSWORD = "correct horse"


def hashed(password: str | bytes = PASSWORD) -> str:
    """A bcrypt hash of the lowest cost."""
    return bcrypt.hashpw(password.encode() if isinstance(password, str) else password, bcrypt.gensalt(4)).decode()


def certificate(openssl: str, directory: Path, name: str, *options: str) -> tuple[Path, Path]:
    """A new certificate for loopback that signs itself, and its key: `name.crt` and `name.key`."""
    files = directory / f"{name}.crt", directory / f"{name}.key"
    kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"]
    names = ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = [openssl, "req", *kind, *names, *options, "-out", str(files[0]), "-keyout", str(files[1])]
    subprocess.run(command, check=True, capture_output=True, timeout=60)  # noqa: S603 - fixed arguments
    return files


def write(file: Path, text: str) -> Path:
    """Put a text in place of another all at once, as those who replace configuration should."""
    new = file.with_suffix(".new")
    new.write_text(text)
    return new.rename(file)
