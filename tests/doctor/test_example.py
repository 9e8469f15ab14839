"""The guide shows what the doctor really prints."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

from support.certificates import behind_tls, certificate
from support.diagnosis import frozen
from support.exporters import project, settings

from exporter import doctor

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = 1_790_000_000.0
BEHIND = 25 * 60.0
GUIDE = Path(__file__).parents[2] / "deploy/README.md"


async def test_the_documented_example_is_word_for_word(tmp_path: Path, tool: Callable[[str], str]) -> None:
    """A slow clock and two missing permissions; only host, address and date are replaced."""
    denied = frozenset({"workspace:users:list", "workspace:serverGroup:list"})
    simulator = frozen(users=150, clock=lambda: NOW + BEHIND, denied_actions=denied)
    files = {name: tmp_path / name for name in ("access_key", "secret_key")}
    for name, file in files.items():
        file.write_text(getattr(simulator.options.account, name))
    made = certificate(tool("openssl"), tmp_path)
    out = io.StringIO()
    async with simulator.serve() as plain, behind_tls(plain, made) as url:
        auth = {f"{name}_file": str(file) for name, file in files.items()}
        berlin = project(simulator, url, name="berlin", auth=auth)
        assert not await doctor.run(settings(berlin, poll={}, http={"ca_file": str(made)}), out, lambda: NOW)
    printed = (
        out.getvalue()
        .replace(url, "https://workspace.ap-southeast-3.myhuaweicloud.com")
        .replace("127.0.0.1", "192.0.2.7")
    )
    printed = re.sub(r"valid until \S+", "valid until 2027-01-02", printed)
    (shown,) = re.findall(r"\$ [^\n]* doctor [^\n]*\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    assert shown == printed
