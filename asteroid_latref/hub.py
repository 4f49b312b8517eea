"""Sharing models: a folder with weights, configuration and card, uploaded as one commit."""

import io
import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import huggingface_hub
import torch
from asteroid.models.base_models import BaseModel
from huggingface_hub import HfApi

from .card import make_card
from .errors import LatrefError
from .experiment import without_folders
from .files import atomic_dir, write_json
from .hub_errors import hub_error
from .models.base import LatentRefinementModel
from .models.serialization import load_conf, model_class_of, plain
from .profile import profile_model
from .separate import slots_of

#: The name under which Asteroid looks for weights on the hub.
WEIGHTS = "pytorch_model.bin"
CONFIG = "config.json"
CARD = "README.md"
LICENSE = "LICENSE.md"


@dataclass(frozen=True)
class Shared:
    """What :func:`push_to_hub` did.

    Attributes:
        folder: where the files lie; None if they were only uploaded.
        url: of the commit; None for a dry run.
        commit: its id; None for a dry run.
    """

    folder: Path | None
    url: str | None = None
    commit: str | None = None


def push_to_hub(
    source: str | os.PathLike[str] | Mapping[str, Any] | BaseModel,
    repo_id: str,
    *,
    private: bool = False,
    revision: str | None = None,
    token: str | None = None,
    dry_run: bool = False,
    folder: str | os.PathLike[str] | None = None,
    infos: Mapping[str, Any] | None = None,
    message: str | None = None,
) -> Shared:
    """Uploads a model to the Hugging Face hub, in one commit, all or nothing.

    Args:
        source: what the recipe's last stage made (a folder with ``model.pth``), a file, the dict of
            ``serialize``, or a model.
        repo_id: ``user/name``; made if it does not exist.
        private: make a new repository private.
        revision: branch to commit to, made if it does not exist. Default: ``main``.
        token: access token with write permission. Default: the one ``hf auth login`` stored, or
            ``HF_TOKEN``.
        dry_run: only write the folder; nothing is sent and no token is needed.
        folder: keep the files there; it may exist if it holds nothing else. Default for a dry
            run: ``./<name>``; otherwise a temporary folder.
        infos: entries to add to the card's source where ``source`` lacks them: ``dataset``,
            ``task``, ``licenses``, and in ``infos`` ``final_metrics`` and ``training_config``.
        message: of the commit.

    Raises:
        LatrefError: nothing to share in ``source``, no token, a token that may not write, or a
            connection that broke. Nothing of a broken upload is visible; repeat it.
    """
    name = check_repo_id(repo_id)
    if not dry_run and (token := token or huggingface_hub.get_token()) is None:
        raise LatrefError(
            f"{repo_id}: no token to upload with; log in (hf auth login), set HF_TOKEN, or look at "
            "the result first (--dry-run)"
        )
    if folder is None and dry_run:
        folder = name
    with ExitStack() as stack:
        if folder is None:
            parent = stack.enter_context(tempfile.TemporaryDirectory())
            made = write_folder(source, repo_id, Path(parent) / name, infos)
        else:
            made = write_folder(source, repo_id, folder, infos)
        if dry_run:
            return Shared(made)
        url, commit = _upload(made, repo_id, private, revision, token, message)
        return Shared(made if folder is not None else None, url, commit)


def write_folder(
    source: str | os.PathLike[str] | Mapping[str, Any] | BaseModel,
    repo_id: str,
    folder: str | os.PathLike[str],
    infos: Mapping[str, Any] | None = None,
) -> Path:
    """Writes what the hub will hold: weights, ``config.json``, the card, and a licence if needed.

    Args and errors are those of :func:`push_to_hub`.
    """
    folder = Path(folder)
    ours = {WEIGHTS, CONFIG, CARD, LICENSE}
    if folder.exists() and not (folder.is_dir() and {p.name for p in folder.iterdir()} <= ours):
        raise LatrefError(f"{folder}: exists; name another folder (--folder) or remove it")
    conf = _with_infos(_conf_of(source), infos or {})
    model = _instance(conf)
    points = profile_model(model, seconds=1.0, repeats=0) if _has_points(model) else []
    slots, _ = slots_of(model)
    card = make_card(conf, repo_id, slots, points)
    # Saved from memory: torch writes the file's name into the file, and equal models should be
    # equal files.
    buffer = io.BytesIO()
    torch.save(conf, buffer)
    with atomic_dir(folder) as tmp:
        (tmp / WEIGHTS).write_bytes(buffer.getbuffer())
        write_json(tmp / CONFIG, _config(conf, slots))
        (tmp / CARD).write_text(str(card), encoding="utf-8")
        if card.data.to_dict().get("license") == "other":
            note = str(card.text).split("## Licence\n\n")[1].split("\n## ")[0]
            (tmp / LICENSE).write_text(note.strip() + "\n", encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)  # what an earlier run wrote there
    return folder


def check_repo_id(repo_id: str) -> str:
    """The name in ``user/name``.

    Raises:
        LatrefError: it is none the hub accepts.
    """
    try:
        huggingface_hub.utils.validate_repo_id(repo_id)
    except ValueError as err:
        raise LatrefError(f"{repo_id}: not a repository id; 'user/name' is needed") from err
    user, _, name = repo_id.partition("/")
    if not user or not name:
        raise LatrefError(f"{repo_id}: not a repository id; 'user/name' is needed")
    return name


def _conf_of(source: Any) -> dict[str, Any]:
    if isinstance(source, BaseModel):
        source = source.serialize()
    elif not isinstance(source, Mapping) and not Path(source).exists():
        raise LatrefError(f"{source}: no such file or folder; the recipe's stage 5 makes one")
    conf: dict[str, Any] = plain(load_conf(source))
    return conf


def _with_infos(conf: dict[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """``conf`` with what it lacks taken from ``more``; its own entries stay."""
    added = plain({k: v for k, v in more.items() if k != "infos"})
    infos = {**plain(more.get("infos") or {}), **(conf.get("infos") or {})}
    if "training_config" in infos:
        infos["training_config"] = without_folders(infos["training_config"])
    return {**added, **conf, "infos": infos}


def _instance(conf: dict[str, Any]) -> Any:
    model_class = model_class_of(conf, "the model")
    if issubclass(model_class, LatentRefinementModel):
        return model_class.from_pretrained(conf).eval()
    copied = {**conf, "model_args": dict(conf["model_args"])}  # Asteroid writes into it
    model = BaseModel.from_pretrained(copied).eval()
    model.task = conf.get("task")
    return model


def _has_points(model: Any) -> bool:
    return isinstance(model, LatentRefinementModel)


def _config(conf: Mapping[str, Any], slots: tuple[str, ...]) -> dict[str, Any]:
    """What a program can learn without loading the weights."""
    versions = (conf["infos"] or {}).get("software_versions") or {}
    return {
        "library_name": "asteroid",
        "model_name": conf["model_name"],
        "model_args": conf["model_args"],
        "outputs": list(slots),
        "task": conf.get("task"),
        "dataset": conf.get("dataset"),
        "software_versions": versions,
    }


def _upload(
    folder: Path,
    repo_id: str,
    private: bool,
    revision: str | None,
    token: str | None,
    message: str | None,
) -> tuple[str, str]:
    api = HfApi(endpoint=huggingface_hub.constants.ENDPOINT, token=token)
    names = {path.name for path in folder.iterdir()}
    try:
        api.create_repo(repo_id, private=private or None, exist_ok=True)
        if revision is not None:
            api.create_branch(repo_id, branch=revision, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repo_id,
            folder_path=folder,
            revision=revision,
            commit_message=message or f"Add {folder.name}",
        )
        held = {f.rfilename for f in api.model_info(repo_id, revision=revision).siblings or []}
    except Exception as err:  # which one a broken connection raises depends on the client's version
        raise hub_error(repo_id, err) from err
    if held and (missing := names - held):
        raise LatrefError(f"{repo_id}: the hub lacks {', '.join(sorted(missing))}; upload it again")
    return str(commit.commit_url), str(commit.oid)
