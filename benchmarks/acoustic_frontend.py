"""The acoustic front-end against the truth, openSMILE and Praat: all figures with one command, as JSON.

    pip install -e ".[benchmark]"
    python benchmarks/acoustic_frontend.py

openSMILE's license allows research only; it is needed here and nowhere in the package.
"""

import argparse
import io
import json
import os
import platform
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # one thread in each of as many processes as there are cores

import numpy as np  # noqa: E402

CORPORA = Path(__file__).resolve().parents[1].parent / "shared" / "data"
RESULTS = Path(__file__).resolve().parent / "results" / "acoustic_frontend.json"
NAMES = ("ravdess_speech", "javased_speech")
TUNING_CLIPS = 200  # voicing threshold, silence and the width of the cycles' bell were chosen on these
MARGIN = 8  # frames at the ends of a synthetic signal that do not count


def read_corpus(folder: Path) -> list[dict]:
    """Rows with `audio` bytes and labels."""
    import pyarrow.parquet as pq

    rows = []
    for shard in sorted((folder / "data").glob("*.parquet")):
        rows += pq.read_table(shard).to_pylist()
    return rows


def decode(row: dict) -> np.ndarray:
    """Waveform (samples,) float32 of 16 kHz."""
    import soundfile

    waveform, rate = soundfile.read(io.BytesIO(row["audio"]["bytes"]), dtype="float32")
    if rate != 16000:
        raise ValueError(f"{rate} Hz; the corpora have 16000")
    return waveform


def our_descriptors(waveforms: list[np.ndarray]) -> list[dict[str, np.ndarray]]:
    """Our tables, voiced-only descriptors nan elsewhere, as those of the references are."""
    from av_emotion_hf.acoustics.descriptors import acoustic_descriptors
    from av_emotion_hf.models.descriptors_av_emotion import VOICED_ONLY

    tables = acoustic_descriptors(waveforms, 16000)
    for table in tables:
        table["voiced"] = table["voiced"] > 0
        table["defined"] = np.ones_like(table["voiced"])
        for name in set(VOICED_ONLY) & set(table):
            table[name] = np.where(table["voiced"] & (table[name] != 0), table[name].astype(np.float64), np.nan)
    return tables


def all_tools(waveform: np.ndarray) -> dict[str, dict]:
    """Tables of the two references."""
    from references import opensmile_descriptors, praat_descriptors

    return {"opensmile": opensmile_descriptors(waveform), "praat": praat_descriptors(waveform)}


def measure_truth() -> dict:
    """Errors on signals whose answers are known, per tool and group of signals."""
    from synthesis import cases

    signals = list(cases())
    waveforms = [case.waveform.astype(np.float32) for case in signals]
    errors: dict = {}
    for case, ours, waveform in zip(signals, our_descriptors(waveforms), waveforms, strict=True):
        for tool, table in ({"ours": ours} | all_tools(waveform)).items():
            inner = slice(MARGIN, len(ours["time"]) - MARGIN)
            voiced = np.asarray(table["voiced"])[inner]
            for name, truth in case.truth.items():
                column = "f0_semitone" if name == "f0_hz" else name
                if column not in table:
                    continue
                values = np.asarray(table[column], dtype=np.float64)[inner]
                if name == "voiced":
                    error = 100 * voiced.mean()
                elif name == "f0_hz":
                    truth = truth[::160][inner] if np.ndim(truth) else truth
                    error = 100 * np.nanmedian(np.abs(27.5 * 2 ** (values / 12) / truth - 1)) if voiced.any() else None
                else:
                    # the set perturbation is a mean over the signal; the others are the same in every frame
                    middle = np.nanmean if name.startswith(("jitter", "shimmer", "hnr")) else np.nanmedian
                    value = middle(values) if np.isfinite(values).any() else np.nan
                    relative = name.startswith(("jitter", "shimmer", "f1", "f2", "f3"))
                    error = 100 * abs(value / truth - 1) if relative else abs(value - truth)
                    error = None if np.isnan(error) else error
                errors.setdefault(case.group, {}).setdefault(name, {}).setdefault(tool, []).append(error)
    summary = {}
    for group, by_name in errors.items():
        for name, by_tool in by_name.items():
            unit = "dB" if name.endswith("_db") and not name.startswith("shimmer") else "%"
            summary[f"{group}: {name}, error in {unit}"] = {
                tool: {
                    "signals": len(values),
                    "not found": sum(v is None for v in values),
                    "mean": round(float(np.mean([v for v in values if v is not None] or [np.nan])), 3),
                    "worst": round(float(np.max([v for v in values if v is not None] or [np.nan])), 3),
                }
                for tool, values in by_tool.items()
            }
    return summary


def _correlation(pairs: list[tuple[np.ndarray, np.ndarray]]) -> float | None:
    if not pairs:
        return None
    a, b = (np.concatenate(side).astype(np.float64) for side in zip(*pairs, strict=True))
    usable = np.isfinite(a) & np.isfinite(b)
    if usable.sum() < 10 or a[usable].std() == 0 or b[usable].std() == 0:
        return None
    return round(float(np.corrcoef(a[usable], b[usable])[0, 1]), 4)


def measure_agreement(clips: dict[str, list[np.ndarray]]) -> dict:
    """Pearson r per descriptor between each two tools, pitch errors and voicing, per corpus."""
    from av_emotion_hf.models.descriptors_av_emotion import EGEMAPS_NAMES

    result = {}
    for corpus, waveforms in clips.items():
        with ProcessPoolExecutor(os.cpu_count()) as pool:
            references = list(pool.map(all_tools, waveforms, chunksize=4))
        tables = [{"ours": a} | b for a, b in zip(our_descriptors(waveforms), references, strict=True)]
        table: dict = {}
        for pair in (("ours", "opensmile"), ("ours", "praat"), ("opensmile", "praat")):
            both = [(t[pair[0]], t[pair[1]]) for t in tables]
            defined = [a["defined"] & b["defined"] for a, b in both]
            agree = np.concatenate([(a["voiced"] == b["voiced"])[d] for (a, b), d in zip(both, defined, strict=True)])
            steps = np.concatenate([a["f0_semitone"] - b["f0_semitone"] for a, b in both])
            gross = np.abs(2 ** (steps[np.isfinite(steps)] / 12) - 1) > 0.2
            entry = {"voicing agreement": round(float(agree.mean()), 4), "gross pitch errors": round(gross.mean(), 4)}
            entry["frames both voiced"] = int(gross.size)
            entry["r"] = {
                name: _correlation([(a[name], b[name]) for a, b in both])
                for name in EGEMAPS_NAMES
                if name in both[0][0] and name in both[0][1]
            }
            table["-".join(pair)] = entry
        result[corpus] = {"clips": len(waveforms), "seconds": round(sum(map(len, waveforms)) / 16000, 1), **table}
    return result


def _functionals(waveform: np.ndarray) -> list[float]:
    from references import opensmile_functionals

    return list(opensmile_functionals(waveform).values())


def _uar(features: np.ndarray, labels, speakers, folds, per_speaker: bool) -> float:
    """Mean over the folds of the unweighted average recall of an RBF-SVM (C = 10), in %."""
    from sklearn.metrics import recall_score
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    if per_speaker:
        features = features.copy()
        for speaker in set(speakers):
            of = speakers == speaker
            features[of] = StandardScaler().fit_transform(features[of])
    scores = []
    for fold in folds:
        test = np.isin(speakers, fold)
        scaler = StandardScaler().fit(features[~test])
        machine = SVC(C=10).fit(scaler.transform(features[~test]), labels[~test])
        scores.append(recall_score(labels[test], machine.predict(scaler.transform(features[test])), average="macro"))
    return round(100 * float(np.mean(scores)), 2)


def measure_use(corpora: Path) -> dict:
    """UAR of the 88 functionals, ours and openSMILE's, with the same machine on the same folds."""
    from av_emotion_hf.acoustics.descriptors import acoustic_functionals

    result = {}
    for corpus in NAMES:
        rows = read_corpus(corpora / corpus)
        waveforms = [decode(row) for row in rows]
        labels, speakers = (np.array([row[key] for row in rows]) for key in ("emotion", "speaker"))
        repetition = np.array([row["repetition"] for row in rows])
        folds = [[speaker] for speaker in sorted(set(speakers))]
        subsets = {"repetition 1": [1], "repetitions 1-2": [1, 2], "all": [1, 2, 3, 4]}
        if corpus == "ravdess_speech":
            folds, subsets = json.loads((corpora / "folds.json").read_text())["ravdess"], {"all": [1, 2]}
        with ProcessPoolExecutor(os.cpu_count()) as pool:
            theirs = np.array(list(pool.map(_functionals, waveforms, chunksize=8)))
        ours = np.array([list(values.values()) for values in acoustic_functionals(waveforms, 16000)])
        for subset, chosen in subsets.items():
            of = np.isin(repetition, chosen)
            for per_speaker in (False, True):
                title = f"{corpus}, {subset}, {'per speaker' if per_speaker else 'over the training part'}"
                result[title] = {
                    tool: _uar(np.nan_to_num(values[of]), labels[of], speakers[of], folds, per_speaker)
                    for tool, values in (("ours", ours), ("opensmile", theirs))
                }
    return result


def work(tool: str, corpora: Path, share: int, shares: int) -> None:
    """What one process of the speed measurement does: read its share of the files, describe them, say how long."""
    rows = [row for corpus in NAMES for row in read_corpus(corpora / corpus)][share::shares]
    waveforms = [decode(row) for row in rows]
    if tool == "opensmile":
        import opensmile  # and nothing of ours, which would cost it time

        smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.LowLevelDescriptors)

        def describe(batch):
            return [smile.process_signal(waveform, 16000) for waveform in batch]

    else:
        from av_emotion_hf.acoustics.descriptors import acoustic_descriptors

        def describe(batch):
            return acoustic_descriptors(batch, 16000, ("egemaps",))

    if tool == "floor":
        describe = _transforms
    describe(waveforms[:16])  # both are warm when the clock starts
    start = time.perf_counter()
    describe(waveforms)
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "audio": sum(map(len, waveforms)) / 16000}))


def _transforms(waveforms: list[np.ndarray]) -> None:
    """The two transforms of every frame, and nothing else."""
    import torch

    for waveform in waveforms:
        signal = torch.nn.functional.pad(torch.from_numpy(waveform), (480, 480))
        for length, size in ((320, 512), (960, 1280)):
            for frames in signal.unfold(0, length, 160).split(512):
                torch.fft.rfft(frames, n=size)


def measure_speed(corpora: Path, rounds: int) -> dict:
    """Seconds of audio per second, the tools in turns over the same files, one process per core."""
    cores = os.cpu_count()
    runs: dict = {}
    for _ in range(rounds):
        for tool in ("opensmile", "ours", "floor"):
            start = time.perf_counter()
            command = [sys.executable, __file__, "--corpora", str(corpora), "--work", tool]
            workers = [
                subprocess.Popen([*command, f"{i}/{cores}"], stdout=subprocess.PIPE, text=True) for i in range(cores)
            ]
            answers = [json.loads(worker.communicate()[0].splitlines()[-1]) for worker in workers]
            whole = time.perf_counter() - start
            audio = sum(answer["audio"] for answer in answers)
            runs.setdefault(tool, []).append(
                {
                    "whole program": round(audio / whole, 1),
                    "computation": round(audio / max(answer["seconds"] for answer in answers), 1),
                }
            )
    best = {tool: {kind: max(run[kind] for run in each) for kind in each[0]} for tool, each in runs.items()}
    return {
        "processes": cores,
        "seconds of audio": round(audio, 1),
        "best, seconds of audio per second": best,
        "ours over opensmile": {k: round(best["ours"][k] / best["opensmile"][k], 2) for k in best["ours"]},
        "share of the transforms": round(best["ours"]["computation"] / best["floor"]["computation"], 3),
        "runs": runs,
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, default=CORPORA, help="folder with the two corpora and folds.json")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--clips", type=int, default=200, help="clips of each corpus for the agreement")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of the speed measurement")
    parser.add_argument("--parts", nargs="+", default=["truth", "agreement", "use", "speed"])
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        tool, share = arguments.work
        work(tool, arguments.corpora, *map(int, share.split("/")))
        return
    import torch

    torch.set_num_threads(1)
    report = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    report["machine"] = {"cores": os.cpu_count(), "python": platform.python_version(), "torch": torch.__version__}
    if "truth" in arguments.parts:
        report["truth"] = measure_truth()
    if "agreement" in arguments.parts:
        tuning, draw = np.random.default_rng(0), np.random.default_rng(1)
        clips = {}
        for corpus in NAMES:
            rows = read_corpus(arguments.corpora / corpus)
            known = tuning.permutation(len(rows))[:TUNING_CLIPS]
            order = [i for i in draw.permutation(len(rows)) if i not in known]
            clips[corpus] = [decode(rows[i]) for i in order[: arguments.clips]]
        report["agreement"] = measure_agreement(clips)
        report["agreement"]["clips"] = (
            f"drawn with seed 1, without the {TUNING_CLIPS} of seed 0 that tuned the settings"
        )
    if "use" in arguments.parts:
        report["use"] = measure_use(arguments.corpora)
    if "speed" in arguments.parts:
        report["speed"] = measure_speed(arguments.corpora, arguments.rounds)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
