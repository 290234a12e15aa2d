r"""Score several expression recognizers on the same images, and gather what each was trained with into one JSON file.

    python examples/expression_choices.py DATASET OUT.json RUN [RUN ...] [--split test] [--label-column emotion]
    python examples/expression_choices.py ferplus OUT.json RUN [RUN ...] --ignored-votes contempt unknown NF \
        --vote-columns neutral happy=happiness surprise sad=sadness angry=anger disgust fear --min-votes 2

Each RUN is a folder that `av-emotion train-expression` wrote; its settings and validation scores come from its
`run.json`, the test scores from `evaluate`. What OUT.json has is kept: other runs, and scores of the same runs on
other datasets. In the table of changes, the first run is what the others are compared with.
"""

import argparse
import json
from pathlib import Path

from collect_results import kept, write_json

from av_emotion_hf import evaluate, open_dataset
from av_emotion_hf.data import VoteOptions


def facts(run: Path) -> dict:
    """Settings and costs of one run, and its scores on its validation images."""
    record = kept(json.loads((run / "run.json").read_text(encoding="utf-8")))
    scores = record.pop("scores")
    return record | {"validation": {name: scores.get(f"validation_{name}") for name in ("war", "uar", "macro_f1")}}


def main() -> None:
    """Write the results by the name of the run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset")
    parser.add_argument("out", type=Path)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--split", default="test")
    parser.add_argument("--label-column", default="emotion")
    parser.add_argument("--vote-columns", nargs="+", default=[], help="CLASS=COLUMN, or the name of both")
    parser.add_argument("--ignored-votes", nargs="+", default=[])
    parser.add_argument("--min-votes", type=int, default=1)
    args = parser.parse_args()
    columns = {name.partition("=")[0]: name.rpartition("=")[2] for name in args.vote_columns}
    votes = VoteOptions(columns, ignored=args.ignored_votes, min_votes=args.min_votes)
    results = json.loads(args.out.read_text(encoding="utf-8")) if args.out.is_file() else {}
    protocol = {"dataset": Path(args.dataset).name, "split": args.split}
    rows = open_dataset(args.dataset, args.split)
    for run in args.runs:
        test = evaluate(str(run), rows, label_column=args.label_column, votes=votes, batch_size=64, protocol=protocol)
        tests = results.get(run.name, {}).get("tests", {}) | {protocol["dataset"]: test}
        results[run.name] = facts(run) | {"tests": tests}
        print(f"{run.name}: accuracy {test['war']:.4f}, UAR {test['uar']:.4f} on {test['clips']} images", flush=True)
        write_json(args.out, results)


if __name__ == "__main__":
    main()
