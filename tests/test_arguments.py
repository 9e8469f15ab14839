"""Mistakes in arguments: one line that names the word and the closest one."""

from __future__ import annotations

import pytest

from exporter.arguments import find_mistake
from exporter.cli import main, parsers

SECRET = "is not a flag, since `ps` would show the secret; use --metrics.hash-key-file or WORKSPACE_EXPORTER_METRICS"


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("--web.listen-adress :1", "unknown flag --web.listen-adress; did you mean --web.listen-address?"),
        ("--web.listen_address=:1", "unknown flag --web.listen_address; did you mean --web.listen-address?"),
        ("-web.listen-address :1", "unknown flag -web.listen-address; did you mean --web.listen-address?"),
        ("--Poll.Interval 1s", "unknown flag --Poll.Interval; did you mean --poll.interval?"),
        ("--nonsense", "unknown flag --nonsense; workspace-exporter --help lists all flags"),
        ("-x", "unknown flag -x; workspace-exporter --help lists all flags"),
        ("doctor --poll.intervall 1s", "unknown flag --poll.intervall of doctor; did you mean --poll.interval?"),
        ("demo --port 1", "unknown flag --port of demo; workspace-exporter demo --help lists all flags"),
        ("demo --users 5", "unknown flag --users of demo; it is a flag of workspace-exporter simulate"),
        ("--users 5", "unknown flag --users; it is a flag of workspace-exporter simulate"),
        ("doctor --config.check", "unknown flag --config.check of doctor; it is a flag of workspace-exporter"),
        ("simulate --web.listen-address :1", "unknown flag --web.listen-address of simulate; did you mean --listen-a"),
        ("doctr", "unknown command doctr; did you mean doctor?"),
        ("--doctor", "unknown flag --doctor; did you mean doctor?"),
        ("w.yml", "unknown command w.yml; the commands are doctor, demo, simulate, and flags begin with two hyphens"),
        ("doctor berlin", "unexpected argument berlin after doctor"),
        ("--poll.interval", "--poll.interval needs a value: --poll.interval=DURATION"),
        ("--poll.interval=", "--poll.interval needs a value: --poll.interval=DURATION"),
        ("--poll.interval --log.level debug", "--poll.interval needs a value: --poll.interval=DURATION"),
        ("--poll.interval -5s", "--poll.interval needs a value: --poll.interval=DURATION"),
        ("simulate --users", "--users needs a value: --users=VALUE"),
        ("--web.enable-lifecycle=true", "--web.enable-lifecycle takes no value: write --web.enable-lifecycle or --no-"),
        ("--no-web.enable-lifecycle true", "--no-web.enable-lifecycle takes no value: write --web.enable-lifecycle or"),
        ("--metrics.hash-key s3cret", f"--metrics.hash-key {SECRET}"),
        ("--metrics.hash-key=s3cret", f"--metrics.hash-key {SECRET}"),
        ("doctor -metrics.hash_key s3cret", f"--metrics.hash-key {SECRET}"),
        (
            "--projects x",
            "--projects is not a flag; set it in the configuration file or in WORKSPACE_EXPORTER_PROJECTS",
        ),
        ("-- doctor", "unknown flag --; workspace-exporter --help lists all flags"),
    ],
)
def test_a_mistake_is_reported_in_one_line_with_the_closest_word(
    arguments: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(arguments.split())
    assert exit_.value.code == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.startswith(f"workspace-exporter: {told}")
    assert errors.count("\n") == 1
    assert "s3cret" not in errors


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "--config.file a --config.check",
        "--poll.interval=1s doctor --poll.interval 2s",
        "--web.enable-lifecycle doctor",
        "--shard.index -1",
        "simulate --faults 429=0.01 --listen-address :1",
        "--help --nonsense",
        "--version doctr",
        "demo -h",
    ],
)
def test_other_arguments_are_left_to_argparse(arguments: str) -> None:
    assert find_mistake(arguments.split(), parsers()) is None


def test_what_argparse_rejects_is_reported_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["simulate", "--users", "x"])
    assert capsys.readouterr().err == "workspace-exporter: --users: 'x' must be a whole number, 0 or more\n"
