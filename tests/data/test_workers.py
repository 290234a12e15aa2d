import faulthandler
import os
import threading
import time

import pytest

from av_emotion_hf.data.workers import Outcome, call_in_workers
from av_emotion_hf.errors import InputError


def work(item, beat):
    kind, value = item
    if kind == "crash":
        faulthandler.disable()  # no dump of the stack in the output of the tests
        os.kill(os.getpid(), 11)
    if kind == "exit":
        os._exit(3)
    if kind == "hang":
        threading.Event().wait()  # for ever: without a kill this test does not end
    if kind == "slow":
        for _ in range(10):  # longer than the stall in all
            time.sleep(0.25)
            beat()
    if kind == "bad":
        raise InputError(f"{value}: is bad")
    if kind == "bug":
        raise KeyError(value)
    return value, os.getpid()


def test_a_crash_or_a_hang_costs_that_item_only():
    kinds = ["good", "crash", "good", "hang", "bad", "slow", "exit", *["good"] * 12]
    items = list(zip(kinds, range(len(kinds)), strict=True))
    outcomes = list(call_in_workers(work, items, 2, stall=2.0))
    assert [outcome.item for outcome in outcomes] == items
    assert [outcome.result[0] for outcome in outcomes if outcome.error is None] == [0, 2, 5, *range(7, 19)]
    assert os.getpid() not in {outcome.result[1] for outcome in outcomes if outcome.result}
    errors = {outcome.item[0]: outcome.error for outcome in outcomes if outcome.error}
    assert errors == {
        "crash": f"the process that read it died (exit status {-11 if os.name == 'posix' else 11}); skipped",
        "exit": "the process that read it died (exit status 3); skipped",
        "hang": "no progress for 2 seconds; skipped",
        "bad": "4: is bad",
    }


def test_without_workers_everything_runs_here():
    outcomes = list(call_in_workers(work, [("good", 1), ("bad", 2)], 0))
    assert outcomes == [Outcome(("good", 1), (1, os.getpid())), Outcome(("bad", 2), error="2: is bad")]


def test_a_bug_is_not_swallowed():
    with pytest.raises(KeyError):
        list(call_in_workers(work, [("good", 1), ("bug", 2)], 1))


def test_items_are_taken_as_they_are_needed():
    taken = []

    def items():
        for number in range(100):
            taken.append(number)
            yield "good", number

    outcomes = call_in_workers(work, items(), 1)
    assert next(outcomes).item == ("good", 0)
    assert len(taken) < 8
    outcomes.close()  # ends the workers
