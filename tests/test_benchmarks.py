"""The page that tells what the benchmarks found."""

import runpy
from pathlib import Path

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def test_page_is_that_of_the_results():
    page = runpy.run_path(str(BENCHMARKS / "write_readme.py"))["page"]()
    assert page == (BENCHMARKS / "README.md").read_text(encoding="utf-8"), "run `make tables`"
