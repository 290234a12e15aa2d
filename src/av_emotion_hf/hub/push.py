"""Pushing a checkpoint, or a folder that `extract` wrote, to the Hub."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, RepoCard, constants, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError, OfflineModeIsEnabled
from huggingface_hub.utils import build_hf_headers, get_session, validate_repo_id
from safetensors import SafetensorError, safe_open

from ..errors import InputError
from .cards import card_for, is_generated
from .remote_code import stage_remote_code

# what trainings leave behind to go on from
LEFT_OUT = ("checkpoints", "checkpoint-*", "runs", "training_args.bin", "*.partial", "*.tmp", ".*", "_*")
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib")
WRITTEN = (".json", ".md", ".py")  # what is completed on the way
# those of an earlier push go, and what a Trainer put there meanwhile
REPLACED = (".safetensors", ".safetensors.index.json", ".parquet", "training_args.bin")


@dataclass(frozen=True)
class Parcel:
    """What goes up.

    Attributes:
        kind: `model` or `dataset`.
        files: by their path in the repository.
        makes_card: whether the card is made here, and not one of the user's own.
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
    """Push a checkpoint as a model, or feature shards as a dataset, in one commit: the repository never holds half.

    The code that loads a checkpoint without this package goes with it, and a card where the folder has none of the
    user's own; one that was edited on the Hub stays. Weights and shards of an earlier push that are not in the folder
    any more are removed. Pushed again after it broke off, only what has not arrived yet is sent. `HF_ENDPOINT` says to
    which Hub.

    Args:
        folder: what a training verb, `save_pretrained` or `extract` wrote.
        repo: `NAME` or `USER/NAME`; made where it does not exist.
        private: whether a new repository is private.
        revision: branch to push to, made where it does not exist; `main` when left out.
        dry_run: list what would go up, and send nothing.
        license_name: for the card, as the Hub names it, such as `cc-by-4.0`.

    Returns:
        `repo`, `kind`, `revision`, `files` (`path` and `bytes` of each), `bytes`, and of a real push `commit`, `url`
        and `kept` (files that stay as they are on the Hub).

    Raises:
        InputError: the folder holds neither, its weights are not safetensors or not whole, nobody is logged in, the
            name belongs to something else, or the Hub refuses or cannot be reached.
    """
    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise InputError(f"{repo!r} is no name of a repository ({error}); give NAME or USER/NAME") from error
    if dry_run:
        with _parcel(Path(folder), repo, license_name) as parcel:
            return _report(parcel, repo, revision)
    api = HfApi()
    if get_token() is None:
        raise InputError(
            f"{repo}: nobody is logged in to {api.endpoint}; run `hf auth login`, or set HF_TOKEN to a token that may "
            "write"
        )
    with _hub_errors(repo, api.endpoint):
        repo = repo if "/" in repo else f"{api.whoami()['name']}/{repo}"
    with _parcel(Path(folder), repo, license_name) as parcel:
        with _hub_errors(repo, api.endpoint):
            commit, kept = _send(api, parcel, repo, private, revision)
        page = f"{api.endpoint}/{'datasets/' if parcel.kind == 'dataset' else ''}{repo}"
        return _report(parcel, repo, revision) | {"commit": commit, "url": page, "kept": kept}


def _report(parcel: Parcel, repo: str, revision: str | None) -> dict:
    files = parcel.listing()
    total = sum(file["bytes"] for file in files)
    return {"repo": repo, "kind": parcel.kind, "revision": revision or "main", "files": files, "bytes": total}


@contextmanager
def _parcel(folder: Path, repo: str, license_name: str | None) -> Iterator[Parcel]:
    """The files of a folder, with a copy of the small ones to which code and card are added."""
    kind = _kind(folder)
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    files = {name: path for name, path in files.items() if not _is_left_out(name)}
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
            raise InputError(f"{folder}: has a card of your own, and --license is for cards made here; write it there")
        files |= {path.relative_to(staged).as_posix(): path for path in staged.rglob("*") if path.is_file()}
        yield Parcel(kind, dict(sorted(files.items())), makes_card)


def _kind(folder: Path) -> str:
    if (folder / "config.json").is_file():
        return "model"
    if (folder / "manifest.json").is_file() and any((folder / "data").glob("*.parquet")):
        return "dataset"
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder; give one that a training verb or `extract` wrote")
    raise InputError(
        f"{folder}: holds neither a checkpoint (config.json) nor finished shards (manifest.json and data/*.parquet); "
        "give a folder that a training verb or `extract` wrote to its end"
    )


def _is_left_out(name: str) -> bool:
    return any(fnmatch(part, pattern) for part in name.split("/") for pattern in LEFT_OUT)


def _require_safetensors(folder: Path, files: dict[str, Path]) -> None:
    """Refuse pickles, which run code when they are loaded, and weights that are not whole."""
    for name in files:
        if name.endswith(PICKLES):
            raise InputError(
                f"{folder / name}: is a pickle, and only safetensors are pushed; remove it, or load the model and "
                "save it anew with save_pretrained"
            )
    index = files.get("model.safetensors.index.json")
    if index is not None:
        wanted = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    else:
        wanted = ["model.safetensors"]
    for name in wanted:
        if name not in files:
            raise InputError(f"{folder / name}: is missing; give a folder with all weights of the model")
        try:
            with safe_open(files[name], framework="pt"):
                pass
        except (SafetensorError, OSError) as error:
            raise InputError(f"{folder / name}: is damaged ({error}); copy or save the model anew") from error


def _send(api: HfApi, parcel: Parcel, repo: str, private: bool, revision: str | None) -> tuple[str, list]:
    """Make the repository and commit the files; gives the commit, and what stays as it is there."""
    api.create_repo(repo, private=private or None, repo_type=parcel.kind, exist_ok=True)
    if revision is not None:
        api.create_branch(repo, branch=revision, repo_type=parcel.kind, exist_ok=True)
    there = api.repo_info(repo, repo_type=parcel.kind, revision=revision)
    if private and not there.private:
        raise InputError(
            f"{repo}: exists and is public, and nothing was pushed; make it private on its page, or choose another "
            "name"
        )
    names = {file.rfilename for file in there.siblings}
    _require_free(api, parcel, repo, revision, names)
    is_kept = parcel.makes_card and "README.md" in names and _is_edited(api, parcel, repo, revision)
    kept = ["README.md"] if is_kept else []
    operations = [CommitOperationAdd(name, path) for name, path in parcel.files.items() if name not in kept]
    stale = sorted(name for name in names - parcel.files.keys() if name.endswith(REPLACED))
    operations += [CommitOperationDelete(name) for name in stale]
    with _uploads_that_it_knows(api, parcel, repo, revision):
        commit = api.create_commit(
            repo,
            operations,
            commit_message="Push with av-emotion",
            repo_type=parcel.kind,
            revision=revision,
            parent_commit=there.sha,  # what was looked at; refused when somebody else was faster
        )
    return commit.oid, kept


def _is_edited(api: HfApi, parcel: Parcel, repo: str, revision: str | None) -> bool:
    """Whether the card on the Hub has words that are not this package's; metadata alone are none."""
    found = api.hf_hub_download(repo, "README.md", repo_type=parcel.kind, revision=revision)
    card = Path(found).read_text(encoding="utf-8")
    return bool(RepoCard(card, ignore_metadata_errors=True).text.strip()) and not is_generated(card)


def _require_free(api: HfApi, parcel: Parcel, repo: str, revision: str | None, names: set[str]) -> None:
    """Refuse to write over something that is not an earlier push of the like."""
    if parcel.kind == "dataset":
        is_other = "manifest.json" not in names and any(name.endswith(".parquet") for name in names)
        holds = "another dataset"
    else:
        is_other, holds = False, ""
        if "config.json" in names:
            found = api.hf_hub_download(repo, "config.json", revision=revision)
            theirs, ours = (_model_type(Path(path)) for path in (found, parcel.files["config.json"]))
            is_other, holds = theirs != ours, f"a {theirs!r} model, and this is a {ours!r} one"
    if is_other:
        raise InputError(f"{repo}: the name is taken, it holds {holds}; choose another name")


def _model_type(config: Path) -> str:
    return json.loads(config.read_text(encoding="utf-8")).get("model_type", "unknown")


@contextmanager
def _uploads_that_it_knows(api: HfApi, parcel: Parcel, repo: str, revision: str | None) -> Iterator[None]:
    """Keep from Xet where the Hub does not know it; the client would insist on it."""
    before = constants.HF_HUB_DISABLE_XET
    if not before:
        url = f"{api.endpoint}/api/{parcel.kind}s/{repo}/xet-write-token/{revision or 'main'}"
        constants.HF_HUB_DISABLE_XET = _is_missing(url, api)
    try:
        yield
    finally:
        constants.HF_HUB_DISABLE_XET = before


def _is_missing(url: str, api: HfApi) -> bool:
    return get_session().get(url, headers=build_hf_headers(token=api.token)).status_code == 404


@contextmanager
def _hub_errors(repo: str, endpoint: str) -> Iterator[None]:
    """Turn what goes wrong between here and the Hub into one line that says what to do."""
    try:
        yield
    except InputError:
        raise
    except OfflineModeIsEnabled as error:
        raise InputError(f"{repo}: HF_HUB_OFFLINE is set, so nothing can be pushed; unset it") from error
    except (HTTPError, OSError, RuntimeError, ValueError) as error:
        cause = error
        while isinstance(cause, RuntimeError) and isinstance(cause.__cause__, Exception):
            cause = cause.__cause__  # uploads run in threads, which wrap what happened
        raise InputError(f"{repo}: {_explanation(cause, repo, endpoint)}") from error


def _explanation(error: Exception, repo: str, endpoint: str) -> str:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
    if isinstance(error, HfHubHTTPError) and error.response is not None:
        status, reason = error.response.status_code, error.server_message or reason
        if status == 401:
            return f"{endpoint} does not know the token ({reason}); run `hf auth login` anew, or set HF_TOKEN"
        if status in (402, 403, 404):
            return (
                f"{endpoint} refuses ({reason}); the token has to be one that may write to {repo.split('/')[0]}: "
                "`hf auth whoami` says whose it is"
            )
        if status in (409, 412):
            return f"somebody else has changed it in the meantime ({reason}); push again"
        if status < 500 and status not in (408, 429):
            return f"{endpoint} refuses what was sent ({reason}); mend that and push again"
    elif isinstance(error, ValueError):
        return f"{endpoint} refuses what was sent ({reason}); mend that and push again"
    return (
        f"the connection to {endpoint} broke off ({reason}), and nothing half is in the repository; push again: what "
        "has arrived is not sent twice"
    )


__all__ = ["push"]
