"""Everything at once, from a seed. ``run.py`` does the same for as long as one likes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from beginning import Begin
from mix import torture, write_report


@pytest.mark.parametrize(
    ("seed", "seconds"),
    [pytest.param(1, 12.0, id="short"), *(pytest.param(seed, 300.0, id=f"long {seed}", marks=[pytest.mark.slow, pytest.mark.timeout(600)]) for seed in (2, 3))],
)
def test_a_mix_of_all_faults(begin: Begin, tmp_path: Path, seed: int, seconds: float) -> None:
    outcome = torture(begin(proxied=True), seed=seed, seconds=seconds)
    report = write_report(outcome, tmp_path).read_text()
    assert outcome.passed, report
    assert json.loads(report)["violations"] == 0
