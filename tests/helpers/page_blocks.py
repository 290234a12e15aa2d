"""Runs the code blocks of a page in one process, since importing everything takes seconds; a program of its own.

`python page_blocks.py < BLOCKS.json` takes a list of pairs: the language, `bash` or `python`, and the code. Blocks of
Python share their names. Those of the shell are commands of this package, whose output a `>` may send to a file.
"""

import contextlib
import io
import json
import shlex
import sys
from pathlib import Path


def run_commands(code: str) -> None:
    """Run the commands of a block."""
    from av_emotion_hf.cli import main

    for line in code.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if not words:
            continue
        target = Path(words.pop()) if ">" in words else None
        sys.argv = [word for word in words if word != ">"]
        assert sys.argv[0] == "av-emotion", line
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            try:
                main()
            except SystemExit as end:
                if end.code:
                    raise
        if target is None:
            print(printed.getvalue(), end="")
        else:
            target.write_text(printed.getvalue())


if __name__ == "__main__":
    names = {"__name__": "__page__"}
    for language, code in json.load(sys.stdin):
        try:
            exec(code, names) if language == "python" else run_commands(code)
        except BaseException:
            print(f"in the block\n{code}", file=sys.stderr)
            raise
