"""The manifest of a dataset folder: how it was made, what is in it, what was skipped and why."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from ..errors import Failure, InputError
from ..utils import read_json
from .statistics import RunningStatistics

FILE = "manifest.json"


def configuration_hash(settings: dict) -> str:
    """A digest of JSON values that does not depend on their order; 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def require_same_settings(there: dict, now: dict, folder: str) -> None:
    """Refuse to mix what was made with different settings.

    Raises:
        InputError: `there` and `now` differ; the message shows where.
    """
    differing = [name for name in {**there, **now} if there.get(name) != now.get(name)]
    if differing:
        changes = ", ".join(f"{name} {there.get(name)!r} there, {now.get(name)!r} now" for name in differing)
        raise InputError(f"{folder}: was made with other settings ({changes}); choose another --out or remove it")


def summarize(records: Iterable[dict], settings: dict) -> dict:
    """The records of shards as one, in their order.

    Returns:
        `settings` and their `configuration` hash, number of `clips`, `rows`, `frames` (by column) and `seconds`,
        `failures` with the reasons, and `statistics` by column: count, mean and sum of squared deviations of each
        feature, which merge further.
    """
    manifest: dict = {
        "configuration": configuration_hash(settings),
        "settings": settings,
        "complete": False,
        "clips": 0,
        "rows": 0,
        "frames": {},
        "seconds": 0.0,
    }
    statistics: dict[str, RunningStatistics] = {}
    failures: list[Failure] = []
    for record in records:
        for name in ("clips", "rows", "seconds"):
            manifest[name] += record[name]
        for name, count in record["frames"].items():
            manifest["frames"][name] = manifest["frames"].get(name, 0) + count
        failures += record["failures"]
        for name, values in record["statistics"].items():
            part = RunningStatistics.from_dict(values)
            statistics[name] = statistics[name].merge(part) if name in statistics else part
    manifest["seconds"] = round(manifest["seconds"], 2)
    return manifest | {
        "failures": failures,
        "statistics": {name: part.as_dict() for name, part in statistics.items()},
    }


def read_statistics(folders: list[str], column: str) -> RunningStatistics | None:
    """Statistics of a feature column over dataset folders; None unless the manifest of each has them.

    Raises:
        InputError: the folders have features of different width.
    """
    total: RunningStatistics | None = None
    for folder in folders:
        path = Path(folder).expanduser() / FILE
        found = read_json(path).get("statistics", {}) if path.is_file() else {}
        if column not in found:
            return None
        part = RunningStatistics.from_dict(found[column])
        if total is not None and len(part.mean) != len(total.mean):
            raise InputError(
                f"{folder}: has {len(part.mean)} values per frame, {folders[0]} has {len(total.mean)}; extract both "
                "with the same checkpoint"
            )
        total = part if total is None else total.merge(part)
    return total


def read_speech_encoders(folders: list[str]) -> list[str]:
    """The speech encoders of which dataset folders have states, as their manifests name them."""
    found = []
    for folder in folders:
        path = Path(folder).expanduser() / FILE
        settings = read_json(path).get("settings", {}) if path.is_file() else {}
        if name := settings.get("speech_encoder"):
            layers = settings.get("speech_layers")
            found.append(name if layers is None else f"{name} ({layers} layers)")
    return sorted(set(found))


__all__ = ["configuration_hash", "read_speech_encoders", "read_statistics", "require_same_settings", "summarize"]
