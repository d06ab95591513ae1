from __future__ import annotations

import dataclasses
import inspect
import math
import pickle
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from workflow_runtime import settings as module
from workflow_runtime.core.values import LIMITS, Limits
from workflow_runtime.errors import SettingsError
from workflow_runtime.settings import Settings

REFERENCE = Path(__file__).parents[1] / "docs" / "reference" / "settings.md"


def environment(**variables: str) -> dict[str, str]:
    return {f"WORKFLOW_RUNTIME_{name}": text for name, text in variables.items()}


def refusal(**given: Any) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        Settings.build({}, **given)
    return caught.value


def test_the_defaults_are_those_of_the_public_face() -> None:
    settings = Settings.build({})
    assert (settings.beat, settings.lease, settings.sweep, settings.poll) == (0.5, 5.0, 0.25, 5.0)
    assert (settings.workers, settings.shutdown_grace, settings.auto_recover) == (8, 10.0, True)
    assert (settings.max_automatic_steps, settings.max_recovery_attempts) == (1000, 5)
    assert (settings.restorer_timeout, settings.progress_warning) == (5.0, 60.0)
    assert settings.ignore_missing_execution_items is False
    assert settings.sqlite_synchronous == "FULL"
    assert settings.idempotency_retention == timedelta(days=30)
    assert settings.time_zone == "UTC"
    assert settings.limits == LIMITS


def test_code_wins_over_the_environment_and_that_over_the_default() -> None:
    settings = Settings.build(environment(LEASE="9", POLL="2", URL="sqlite:///env.db"), lease=7, url="sqlite:///code.db")
    assert (settings.lease, settings.poll, settings.sweep, settings.url) == (7.0, 2.0, 0.25, "sqlite:///code.db")


def test_the_url_may_come_from_the_environment() -> None:
    assert Settings.build(environment(URL="postgresql+psycopg://host/db")).url == "postgresql+psycopg://host/db"


def test_numbers_of_code_become_the_type_of_the_setting() -> None:
    assert isinstance(Settings.build({}, lease=7).lease, float)


@pytest.mark.parametrize(("text", "value"), [("true", True), ("TRUE", True), ("1", True), ("false", False), ("False", False), ("0", False)])
def test_switches(text: str, value: bool) -> None:
    assert Settings.build(environment(AUTO_RECOVER=text)).auto_recover is value


@pytest.mark.parametrize("text", ["30 days", "720h", "29d 24h", "43200 minutes"])
def test_durations_as_text(text: str) -> None:
    assert Settings.build(environment(IDEMPOTENCY_RETENTION=text)).idempotency_retention == timedelta(days=30)
    assert Settings.build({}, idempotency_retention=text).idempotency_retention == timedelta(days=30)


def test_an_empty_variable_counts_as_not_set() -> None:
    assert Settings.build(environment(BEAT="", WORKERS="  ")) == Settings()


def test_spaces_around_a_variable_do_not_matter() -> None:
    assert Settings.build(environment(WORKERS=" 4 ")).workers == 4


def test_other_variables_are_left_alone() -> None:
    assert Settings.build({"BEAT": "9", "PATH": "/bin", "workflow_runtime_beat": "9", **environment(PLUGINS_ALLOW="a", PLUGINS_BLOCK="b")}) == Settings()


@pytest.mark.parametrize(("name", "suggestion"), [("leese", "lease"), ("max_automatic_step", "max_automatic_steps"), ("zzz", "")])
def test_an_unknown_name_is_refused_with_a_suggestion(name: str, suggestion: str) -> None:
    error = refusal(**{name: 1})
    assert error.setting == name
    assert error.suggestion == suggestion
    assert repr(name) in error.message
    assert (f"did you mean {suggestion!r}?" in error.message) == bool(suggestion)


def test_an_unknown_variable_is_refused_with_a_suggestion() -> None:
    with pytest.raises(SettingsError, match="did you mean 'WORKFLOW_RUNTIME_WORKERS'") as caught:
        Settings.build(environment(WORKER="3"))
    assert caught.value.setting == "WORKFLOW_RUNTIME_WORKER"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("beat", "half", "a number such as 0.5"),
        ("beat", "nan", "a finite number"),
        ("lease", "inf", "a finite number"),
        ("workers", "2.5", "a whole number"),
        ("auto_recover", "maybe", "true, false, 1 or 0"),
        ("idempotency_retention", "30", "with its unit"),
        ("idempotency_retention", "soon", "a duration such as 30 days"),
        ("idempotency_retention", "1 month", "a duration such as 30 days"),
        ("time_zone", "Mars/Olympus", "the name of a time zone"),
        ("time_zone", "../etc/passwd", "the name of a time zone"),
        ("sqlite_synchronous", "OFF", "one of FULL, EXTRA, NORMAL"),
    ],
)
def test_a_variable_that_cannot_be_read(name: str, text: str, expected: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(expected)) as caught:
        Settings.build(environment(**{name.upper(): text}))
    assert caught.value.setting == name
    assert name in caught.value.message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("beat", True),
        ("beat", "0.5"),
        ("beat", None),
        ("beat", math.nan),
        ("workers", True),
        ("workers", 2.0),
        ("auto_recover", 1),
        ("auto_recover", "true"),
        ("url", ""),
        ("url", None),
        ("idempotency_retention", 30),
        ("idempotency_retention", None),
    ],
)
def test_a_value_of_the_wrong_type(name: str, value: Any) -> None:
    error = refusal(**{name: value})
    assert error.setting == name
    assert error.message.startswith(f"{name} = {value!r}: expected ")


@pytest.mark.parametrize("name", sorted(module._RANGES))
def test_each_range_includes_its_ends_and_nothing_beyond(name: str) -> None:
    lowest, highest = module._RANGES[name]
    kind = {field.name: str(field.type) for field in dataclasses.fields(Settings)}[name]

    def value(size: float) -> Any:
        return timedelta(days=size) if kind == "timedelta" else float(size) if kind == "float" else int(size)

    # What has a relation to another setting gets room for it.
    room: dict[str, dict[str, Any]]
    room = {
        "beat": {"lease": 86_400},
        "lease": {"beat": 0.01},
        "max_value_bytes": {"max_process_bytes": 256 << 20},
        "max_process_bytes": {"max_value_bytes": 1024},
    }
    for size in (lowest, highest):
        assert getattr(Settings.build({}, **{**room.get(name, {}), name: value(size)}), name) == value(size)
    for size in (lowest - 1, highest + 1):
        assert refusal(**{**room.get(name, {}), name: value(size)}).setting == name


def test_every_number_has_a_range() -> None:
    sized = {field.name for field in dataclasses.fields(Settings) if field.type in ("int", "float", "timedelta")}
    assert sized == set(module._RANGES)


def test_a_lease_is_more_than_three_beats() -> None:
    assert refusal(beat=1, lease=3).setting == "lease"
    assert Settings.build({}, beat=1, lease=3.1).lease == 3.1
    with pytest.raises(SettingsError, match=r"more than three beats \(9 seconds\)"):
        Settings.build(environment(BEAT="3"))


def test_a_value_may_not_be_larger_than_all_values_together() -> None:
    assert refusal(max_value_bytes=4096, max_process_bytes=2048).setting == "max_value_bytes"


def test_the_choice_is_not_a_matter_of_capitals() -> None:
    assert Settings.build({}, sqlite_synchronous="normal").sqlite_synchronous == "NORMAL"


def test_limits_are_what_the_settings_say() -> None:
    settings = Settings(max_parameters=1, max_name_characters=2, max_value_bytes=1025, max_process_bytes=1026, max_json_bytes=1027)
    assert settings.limits == Limits(parameters=1, name_characters=2, value_bytes=1025, process_bytes=1026, json_bytes=1027)


def test_settings_are_a_value() -> None:
    settings = Settings(lease=7)
    assert pickle.loads(pickle.dumps(settings)) == settings
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.lease = 8  # type: ignore[misc]


def test_built_directly_they_are_checked_too() -> None:
    with pytest.raises(SettingsError, match="workers = 0: expected 1 to 1,000"):
        Settings(workers=0)


def test_every_setting_says_what_it_is() -> None:
    lines = inspect.getsource(Settings).splitlines()
    for field in dataclasses.fields(Settings):
        place = next(number for number, line in enumerate(lines) if line.startswith(f"    {field.name}: "))
        assert lines[place - 1].startswith("    #: "), field.name


def test_the_reference_has_every_setting_with_its_default() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `([^`]*)` \|", REFERENCE.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == [(field.name, written(field.default)) for field in dataclasses.fields(Settings)]


def test_the_reference_has_every_range() -> None:
    text = REFERENCE.read_text(encoding="utf-8")
    for name, (lowest, highest) in module._RANGES.items():
        row = next(line for line in text.splitlines() if line.startswith(f"| `{name}` "))
        assert f"{lowest:,} to {highest:,}" in row


def written(default: Any) -> str:
    if isinstance(default, timedelta):
        return f"{default.days} days"
    return f'"{default}"' if isinstance(default, str) else repr(default)
