"""A file is whole or not there."""

import errno
import os

import pytest

from asteroid_latref.errors import LatrefError
from asteroid_latref.files import atomic_dir, atomic_path, write_json


def test_success_replaces_and_leaves_nothing_else(tmp_path):
    target = tmp_path / "new" / "a.json"
    write_json(target, {"a": 1})
    write_json(target, {"a": 2})
    assert target.read_text() == '{\n  "a": 2\n}\n'
    assert os.listdir(target.parent) == ["a.json"]


def test_file_is_readable_by_others_as_the_umask_says(tmp_path):
    (tmp_path / "plain").write_text("")
    write_json(tmp_path / "a.json", 1)
    modes = {(tmp_path / name).stat().st_mode & 0o777 for name in ("plain", "a.json")}
    assert len(modes) == 1


@pytest.mark.parametrize("make", [atomic_path, atomic_dir])
def test_failure_keeps_the_old_and_removes_the_new(tmp_path, make):
    kept = tmp_path / "kept.txt"
    kept.write_text("old")
    target = kept if make is atomic_path else tmp_path / "folder"
    with pytest.raises(RuntimeError), make(target) as tmp:
        if make is atomic_path:
            tmp.write_text("half")
        else:
            (tmp / "half").write_text("half")
        raise RuntimeError
    assert os.listdir(tmp_path) == ["kept.txt"]
    assert kept.read_text() == "old"


@pytest.mark.parametrize("make", [atomic_path, atomic_dir])
def test_full_disk_is_one_sentence(tmp_path, make):
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(LatrefError, match="no space left") as caught, make(tmp_path / "x.wav"):
        raise full
    assert str(tmp_path / "x.wav") in str(caught.value)
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LatrefError, match="file"), atomic_path(tmp_path / "file" / "a.txt"):
        pass


def test_folder_appears_whole(tmp_path):
    with atomic_dir(tmp_path / "folder") as tmp:
        (tmp / "a").write_text("1")
        assert not (tmp_path / "folder").exists()
    assert os.listdir(tmp_path) == ["folder"]
    assert os.listdir(tmp_path / "folder") == ["a"]
