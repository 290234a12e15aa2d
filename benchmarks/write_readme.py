"""Write `benchmarks/README.md` from the JSON files in `benchmarks/results`.

python benchmarks/write_readme.py
"""

import json
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

HERE = Path(__file__).parent


def page() -> str:
    """The template, filled."""
    environment = Environment(
        loader=FileSystemLoader(HERE), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["r"] = lambda value: f"{value:.3f}" if isinstance(value, float) else "-"
    environment.filters["error"] = lambda found: f"{found['mean']:.2f} ({found['worst']:.2f})"
    environment.filters["halves"] = lambda found: f"{100 * found['all']:.0f} ({100 * found['b']:.0f})"
    results = {path.stem: json.loads(path.read_text()) for path in (HERE / "results").glob("*.json")}
    text = environment.get_template("README.md.jinja").render(
        acoustic=results["acoustic_frontend"],
        augmentation=results["augmentation"],
        backbone=results["speech_backbone"],
        ravdess=results["acoustic_frontend"]["agreement"]["ravdess_speech"],
        javased=results["acoustic_frontend"]["agreement"]["javased_speech"],
        faces=results["faces"],
        detection=results["face_detection"],
        aligned=results["aligned_faces"],
        persons=results["persons"],
        memory=results["media_memory"],
        damage=results["damaged_clips"],
        pretraining=results["pretraining"],
        voices=results["voices"],
        exports=results["exports"],
        latency=results["clip_latency"],
        timeline=results["timeline"],
        report=results["report"],
        service=results["service"],
        stream=results["stream"],
        import_time=results["import_time"],
        cold=results["cold_start"]["cold_start"],
        cold_rounds=results["cold_start"]["rounds"],
        threads=results["cold_start"]["threads"],
    )
    return text.rstrip() + "\n"


if __name__ == "__main__":
    (HERE / "README.md").write_text(page(), encoding="utf-8")
