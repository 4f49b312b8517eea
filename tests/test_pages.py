"""The pages on separating and sharing, tried exactly as written, one after the other."""
# ruff: noqa: F811  (fixtures are imported)

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch

from asteroid_latref.cli import main

from .hub_site import local, published, site  # noqa: F401

DOCS = Path(__file__).parents[1] / "docs"
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```", re.M | re.S)


@pytest.fixture
def desk(local, tmp_path, monkeypatch):
    """A folder with what the pages speak of, and a hub where a login is in force."""
    for folder in ("exp/demo/publish_dir", "recordings/deep", "more"):
        (tmp_path / folder).mkdir(parents=True)
    torch.save(published(), tmp_path / "exp/demo/publish_dir/model.pth")
    rng = np.random.default_rng(0)
    for name, rate in (
        ("talk.wav", 8000),
        ("recordings/a.flac", 16_000),
        ("recordings/deep/b.mp3", 44_100),
        ("more/c.ogg", 8000),
    ):
        sf.write(tmp_path / name, 0.1 * rng.normal(size=rate), rate)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: local.token)
    return tmp_path


def run_block(language, text, capsys):
    if language == "python":
        exec(compile(text, "page", "exec"), {})
        return
    for line in text.strip().splitlines():
        if line == "hf auth login":
            continue
        command, *args = shlex.split(line)
        assert command == "latref", line
        target = args.pop() if args[-2:-1] == [">"] else None
        if target:
            args.pop()
        assert main(args) == 0, (line, capsys.readouterr().err)
        if target:
            Path(target).write_text(capsys.readouterr().out)


def test_pages_as_written(desk, local, capsys):
    user_and_name = "user/my-model"
    count = 0
    for page in ("separate.md", "sharing.md"):
        for language, text in BLOCK.findall((DOCS / page).read_text()):
            run_block(language, text, capsys)
            count += 1
    assert count >= 10
    outputs = {str(p.relative_to(desk / "separated")) for p in (desk / "separated").rglob("*.wav")}
    assert {
        f"{n}_{s}.wav" for n in ("talk", "a", "deep/b", "c") for s in ("s1", "noise")
    } == outputs
    assert "real_time_factor" in (desk / "summary.json").read_text()
    assert (desk / "to_share/README.md").exists() and (desk / "from_python/README.md").exists()
    assert len(local.hub.repos[user_and_name].commits) == 1
