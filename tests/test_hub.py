"""Upload and download through the real client over HTTP.

Against a small server on this machine, or against any hub named by ``LATREF_HUB_ENDPOINT`` and
``LATREF_HUB_TOKEN`` (with ``LATREF_HUB_USER``, default ``latref-test``); what needs a server that
misbehaves on demand is skipped there.
"""
# ruff: noqa: F811  (fixtures are imported)

import os
import re
import subprocess
import sys

import asteroid.utils.hub_utils
import pytest
import torch
from asteroid.models import BaseModel
from huggingface_hub import HfApi

from asteroid_latref import IterSudoRmRf
from asteroid_latref.errors import LatrefError
from asteroid_latref.hub import CARD, CONFIG, WEIGHTS, push_to_hub

from .hub_site import local, model, publish_dir, site  # noqa: F401

WAV = torch.randn(2, 1, 4321, generator=torch.Generator().manual_seed(0))

# ---- there and back -------------------------------------------------------------------------


def test_upload_download_same_bytes_same_outputs(site, publish_dir, tmp_path):
    repo = site.new()
    shared = push_to_hub(publish_dir, repo, token=site.token, folder=tmp_path / "kept")
    assert re.search(r"[0-9a-f]{40}", shared.commit) and shared.commit in shared.url
    held = {f.rfilename for f in HfApi(site.url, token=site.token).model_info(repo).siblings}
    assert {WEIGHTS, CONFIG, CARD, "LICENSE.md"} <= held
    fetched = asteroid.utils.hub_utils.cached_download(repo)
    with open(fetched, "rb") as there, open(tmp_path / "kept" / WEIGHTS, "rb") as here:
        assert there.read() == here.read()
    with torch.no_grad():
        expected = model()(WAV)
        ours = IterSudoRmRf.from_pretrained(repo).eval()
        theirs = BaseModel.from_pretrained(repo).eval()
        assert torch.equal(ours(WAV), expected) and torch.equal(theirs(WAV), expected)
        assert ours.task == "enh_single"
        for loader in (IterSudoRmRf, BaseModel):
            cut = loader.from_pretrained(repo, n_blocks=1, n_iters=1).eval()
            assert torch.equal(cut(WAV), model()(WAV, n_blocks=1, n_iters=1))


def test_second_upload_is_a_second_commit_and_revisions_load(site):
    repo = site.new()
    first = push_to_hub(model(0), repo, token=site.token)
    second = push_to_hub(model(1), repo, token=site.token, message="better")
    assert first.commit != second.commit
    with torch.no_grad():
        for revision, seed in (("", 1), (f"@{first.commit}", 0), ("@main", 1)):
            loaded = IterSudoRmRf.from_pretrained(repo + revision).eval()
            assert torch.equal(loaded(WAV), model(seed)(WAV)), revision


def test_branches_and_uploads_without_news(local):
    repo = local.new()
    first = push_to_hub(model(0), repo, token=local.token, message="better")
    again = push_to_hub(model(0), repo, token=local.token)
    assert first.commit == again.commit
    side = push_to_hub(model(2), repo, token=local.token, revision="side")
    assert side.commit != first.commit
    with torch.no_grad():
        for revision, seed in (("", 0), ("@side", 2)):
            loaded = IterSudoRmRf.from_pretrained(repo + revision).eval()
            assert torch.equal(loaded(WAV), model(seed)(WAV)), revision
    assert local.hub.repos[repo].commits[0][1] == "better"


def test_cached_models_load_without_a_connection(local):
    repo = local.new()
    push_to_hub(model(), repo, token=local.token)
    IterSudoRmRf.from_pretrained(repo)
    local.hub.down = True
    with torch.no_grad():
        assert torch.equal(IterSudoRmRf.from_pretrained(repo).eval()(WAV), model()(WAV))
    with pytest.raises(LatrefError, match="me/other: no connection to the hub"):
        IterSudoRmRf.from_pretrained("me/other")


def test_command_uploads_and_separates(local, publish_dir, tmp_path):
    """The whole way in a process of its own, with HF_ENDPOINT as a person would set it."""
    import numpy as np
    import soundfile as sf

    repo = local.new()
    sf.write(tmp_path / "a.wav", 0.1 * np.random.default_rng(0).normal(size=8000), 8000)
    env = os.environ | {
        "HF_ENDPOINT": local.url,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HOME": str(tmp_path / "home"),
        "ASTEROID_CACHE": str(tmp_path / "cache2"),
        "HF_TOKEN": local.token,
    }
    code = """if True:
        import sys
        from asteroid_latref.cli import main
        folder, repo, wav = sys.argv[1:]
        assert main(["upload", folder, repo]) == 0
        assert main(["separate", repo, wav, "--n-blocks", "1", "--json"]) == 0
    """
    done = subprocess.run(
        [sys.executable, "-c", code, str(publish_dir), repo, str(tmp_path / "a.wav")],
        env=env,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert f"{local.url}/{repo}/commit/" in done.stdout
    assert (tmp_path / "a_s1.wav").exists() and (tmp_path / "a_noise.wav").exists()
    assert len(local.hub.repos[repo].commits) == 1


# ---- what goes wrong -------------------------------------------------------------------------


def test_bad_token_is_one_clear_line(site):
    repo = site.new()
    with pytest.raises(LatrefError, match="refused the token|may not do this") as caught:
        push_to_hub(model(), repo, token="hf_wrong")
    assert "\n" not in str(caught.value) and repo in str(caught.value)
    if site.hub:
        assert repo not in site.hub.repos


def test_no_token_says_how_to_get_one(site):
    with pytest.raises(LatrefError, match="no token.*hf auth login"):
        push_to_hub(model(), site.new())


def test_connection_cut_in_mid_upload_then_retry(local):
    repo = local.new()
    local.hub.cuts = 100
    with pytest.raises(LatrefError, match=f"{repo}: no connection to the hub .*run the same again"):
        push_to_hub(model(), repo, token=local.token)
    assert local.hub.repos[repo].commits == [] and local.hub.lfs == {}
    with pytest.raises(LatrefError, match="no such repository, revision or file"):
        IterSudoRmRf.from_pretrained(repo)
    local.hub.cuts = 1  # the client itself gets over one cut
    push_to_hub(model(), repo, token=local.token)
    with torch.no_grad():
        assert torch.equal(IterSudoRmRf.from_pretrained(repo).eval()(WAV), model()(WAV))


def test_private_repositories_need_the_token(local, monkeypatch):
    repo = local.new()
    push_to_hub(model(), repo, token=local.token, private=True)
    with pytest.raises(LatrefError, match=f"{repo}: no such repository.*or it is private"):
        IterSudoRmRf.from_pretrained(repo)
    monkeypatch.setenv("HF_TOKEN", local.token)
    IterSudoRmRf.from_pretrained(repo)


@pytest.mark.parametrize(
    "name, words",
    [
        ("me/nobody-has-this", "no such repository"),
        ("not a repo", "no file of that name, and no repository id"),
        ("a/b/c", "no file of that name, and no repository id"),
        ("exp/model.pth", "no such file"),
    ],
)
def test_names_that_lead_nowhere(site, name, words):
    with pytest.raises(LatrefError, match=words) as caught:
        IterSudoRmRf.from_pretrained(name)
    assert "\n" not in str(caught.value) and name in str(caught.value)


def test_missing_revision_is_named(site):
    push_to_hub(model(), repo := site.new(), token=site.token)
    with pytest.raises(LatrefError, match=f"{repo}@v9: no such repository, revision"):
        IterSudoRmRf.from_pretrained(f"{repo}@v9")


@pytest.mark.parametrize("bad", ["name", "a/b/c", "a b/c", "../x", "me/"])
def test_repository_ids_are_checked_before_anything_is_done(bad, tmp_path):
    with pytest.raises(LatrefError, match="not a repository id"):
        push_to_hub(model(), bad, dry_run=True, folder=tmp_path / "out")
    assert not (tmp_path / "out").exists()
