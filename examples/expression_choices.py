"""Score several expression recognizers on the same images, and gather what each was trained with into one JSON file.

    python examples/expression_choices.py DATASET OUT.json RUN [RUN ...] [--split test] [--label-column emotion]

Each RUN is a folder that `av-emotion train-expression` wrote; its settings and validation scores come from its
`run.json`, the test scores from `evaluate`. Runs that are in OUT.json already are kept, or replaced by new ones of
the same name.
"""

import argparse
import json
from pathlib import Path

from collect_results import kept, write_json

from av_emotion_hf import evaluate, open_dataset


def result(run: Path, dataset: str, split: str, label_column: str) -> dict:
    """Settings and costs of one run, its scores on its validation images, and on those of the test."""
    record = kept(json.loads((run / "run.json").read_text(encoding="utf-8")))
    protocol = {"dataset": Path(dataset).name, "split": split}
    rows = open_dataset(dataset, split)
    test = evaluate(str(run), rows, label_column=label_column, batch_size=64, protocol=protocol)
    scores = record.pop("scores")
    validation = {name: scores.get(f"validation_{name}") for name in ("war", "uar", "macro_f1")}
    return record | {"validation": validation, "test": test}


def main() -> None:
    """Write the results by the name of the run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset")
    parser.add_argument("out", type=Path)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--split", default="test")
    parser.add_argument("--label-column", default="emotion")
    args = parser.parse_args()
    results = json.loads(args.out.read_text(encoding="utf-8")) if args.out.is_file() else {}
    for run in args.runs:
        results[run.name] = result(run, args.dataset, args.split, args.label_column)
        test = results[run.name]["test"]
        print(f"{run.name}: accuracy {test['war']:.4f}, UAR {test['uar']:.4f} on {test['clips']} images", flush=True)
    write_json(args.out, dict(sorted(results.items())))


if __name__ == "__main__":
    main()
