"""Files that are no sound export are refused with the line that is to blame, and nothing of them is stored."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from factories import process
from stored import ONLY_SQLITE, everything, put
from transferred import exported, imported, populate, rewritten

from workflow_runtime.core.frozen import FrozenDict
from workflow_runtime.core.values import LIMITS, Limits
from workflow_runtime.errors import SchemeError, TransferError
from workflow_runtime.store import transfer_lines
from workflow_runtime.store.transfer import Import
from workflow_runtime.store.writes import Store

Lines = list[dict[str, Any]]
OpenStore = Callable[..., Store]
pytestmark = ONLY_SQLITE  #: a file is checked before a database is asked

FIRST = 4  #: index of the first process: behind it the header, two schemes and the current version


@pytest.fixture
def data(store: Store) -> bytes:
    populate(store)
    return exported(store)[0]


def refused(store: Store, data: bytes, **options: Any) -> TransferError:
    before = everything(store)
    with pytest.raises(TransferError) as caught:
        imported(store, data, **options)
    assert everything(store) == before
    return caught.value


# -- what time and people do to files ---------------------------------------------------------------------


def test_a_file_that_was_cut_off_anywhere_is_refused(store: Store, data: bytes) -> None:
    ends = [match.end() for match in re.finditer(b"\n", data)]
    cuts = {0, 1, len(data) - 1, *ends[:-1], *(end - 1 for end in ends), *(end + 7 for end in ends[:-1])}
    assert {refused(store, data[:cut]).code for cut in sorted(cuts)} == {"cut_off", "bad_line"}


def test_the_end_of_a_file_that_lacks_its_last_line_is_named(store: Store, data: bytes) -> None:
    lines = data.splitlines(keepends=True)
    error = refused(store, b"".join(lines[:-1]))
    assert (error.code, error.line) == ("cut_off", len(lines))
    assert f"line {len(lines)}: the file has no line 'end' here: it was cut off" in error.message


def test_any_changed_byte_is_noticed(store: Store, data: bytes) -> None:
    """Every 97th byte, turned into another of its kind: a digit stays a digit, a letter a letter."""
    for place in range(5, len(data), 97):
        other = bytes([data[place] ^ 1])
        if data[place : place + 1] not in (b"\n", b"\x0b"):
            refused(store, data[:place] + other + data[place + 1 :])


def test_a_changed_digit_in_a_value_is_noticed_by_the_digest(store: Store, data: bytes) -> None:
    place = data.index(b'"created_at":') + len(b'"created_at":') + 6
    changed = data[:place] + (b"1" if data[place : place + 1] != b"1" else b"2") + data[place + 1 :]
    error = refused(store, changed)
    assert (error.code, error.line) == ("wrong_digest", len(data.splitlines()))


def test_lines_that_were_taken_out_put_in_or_turned_round_are_noticed(store: Store, data: bytes) -> None:
    lines = data.splitlines(keepends=True)
    end = len(lines) - 1
    broken = {
        "one less": [*lines[:FIRST], *lines[FIRST + 1 :]],
        "one twice": [*lines[: FIRST + 1], *lines[FIRST:]],
        "turned round": [*lines[:FIRST], lines[FIRST + 1], lines[FIRST], *lines[FIRST + 2 :]],
        "behind the end": [*lines, lines[FIRST]],
        "two ends": [*lines, lines[end]],
        "two headers": [lines[0], *lines],
        "no header": lines[1:],
        "a blank line": [*lines[:FIRST], b"\n", *lines[FIRST:]],
        "two files": [*lines, *lines],
    }
    assert {name: refused(store, b"".join(these)).line > 0 for name, these in broken.items()} == dict.fromkeys(broken, True)


@pytest.mark.parametrize(
    "foreign", [b"", b"\n", b"id,scheme\n1,2\n", b"{}\n", b"[1]\n", b"null\n", b"\xff\xfe\x00\n", b"PK\x03\x04\x00\n", b'{"kind":"header"}\n']
)
def test_a_foreign_file_is_refused_at_its_first_line(store: Store, foreign: bytes) -> None:
    assert refused(store, foreign).line == 1


def test_another_format_is_named(store: Store, data: bytes) -> None:
    error = refused(store, rewritten(data, lambda lines: lines[0].update(format="dump")))
    assert (error.code, error.line) == ("foreign", 1)


def test_a_newer_format_asks_for_an_upgrade(store: Store, data: bytes) -> None:
    """Whatever else stands in its header: that may be new too."""
    error = refused(store, rewritten(data, lambda lines: lines[0].update(number=3, more=1)))
    assert (error.code, error.line) == ("too_new", 1)
    assert "upgrade this installation" in error.message


# -- what a program that is not ours writes ---------------------------------------------------------------


def test_what_is_sound_after_rewriting_is_imported(data: bytes, open_store: OpenStore, tmp_path: Any) -> None:
    """The helper of these tests breaks nothing by itself; the order of names does not matter."""
    target = open_store(f"sqlite:///{tmp_path / 'target.db'}")
    target.upgrade()
    turned = rewritten(data, lambda lines: lines.__setitem__(slice(None), [dict(reversed(line.items())) for line in lines]))
    assert (imported(target, turned).processes, exported(target)[1].digest) == (8, imported_digest(data, open_store, tmp_path))


def imported_digest(data: bytes, open_store: OpenStore, folder: Any) -> str:
    other = open_store(f"sqlite:///{folder / 'other.db'}")
    other.upgrade()
    return imported(other, data).digest


def row(**columns: Any) -> Callable[[Lines], None]:
    return lambda lines: lines[FIRST]["row"].update(columns)


def part(name: str, **columns: Any) -> Callable[[Lines], None]:
    """Into the first row of this part that there is."""

    def change(lines: Lines) -> None:
        next(line for line in lines if line.get(name))[name][0].update(columns)

    return change


def twice(name: str) -> Callable[[Lines], None]:
    def change(lines: Lines) -> None:
        rows = next(line for line in lines if line.get(name))[name]
        rows.append(rows[0])

    return change


WRONG: dict[str, tuple[Callable[[Lines], None], str]] = {
    "an unknown key of a process": (lambda lines: lines[FIRST].update(locks=[]), "'locks' is not known to this version"),
    "an unknown column": (row(colour="red"), "'colour' is not known to this version"),
    "an unknown column of a timer": (part("timers", zone="UTC"), "'zone' is not known to this version"),
    "a token": (row(token=1), "'token' is not known"),
    "an owner": (row(owner="me"), "'owner' is not known"),
    "a missing column": (lambda lines: lines[FIRST]["row"].pop("walk"), "'walk' is missing"),
    "a missing part": (lambda lines: lines[FIRST].pop("history"), "'history' is missing"),
    "an unknown kind of line": (lambda lines: lines[FIRST].update(kind="lock"), "'lock' is no kind of line"),
    "a row that is none": (lambda lines: lines[FIRST].update(row=[]), "is no object"),
    "a part that is none": (lambda lines: lines[FIRST].update(timers={}), "timers is no list"),
    "another type": (row(revision="1"), "revision of row holds str"),
    "a bool for a number": (row(revision=True), "revision of row holds bool"),
    "nothing where something must be": (row(activity=None), "activity of row holds NoneType"),
    "a number that is too large": (row(revision=2**63), "revision of row is out of range"),
    "a number that is too large for its column": (row(deaths=2**31), "deaths of row is out of range"),
    "a time that no calendar has": (row(created_at=2**62), "cannot be read"),
    "a status that there is not": (row(status=9), "cannot be read"),
    "a name that is too long": (row(activity="x" * 201), "has 201 characters; there is room for 200"),
    "a NUL character": (row(activity="a\0b"), "NUL character"),
    "half of a pair": (row(state="\ud800"), "half of a surrogate pair"),
    "an id that is none": (row(id="7"), "cannot be read"),
    "an id in another spelling": (lambda lines: lines[FIRST]["row"].update(id=lines[FIRST]["row"]["id"].upper()), "is not written as ids are"),
    "parameters that are no JSON": (row(parameters="{"), "cannot be read"),
    "parameters that name a class": (row(parameters='{"a":{"$":["os.system","x"]}}'), "cannot be read"),
    "a parameter with a bad name": (row(parameters='{"__class__":1}'), "the parameter name '__class__'"),
    "a walk that is none": (row(walk='{"id":1}'), "cannot be read"),
    "a journal without a walk": (lambda lines: lines[FIRST].update(journal=[journal_of(lines)]) or lines[FIRST]["row"].update(walk=None), "no walk"),
    "a result that is none": (part("journal", result="{"), "cannot be read"),
    "a journal row twice": (twice("journal"), "a row of journal stands twice"),
    "a timer twice": (twice("timers"), "a row of timers stands twice"),
    "a timer of no kind": (part("timers", kind="bell"), "bell"),
    "history twice": (twice("history"), "a row of history stands twice"),
    "history behind the last row": (part("history", seq=10**6), "is not between 1 and last_seq"),
    "history of no kind": (part("history", kind="dreamt"), "dreamt"),
    "a decision of no status": (part("decisions", status_before=77), "77"),
    "a scheme twice": (lambda lines: lines.insert(2, lines[1]), "stands twice"),
    "a process of a scheme that is not there": (row(scheme_version="f" * 64), "the file has no scheme 'order' in version ffffffffffff"),
    "a current version that is not there": (lambda lines: lines[3].update(version="f" * 64), "the file has no scheme"),
    "two current versions": (lambda lines: lines.insert(4, lines[3]), "two current versions"),
    "the same process twice": (lambda lines: lines.insert(FIRST, lines[FIRST]), "stands twice"),
    "processes out of order": (lambda lines: lines.insert(FIRST, lines.pop(FIRST + 1)), "do not ascend"),
    "a scheme behind processes": (
        lambda lines: lines.append(lines.pop()) or lines.insert(-1, lines[1]),
        "a line 'scheme' cannot stand behind a line 'process'",
    ),
}


def journal_of(lines: Lines) -> dict[str, Any]:
    found: dict[str, Any] = next(line for line in lines if line.get("journal"))["journal"][0]
    return found


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_stored_and_read_again_is_refused(store: Store, data: bytes, name: str) -> None:
    """Though counts and digest are right."""
    change, words = WRONG[name]
    error = refused(store, rewritten(data, change))
    assert words in error.message
    assert error.message.startswith(f"line {error.line}: ")
    assert 1 < error.line < len(data.splitlines()) + 2


@pytest.mark.parametrize("text", ["NaN", "1.5", "1e3", "9" * 5000, '1,"revision":1', "[" * 100_000])
def test_json_that_is_read_differently_elsewhere_is_refused(store: Store, data: bytes, text: str) -> None:
    lines = data.splitlines(keepends=True)
    lines[FIRST] = re.sub(rb'"revision":\d+', f'"revision":{text}'.encode(), lines[FIRST], count=1)
    assert refused(store, b"".join(lines)).line == FIRST + 1


def test_wrong_counts_are_refused(store: Store, data: bytes) -> None:
    lines = data.splitlines()
    end = json.loads(lines[-1])
    for name in ("schemes", "processes"):
        error = refused(store, b"\n".join([*lines[:-1], json.dumps({**end, name: end[name] + 1}).encode()]) + b"\n")
        assert error.code == "wrong_count"


def test_a_line_without_end_is_not_read_into_memory(store: Store, data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer_lines, "LONGEST_LINE", 10_000)
    asked: list[int] = []

    class Noted(io.BytesIO):
        def readline(self, size: int | None = -1, /) -> bytes:
            asked.append(-1 if size is None else size)
            return super().readline(size)

    with pytest.raises(TransferError, match="has no end within 10000 bytes"):
        Import(store.dialect, new_token=lambda: 1, check_scheme=lambda *_: None, limits=LIMITS, skip_existing=False, dry_run=False, progress=print).read(
            Noted(b"x" * 10**6)
        )
    assert asked == [10_001]


def test_limits_of_this_runtime_hold(store: Store) -> None:
    populate(store)
    put(store, process(parameters=FrozenDict({"text": "x" * 2_000})))
    data = exported(store)[0]
    error = refused(store, data, limits=Limits(value_bytes=1_024))
    assert "1024 are allowed" in error.message


def test_a_scheme_that_cannot_be_used_is_refused(store: Store, data: bytes) -> None:
    def no_scheme(*_: Any) -> None:
        raise SchemeError("the scheme has no activity")

    error = refused(store, data, check_scheme=no_scheme)
    assert (error.line, error.message) == (2, "line 2: the scheme has no activity")
