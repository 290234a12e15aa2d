"""Pushing a checkpoint, or a folder that `extract` wrote, to the Hub."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, RepoCard, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError, OfflineModeIsEnabled
from huggingface_hub.utils import validate_repo_id
from safetensors import SafetensorError, safe_open

from ..errors import InputError
from ..utils import read_json
from .cards import card_for, is_generated
from .remote_code import stage_remote_code

# what training leaves behind in order to resume
SKIPPED = ("checkpoints", "checkpoint-*", "runs", "training_args.bin", "*.partial", "*.tmp", ".*", "_*")
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib")
WRITTEN = (".json", ".md", ".py")  # what is completed on the way
# files of an earlier push that are removed, and what a Trainer put there in the meantime
REPLACED = (".safetensors", ".safetensors.index.json", ".parquet", "training_args.bin")


@dataclass(frozen=True)
class Upload:
    """What is pushed.

    Attributes:
        kind: `model` or `dataset`.
        files: by their path in the repository.
        makes_card: whether the card is generated here, and not written by the user.
    """

    kind: str
    files: dict[str, Path]
    makes_card: bool

    def listing(self) -> list[dict]:
        """Path and size in bytes of each file."""
        return [{"path": name, "bytes": path.stat().st_size} for name, path in self.files.items()]


def push(
    folder: str | Path,
    repo: str,
    private: bool = False,
    revision: str | None = None,
    dry_run: bool = False,
    license_name: str | None = None,
) -> dict:
    """Push a checkpoint as a model, or feature shards as a dataset, in one commit: the repository is never half done.

    The code that loads a checkpoint without this package is included, and a generated card unless the folder has one
    of the user's own; a card that was edited on the Hub stays. Weights and shards of an earlier push that are no
    longer in the folder are removed. If a push is interrupted, the next one sends only what has not arrived yet.
    `HF_ENDPOINT` chooses the Hub.

    Args:
        folder: what a training command, `save_pretrained` or `extract` wrote.
        repo: `NAME` or `USER/NAME`; created if it does not exist.
        private: whether a new repository is private.
        revision: branch to push to, created if it does not exist; `main` by default.
        dry_run: list what would be pushed, and send nothing.
        license_name: for the card, as the Hub names it, such as `cc-by-4.0`.

    Returns:
        `repo`, `kind`, `revision`, `files` (`path` and `bytes` of each), `bytes`, and of a real push `commit`, `url`
        and `kept` (files that stay as they are on the Hub).

    Raises:
        InputError: the folder contains neither, its weights are not safetensors or are damaged, no token is set, the
            name belongs to something else, or the Hub refuses or cannot be reached.
    """
    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise InputError(f"{repo!r} is not a name of a repository ({error}); use NAME or USER/NAME") from error
    if dry_run:
        with _upload(Path(folder), repo, license_name) as upload:
            return _report(upload, repo, revision)
    api = HfApi()
    if get_token() is None:
        raise InputError(
            f"{repo}: not logged in to {api.endpoint}; run `hf auth login`, or set HF_TOKEN to a token with write "
            "access"
        )
    with _hub_errors(repo, api.endpoint):
        repo = repo if "/" in repo else f"{api.whoami()['name']}/{repo}"
    with _upload(Path(folder), repo, license_name) as upload:
        with _hub_errors(repo, api.endpoint):
            commit, kept = _send(api, upload, repo, private, revision)
        page = f"{api.endpoint}/{'datasets/' if upload.kind == 'dataset' else ''}{repo}"
        return _report(upload, repo, revision) | {"commit": commit, "url": page, "kept": kept}


def _report(upload: Upload, repo: str, revision: str | None) -> dict:
    files = upload.listing()
    total = sum(file["bytes"] for file in files)
    return {"repo": repo, "kind": upload.kind, "revision": revision or "main", "files": files, "bytes": total}


@contextmanager
def _upload(folder: Path, repo: str, license_name: str | None) -> Iterator[Upload]:
    """The files of a folder, with a copy of the small ones to which code and card are added.

    The large ones stay where they are, so that `HfApi.upload_folder`, which knows one folder, does not fit.
    """
    kind = _kind(folder)
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    files = {name: path for name, path in files.items() if not _is_skipped(name)}
    if kind == "model":
        _require_safetensors(folder, files)
    with tempfile.TemporaryDirectory() as scratch:
        staged = Path(scratch)
        for name, path in files.items():
            if name.endswith(WRITTEN):
                (staged / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, staged / name)
        if kind == "model":
            stage_remote_code(staged)
        own = staged / "README.md"
        makes_card = not own.is_file() or is_generated(own.read_text(encoding="utf-8"))
        if makes_card:
            card = card_for(staged, repo, license_name=license_name)
            own.write_text(card, encoding="utf-8")
        elif license_name is not None:
            raise InputError(
                f"{folder}: has a card of your own, and --license is for generated cards; write the license there"
            )
        files |= {path.relative_to(staged).as_posix(): path for path in staged.rglob("*") if path.is_file()}
        yield Upload(kind, dict(sorted(files.items())), makes_card)


def _kind(folder: Path) -> str:
    if (folder / "config.json").is_file():
        return "model"
    if (folder / "manifest.json").is_file() and any((folder / "data").glob("*.parquet")):
        return "dataset"
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder; give one that a training command or `extract` wrote")
    raise InputError(
        f"{folder}: contains neither a checkpoint (config.json) nor finished shards (manifest.json and "
        "data/*.parquet); give a folder that a training command or `extract` has finished"
    )


def _is_skipped(name: str) -> bool:
    return any(fnmatch(part, pattern) for part in name.split("/") for pattern in SKIPPED)


def _require_safetensors(folder: Path, files: dict[str, Path]) -> None:
    """Refuse pickles, which run code when they are loaded, and weights that are missing or damaged."""
    for name in files:
        if name.endswith(PICKLES):
            raise InputError(
                f"{folder / name}: is a pickle, and only safetensors are pushed; remove it, or load the model and "
                "save it again with save_pretrained"
            )
    index = files.get("model.safetensors.index.json")
    if index is not None:
        wanted = sorted(set(read_json(index)["weight_map"].values()))
    else:
        wanted = ["model.safetensors"]
    for name in wanted:
        if name not in files:
            raise InputError(f"{folder / name}: is missing; give a folder with all weights of the model")
        try:
            with safe_open(files[name], framework="pt"):
                pass
        except (SafetensorError, OSError) as error:
            raise InputError(f"{folder / name}: is damaged ({error}); copy or save the model again") from error


def _send(api: HfApi, upload: Upload, repo: str, private: bool, revision: str | None) -> tuple[str, list[str]]:
    """Create the repository and commit the files; returns the commit, and the files that stay as they are there."""
    api.create_repo(repo, private=private or None, repo_type=upload.kind, exist_ok=True)
    if revision is not None:
        api.create_branch(repo, branch=revision, repo_type=upload.kind, exist_ok=True)
    there = (api.dataset_info if upload.kind == "dataset" else api.model_info)(repo, revision=revision)
    if private and not there.private:
        raise InputError(
            f"{repo}: exists and is public, and nothing was pushed; make it private on its page, or choose another "
            "name"
        )
    names = {file.rfilename for file in there.siblings or ()}
    _require_free(api, upload, repo, revision, names)
    is_kept = upload.makes_card and "README.md" in names and _is_edited(api, upload, repo, revision)
    kept = ["README.md"] if is_kept else []
    operations: list[CommitOperationAdd | CommitOperationDelete] = [
        CommitOperationAdd(name, path) for name, path in upload.files.items() if name not in kept
    ]
    stale = sorted(name for name in names - upload.files.keys() if name.endswith(REPLACED))
    operations += [CommitOperationDelete(name) for name in stale]
    commit = api.create_commit(
        repo,
        operations,
        commit_message="Push with av-emotion",
        repo_type=upload.kind,
        revision=revision,
        parent_commit=there.sha,  # what was checked here; the Hub refuses if somebody else was faster
    )
    return commit.oid, kept


def _is_edited(api: HfApi, upload: Upload, repo: str, revision: str | None) -> bool:
    """Whether the card on the Hub has text that is not this package's; metadata alone is not text."""
    found = api.hf_hub_download(repo, "README.md", repo_type=upload.kind, revision=revision)
    card = Path(found).read_text(encoding="utf-8")
    return bool(RepoCard(card, ignore_metadata_errors=True).text.strip()) and not is_generated(card)


def _require_free(api: HfApi, upload: Upload, repo: str, revision: str | None, names: set[str]) -> None:
    """Refuse to overwrite something that is not an earlier push of the same kind."""
    if upload.kind == "dataset":
        is_other = "manifest.json" not in names and any(name.endswith(".parquet") for name in names)
        holds = "another dataset"
    else:
        is_other, holds = False, ""
        if "config.json" in names:
            found = api.hf_hub_download(repo, "config.json", revision=revision)
            theirs, ours = (_model_type(Path(path)) for path in (found, upload.files["config.json"]))
            is_other, holds = theirs != ours, f"a {theirs!r} model, and this is a {ours!r} one"
    if is_other:
        raise InputError(f"{repo}: the name is taken, it contains {holds}; choose another name")


def _model_type(config: Path) -> str:
    return read_json(config).get("model_type", "unknown")


@contextmanager
def _hub_errors(repo: str, endpoint: str) -> Iterator[None]:
    """Turn errors of the Hub and of the connection to it into one line that says what to do."""
    try:
        yield
    except InputError:
        raise
    except OfflineModeIsEnabled as error:
        raise InputError(f"{repo}: HF_HUB_OFFLINE is set, so nothing can be pushed; unset it") from error
    except (HTTPError, OSError, RuntimeError, ValueError) as error:
        cause: Exception = error
        while isinstance(cause, RuntimeError) and isinstance(cause.__cause__, Exception):
            cause = cause.__cause__  # uploads run in threads, which wrap the error
        raise InputError(f"{repo}: {_explanation(cause, repo, endpoint)}") from error


def _explanation(error: Exception, repo: str, endpoint: str) -> str:
    if "xet-write-token" in str(error) and "404 Not Found" in str(error):
        return f"{endpoint} does not support Xet uploads; set HF_HUB_DISABLE_XET=1 and push again"
    reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
    if isinstance(error, HfHubHTTPError) and error.response is not None:
        status, reason = error.response.status_code, error.server_message or reason
        if status == 401:
            return f"{endpoint} does not know the token ({reason}); run `hf auth login` again, or set HF_TOKEN"
        if status in (402, 403, 404):
            return (
                f"{endpoint} refuses ({reason}); the token needs write access to {repo.split('/')[0]}: "
                "`hf auth whoami` says whose it is"
            )
        if status in (409, 412):
            return f"somebody else has changed it in the meantime ({reason}); push again"
        if status < 500 and status not in (408, 429):
            return f"{endpoint} rejects the upload ({reason}); fix that and push again"
    elif isinstance(error, ValueError):
        return f"{endpoint} rejects the upload ({reason}); fix that and push again"
    return (
        f"the connection to {endpoint} was interrupted ({reason}), and the repository is unchanged; push again to "
        "resume: files that have arrived are not sent again"
    )


__all__ = ["push"]
