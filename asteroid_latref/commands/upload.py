"""``latref upload``: a model to the Hugging Face hub, or the folder that would go there."""

import argparse
import sys

import huggingface_hub

from ..hub import push_to_hub
from .common import add_command, print_json

DOC = """Share a model on the Hugging Face hub.
Weights, configuration and card go there in one commit.
Without a token (hf auth login, HF_TOKEN or --token) only the folder is written, to look at."""

EXAMPLE = """  latref upload exp/demo/publish_dir user/my-model --dry-run
  latref upload exp/demo/publish_dir user/my-model"""


def add_to(commands: argparse._SubParsersAction) -> None:
    """Adds the command to ``latref``."""
    parser = add_command(commands, "upload", DOC, EXAMPLE, run)
    parser.add_argument(
        "source", metavar="SOURCE", help="publish folder (stage 5 of the recipe) or model file"
    )
    parser.add_argument("repo_id", metavar="USER/NAME", help="repository; made if it is not there")
    parser.add_argument("--private", action="store_true", help="make a new repository private")
    parser.add_argument("--revision", metavar="BRANCH", help="branch to commit to (default: main)")
    parser.add_argument("--token", help="default: that of hf auth login, or HF_TOKEN")
    parser.add_argument("--message", metavar="TEXT", help="of the commit")
    parser.add_argument(
        "--folder", metavar="DIR", help="keep what is sent there (--dry-run: default ./NAME)"
    )
    parser.add_argument("--dry-run", action="store_true", help="write the folder, send nothing")
    parser.add_argument("--json", action="store_true", help="print what was done as JSON")


def run(args: argparse.Namespace) -> int:
    """Uploads, or writes the folder."""
    dry_run = args.dry_run
    if not dry_run and not (args.token or huggingface_hub.get_token()):
        dry_run = True
        print("no token, so nothing is sent: a dry run (hf auth login gives one)", file=sys.stderr)
    shared = push_to_hub(
        args.source,
        args.repo_id,
        private=args.private,
        revision=args.revision,
        token=args.token,
        dry_run=dry_run,
        folder=args.folder,
        message=args.message,
    )
    if args.json:
        kept = None if shared.folder is None else str(shared.folder)
        print_json({"folder": kept, "url": shared.url, "commit": shared.commit})
    elif shared.url is None:
        print(f"written: {shared.folder} (not sent)")
    else:
        print(f"uploaded: {shared.url}")
    return 0
