"""Changes of files are noticed, whatever happens to a file."""

import os
from pathlib import Path

from exporter.files import FileVersions, version


def test_a_file_that_is_written_removed_or_created_has_changed(tmp_path: Path) -> None:
    file, other = tmp_path / "file", tmp_path / "other"
    file.write_text("one")
    versions = FileVersions(file, other)
    assert not versions.changed()
    file.write_text("two")
    assert versions.changed()
    versions = FileVersions(file, other)
    other.touch()
    assert versions.changed()
    versions = FileVersions(file, other)
    other.unlink()
    assert versions.changed()


def test_a_file_that_was_added_before_it_changed_has_changed(tmp_path: Path) -> None:
    file = tmp_path / "file"
    versions = FileVersions(file)
    file.touch()
    versions.add(file)
    assert versions.changed()


def test_a_replacement_with_the_same_size_and_time_is_another_version(tmp_path: Path) -> None:
    file, new = tmp_path / "file", tmp_path / "new"
    file.write_text("one")
    before = version(file)
    new.write_text("two")
    os.utime(new, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    new.replace(file)
    assert version(file) not in {before, None}


def test_an_impossible_path_has_no_version() -> None:
    assert version(Path("a\0b")) is None
