"""Upload and download through the real client over HTTP.

Against a small server on this machine, or against any hub named by ``LATREF_HUB_ENDPOINT`` and
``LATREF_HUB_TOKEN`` (with ``LATREF_HUB_USER``, default ``latref-test``); what needs a server that
misbehaves on demand is skipped there.
"""

import json
import os
import re
import subprocess
import sys
import uuid

import asteroid.utils.hub_utils
import huggingface_hub
import pytest
import torch
from asteroid.models import BaseModel
from huggingface_hub import HfApi, ModelCard, constants
from huggingface_hub.utils import _http

from asteroid_latref import IterSudoRmRf
from asteroid_latref.credits import hub_license
from asteroid_latref.data.licenses import WHAM_LICENSES, license_dict
from asteroid_latref.errors import LatrefError
from asteroid_latref.hub import CARD, CONFIG, WEIGHTS, push_to_hub, write_folder

from .hub_server import TOKEN, Hub

REMOTE = os.environ.get("LATREF_HUB_ENDPOINT")
WAV = torch.randn(2, 1, 4321, generator=torch.Generator().manual_seed(0))


class Site:
    """Where the tests upload to: an endpoint, a token, and fresh repository names."""

    def __init__(self, url, token, user, hub=None):
        self.url, self.token, self.user, self.hub = url, token, user, hub

    def new(self):
        return f"{self.user}/{uuid.uuid4().hex[:12]}"


@pytest.fixture
def site(monkeypatch, tmp_path):
    """A hub the client talks to, an empty cache, no token of the person who runs the tests."""
    monkeypatch.setattr(asteroid.utils.hub_utils, "CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no_token"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    if REMOTE:
        user = os.environ.get("LATREF_HUB_USER", "latref-test")
        point_client_to(monkeypatch, REMOTE.rstrip("/"))
        yield Site(REMOTE.rstrip("/"), os.environ["LATREF_HUB_TOKEN"], user)
        return
    # The client waits longer and longer between retries; here nothing gets better by waiting.
    monkeypatch.setattr(_http.time, "sleep", lambda seconds: None)
    with Hub() as hub:
        point_client_to(monkeypatch, hub.url)
        yield Site(hub.url, TOKEN, "me", hub)


def point_client_to(monkeypatch, url):
    """What setting HF_ENDPOINT before the start does; the command's test does just that."""
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    values = {"ENDPOINT": url, "HUGGINGFACE_CO_URL_TEMPLATE": template}
    old = {name: getattr(constants, name) for name in values}
    for module in [m for n, m in sys.modules.items() if n.startswith("huggingface_hub")]:
        for name, value in values.items():
            if vars(module).get(name) == old[name]:
                monkeypatch.setattr(module, name, value)


def validate(card):
    """The client's own check; before 2.0 the public one ignores the endpoint."""
    if int(huggingface_hub.__version__.split(".")[0]) < 2:
        HfApi(constants.ENDPOINT)._validate_yaml(content=str(card))
    else:
        card.validate()


@pytest.fixture
def local(site):
    if site.hub is None:
        pytest.skip("needs the server of the tests")
    return site


def model(seed=0, **args):
    torch.manual_seed(seed)
    sizes = dict(n_sub_blocks=1, bn_chan=8, hid_chan=16, n_filters=16, upsampling_depth=2)
    made = IterSudoRmRf(n_src=2, n_blocks=2, n_iters=2, exits="all", **(sizes | args))
    return made.eval()


def published(seed=0):
    """As the recipe's last stage writes it."""
    conf = model(seed).serialize()
    conf |= {"dataset": "WHAM", "task": "enh_single"}
    conf["licenses"] = WHAM_LICENSES["speech"] + WHAM_LICENSES["noise"]
    exits = [
        {"n_blocks": 1, "n_iters": [2], "si_sdr": 6.5, "si_sdr_imp": 5.123},
        {"n_blocks": 2, "n_iters": [2, 2], "si_sdr": 7.75, "si_sdr_imp": 6.375},
    ]
    conf["infos"]["final_metrics"] = {"si_sdr": 7.75, "si_sdr_imp": 6.375, "exits": exits}
    conf["infos"]["training_config"] = {"optim": {"lr": 1e-3}, "training": {"epochs": 200}}
    conf["infos"]["recipe_name"] = "egs/wham"
    return conf


@pytest.fixture
def publish_dir(tmp_path):
    folder = tmp_path / "publish_dir"
    folder.mkdir()
    torch.save(published(), folder / "model.pth")
    return folder


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
    again = push_to_hub(model(1), repo, token=site.token)  # nothing new: no commit
    assert first.commit != second.commit == again.commit
    side = push_to_hub(model(2), repo, token=site.token, revision="side")
    with torch.no_grad():
        for revision, seed in (("", 1), (f"@{first.commit}", 0), ("@main", 1), ("@side", 2)):
            loaded = IterSudoRmRf.from_pretrained(repo + revision).eval()
            assert torch.equal(loaded(WAV), model(seed)(WAV)), revision
    assert side.commit != second.commit
    if site.hub:
        assert [message for _, message, _ in site.hub.repos[repo].commits][1] == "better"


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
        timeout=120,
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


def test_private_repositories_need_the_token(site, monkeypatch):
    repo = site.new()
    push_to_hub(model(), repo, token=site.token, private=True)
    with pytest.raises(LatrefError, match=repo):
        IterSudoRmRf.from_pretrained(repo)
    monkeypatch.setenv("HF_TOKEN", site.token)
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


# ---- the folder and the card ------------------------------------------------------------------


def test_dry_run_writes_the_folder_and_asks_nobody(local, publish_dir, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shared = push_to_hub(publish_dir, "me/my-model", dry_run=True)
    assert (shared.folder.name, shared.url, local.hub.requests) == ("my-model", None, [])
    names = {path.name for path in shared.folder.iterdir()}
    assert names == {WEIGHTS, CONFIG, CARD, "LICENSE.md"}
    config = json.loads((shared.folder / CONFIG).read_text())
    assert config["model_args"] == model().get_model_args()
    assert config["outputs"] == ["s1", "noise"]
    torch.load(shared.folder / WEIGHTS, weights_only=True)
    push_to_hub(publish_dir, "me/my-model", dry_run=True)  # again: its own files are replaced
    (shared.folder / "notes.txt").write_text("mine")
    with pytest.raises(LatrefError, match="my-model: exists"):
        push_to_hub(publish_dir, "me/my-model", dry_run=True)


def test_card_is_valid_and_parses_back_to_the_same_figures(local, publish_dir, tmp_path):
    folder = write_folder(publish_dir, "me/my-model", tmp_path / "out")
    card = ModelCard.load(folder / CARD)
    validate(card)
    data = card.data
    assert (data.library_name, data.pipeline_tag) == ("asteroid", "audio-to-audio")
    assert {"asteroid", "audio", "audio-to-audio", "IterSudoRmRf"} <= set(data.tags)
    assert data.datasets == ["wham"] and data.model_name == "my-model"
    found = {(r.metric_name, r.metric_value) for r in data.eval_results}
    assert found == {
        ("SI-SDRi (dB)", 6.375),
        ("SI-SDR (dB)", 7.75),
        ("SI-SDRi (dB), 1 block(s)", 5.123),
    }
    assert data.license == "other" and "non-commercial" in data.license_name
    for words in (
        "import asteroid_latref",
        "| 1 | 2 | ",
        "| 5.12 |",
        "| 2 | 1, 1 | ",
        "not measured",
        "epochs: 200",
        "Non-commercial use only",
        "CSR-I (WSJ0) Complete",
        f"torch: {torch.__version__}",
    ):
        assert words in card.text


def test_card_of_a_bare_model_admits_what_it_does_not_know(local, tmp_path):
    folder = write_folder(model(), "me/bare", tmp_path / "out")
    card = ModelCard.load(folder / CARD)
    validate(card)
    assert card.data.license == "unknown" and card.data.eval_results is None
    for words in ("Not evaluated.", "Recipe: not recorded.", "licences of the training data were"):
        assert words in card.text


def test_infos_fill_gaps_only(tmp_path):
    extra = {"task": "sep_clean", "infos": {"recipe_name": "mine", "software_versions": "no"}}
    write_folder(model(), "me/bare", tmp_path / "out", extra)
    assert json.loads((tmp_path / "out" / CONFIG).read_text())["task"] == "sep_clean"
    text = (tmp_path / "out" / CARD).read_text()
    assert "Recipe: `mine`." in text and f"torch: {torch.__version__}" in text


def test_equal_models_are_equal_files(tmp_path):
    for name in ("a", "b"):
        write_folder(model(), "me/m", tmp_path / name)
    first, second = (sorted((tmp_path / name).iterdir()) for name in ("a", "b"))
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


def test_asteroids_own_models_can_be_shared_too(tmp_path):
    from asteroid.models import ConvTasNet

    net = ConvTasNet(n_src=2, n_filters=8, bn_chan=4, hid_chan=4, skip_chan=4, n_repeats=1)
    conf = net.serialize()
    folder = write_folder(conf, "me/conv", tmp_path / "out")
    assert "One: this model runs as it was trained." in (folder / CARD).read_text()


@pytest.mark.parametrize(
    "names, expected",
    [
        (["CC BY-SA 3.0"], "cc-by-sa-3.0"),
        (["CC BY 4.0", "CC-BY-SA 4.0 International"], "cc-by-sa-4.0"),
        (["CC BY-SA 3.0", "CC BY-SA 4.0"], "other"),
        (["CC BY-SA 3.0", "CC BY-NC 4.0"], "other"),
        (["Public Domain", "CC BY 4.0"], "cc-by-4.0"),
        (["House rules"], "other"),
        ([], "unknown"),
    ],
)
def test_licence_is_the_strictest_that_covers_all(names, expected):
    credits = [license_dict("t", "", "a", "", (n, ""), "NC" in n) for n in names]
    found = hub_license(credits)
    assert found["license"] == expected
    if expected == "other":
        assert ("non-commercial" in found["license_name"]) == any("NC" in n for n in names)
