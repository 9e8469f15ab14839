"""The image is built and run: unprivileged, with a read-only root file system, and with little memory.

No image registry is needed: the base consists of Debian's packages. The tests take two minutes, and require root and
buildah, podman, runc and debootstrap. `make image` installs these programs and runs these tests. Runs with several
processes skip them.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from faults.hostile import HOSTILE, fault
from faults.truth import ACCOUNTS, SESSIONS, USERS
from support.exporters import until
from support.faulty_server import TOKEN, FaultyServer
from support.links import repository
from support.ways_to_run import ROOT, free_address, serving

from exporter import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAMS = ("buildah", "podman", "runc", "debootstrap")
MISSING = [name for name in PROGRAMS if shutil.which(name) is None]
pytestmark = [
    pytest.mark.skipif("PYTEST_XDIST_WORKER" in os.environ, reason="takes minutes and both cores: run `make image`"),
    pytest.mark.skipif(bool(MISSING), reason=f"{', '.join(MISSING)} not installed: see `make image`"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can build the base from Debian's packages"),
    pytest.mark.timeout(600),
]

IMAGE = "workspace-exporter"
REVISION = "0123456789ab"
MOST_MIB = 200
USUAL_MIB = 100
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
CONFINED = (
    *("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--network", "host"),
    *("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"),
)


class Engine:
    """Buildah and podman with images of their own."""

    def __init__(self, folder: Path) -> None:
        self._store = ("--storage-driver", "vfs", "--root", str(folder / "root"), "--runroot", str(folder / "run"))

    def buildah(self, *arguments: str | Path) -> str:
        """Return the output. Raise CalledProcessError if it fails."""
        return run("buildah", *self._store, *arguments)

    def podman(self, *arguments: str | Path) -> str:
        """Return the output. Raise CalledProcessError if it fails."""
        return run("podman", *self._store, "--runtime", "runc", "--cgroup-manager", "cgroupfs", *arguments)


def run(*command: str | Path) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)  # noqa: S603 - our own
    if done.returncode:
        done.check_returncode()
    return done.stdout


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Build the image on a base of Debian's packages, with this machine's certificate authorities for pip."""
    folder = tmp_path_factory.mktemp("image")
    engine, base = Engine(folder), folder / "debian"
    packages = "--include=python3,python3-venv,ca-certificates"
    try:
        run("debootstrap", "--variant=minbase", packages, "bookworm", base, "http://deb.debian.org/debian")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"debootstrap cannot build a base here: {error.output[-200:]}")
    shutil.copy(AUTHORITIES, base / AUTHORITIES.relative_to("/"))
    (base / "etc/pip.conf").write_text(f"[global]\ncert = {AUTHORITIES}\n")
    container = engine.buildah("from", "scratch").strip()
    engine.buildah("add", "-q", container, base, "/")
    engine.buildah("commit", "-q", container, "localhost/packages-of-debian")
    build = ("bud", "-q", "--format", "docker", "--isolation", "chroot", "--network", "host", "--tag", IMAGE)
    arguments = ("--build-arg", "BASE=localhost/packages-of-debian", "--build-arg", f"REVISION={REVISION}")
    engine.buildah(*build, *arguments, "-f", ROOT / "deploy/Dockerfile", ROOT)
    try:
        engine.podman("run", "--rm", *CONFINED, "--entrypoint", "true", IMAGE)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"podman cannot run containers here: {error.stderr[-200:]}")
    yield engine
    engine.podman("rm", "--all", "--force", "--time", "5")
    engine.podman("rmi", "--all", "--force")


def memory(engine: Engine, name: str) -> dict[str, float]:
    """Return memory and peak of a container's first process in MiB."""
    status = engine.podman("exec", name, "cat", "/proc/1/status")
    return {key: int(kib) / 1024 for key, kib in re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB$", status, re.MULTILINE)}


def test_it_shows_version_and_revision(engine: Engine) -> None:
    version = engine.podman("run", "--rm", *CONFINED, IMAGE, "--version")
    assert f"{__version__} (revision {REVISION}, Python 3." in version


def test_its_labels_name_version_revision_and_repository(engine: Engine) -> None:
    (image,) = json.loads(engine.podman("inspect", IMAGE))
    labels = {name.rpartition(".")[2]: value for name, value in image["Labels"].items()}
    assert (labels["version"], labels["revision"], labels["source"]) == (__version__, REVISION, repository().address)


async def test_the_demo_runs_confined_and_healthy(engine: Engine) -> None:
    address = free_address()
    engine.podman("run", "-d", "--name", "demo", *CONFINED, IMAGE, "demo", "--web.listen-address", address)
    await serving(address)
    await until(lambda text: 'workspace_up{project="demo"} 1.0' in text, f"http://{address}/metrics")
    assert engine.podman("exec", "demo", "id", "-u").strip() == "65532"
    status = engine.podman("exec", "demo", "cat", "/proc/1/status")
    assert re.findall(r"^(?:CapEff|CapBnd):\s+(\w+)$", status, re.MULTILINE) == ["0" * 16] * 2
    with pytest.raises(subprocess.CalledProcessError):
        engine.podman("exec", "demo", "touch", "/opt/workspace-exporter/file")
    engine.podman("exec", "demo", "python", "-m", "exporter.health", f"http://{address}")
    used = memory(engine, "demo")
    sys.stderr.write(f"memory of the demo: {used['VmRSS']:.0f} MiB, at most {used['VmHWM']:.0f}\n")
    assert used["VmHWM"] < USUAL_MIB
    engine.podman("stop", "--time", "5", "demo")
    (state,) = json.loads(engine.podman("inspect", "demo"))
    assert state["State"]["ExitCode"] == 0, "SIGTERM ends it"


def configured(folder: Path, project: object, poll: object) -> Path:
    """Return the folder, with a configuration that everybody may read."""
    folder.chmod(0o755)
    (folder / "exporter.yml").write_text(json.dumps({"projects": [project], "poll": poll}))
    return folder


async def test_hostile_answers_take_no_more_memory_than_promised(engine: Engine, tmp_path: Path) -> None:
    """Every kind of hostile answer, to every operation."""
    server, address = FaultyServer(SESSIONS, ACCOUNTS), free_address()
    async with server.serve() as url:
        project = {
            "project_id": "p",
            "endpoints": dict.fromkeys(("sessions", "users", "iam", "metadata"), url),
            "auth": {"token": TOKEN},
            "users": list(USERS),
        }
        poll = {"interval": 1, "user_interval": 1, "failures_interval": 1, "rate_limit": 60_000, "timeout": 1}
        mounted = ("-v", f"{configured(tmp_path, project, poll)}:/etc/workspace-exporter:ro")
        flags = ("--config.file=/etc/workspace-exporter/exporter.yml", "--web.listen-address", address)
        engine.podman("run", "-d", "--name", "hostile", *CONFINED, *mounted, IMAGE, *flags)
        await serving(address)
        await until(lambda text: "workspace_sessions{" in text, f"http://{address}/metrics")
        for name in HOSTILE:
            server.spoil = partial(lambda name, call, _body: fault(name, call.operation), name)
            enough = server.faulty.total() + 10
            async with asyncio.timeout(60):
                while server.faulty.total() < enough:  # noqa: ASYNC110 - the server has no event for it
                    await asyncio.sleep(0.02)
        used = memory(engine, "hostile")
        sys.stderr.write(f"memory after hostile answers: {used['VmRSS']:.0f} MiB, at most {used['VmHWM']:.0f}\n")
        assert used["VmHWM"] < MOST_MIB
