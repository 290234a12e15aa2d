"""Runs Python that comes in on standard input, a JSON string a line; answers each with a JSON object.

The libraries of the Hub read their environment when they are imported: this process is started with that of the tests'
own Hub, and stays for all tests because importing takes seconds.
"""

import contextlib
import io
import json
import sys
import time
import traceback

sleep = time.sleep
time.sleep = lambda seconds: sleep(min(seconds, 0.01))  # a broken connection is tried again after seconds
answers = sys.stdout
for line in sys.stdin:
    out, err, status, failure = io.StringIO(), io.StringIO(), 0, None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            exec(json.loads(line), {"__name__": "__client__"})
        except SystemExit as end:
            status = end.code or 0
        except BaseException:
            status, failure = 1, traceback.format_exc()
    answer = {"out": out.getvalue(), "err": err.getvalue(), "status": status, "failure": failure}
    print(json.dumps(answer), file=answers, flush=True)
