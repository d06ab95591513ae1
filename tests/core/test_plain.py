"""``Process.to_dict()``: every field that is data, as JSON and nothing else."""

from __future__ import annotations

import json
import pickle
from dataclasses import fields
from datetime import timedelta
from decimal import Decimal

from factories import process, walk

from workflow_runtime.core.frozen import FrozenDict
from workflow_runtime.core.plain import plain
from workflow_runtime.core.process import Process, ProcessStatus

VALUES = FrozenDict({"Amount": Decimal("1.50"), "Wait": timedelta(hours=2), "Raw": b"\x00\xff", "List": [1, {"a": None}]})


def test_a_process_is_json_ready() -> None:
    one = process(status=ProcessStatus.RUNNING, parameters=VALUES, walk=walk())
    shown = one.to_dict()
    assert json.loads(json.dumps(shown)) == shown
    assert set(shown) == {field.name for field in fields(Process)} - {"scheme", "token"}
    assert (shown["id"], shown["status"]) == (str(one.id), "Running")
    assert shown["parameters"] == {"Amount": "1.50", "Wait": "PT7200S", "Raw": "AP8=", "List": [1, {"a": None}]}


def test_times_are_utc_texts() -> None:
    assert plain(process().created_at).endswith("Z")


def test_a_process_pickles_with_all_its_values() -> None:
    one = process(parameters=VALUES, walk=walk())
    assert pickle.loads(pickle.dumps(one)) == one
