"""Bad schemes through the front door (B42 to B47, B51, B53 to B57): a typed error with its code, nothing stored, and the next good one works.

One guarded process tries them all, under an alarm and a limit of memory.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from guarded import run_guarded

from workflow_runtime import SchemeError, SchemeNotFound, WorkflowRuntime

GOOD = """
scheme: Good
commands: {go: {}}
timers: {t: {interval: 1h}}
activities: {A: {initial: true}, B: {final: true}}
transitions: [{from: A, to: B, on: {command: go}}, {from: A, to: B, on: {timer: t}}]
"""


def changed(*replacements: tuple[str, str]) -> str:
    text = GOOD.replace("scheme: Good", "scheme: Bad")
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    return text


ERRORS = {
    "B42 no initial": (changed(("A: {initial: true}", "A: {}")), "no_initial"),
    "B42 two initial": (changed(("B: {final: true}", "B: {final: true, initial: true}")), "several_initial"),
    "B43 missing activity": (changed(("to: B, on: {command", "to: Nowhere, on: {command")), "unknown_activity"),
    "B45 equal names": ('<Process Name="Bad"><Activities><Activity Name="A" IsInitial="true"/><Activity Name="A"/></Activities></Process>', "duplicate_name"),
    "B45 equal after NFC": (
        '<Process Name="Bad"><Activities><Activity Name="\u00e9" IsInitial="true"/><Activity Name="e\u0301"/></Activities></Process>',
        "duplicate_name",
    ),
    "B47 circle": (changed((", on: {command: go}}", "}, {from: B, to: A}"), ("B: {final: true}", "B: {}")), "automatic_loop"),
    "B51 climbing code": (changed(("scheme: Bad", "scheme: ../../etc/passwd")), "bad_name"),
    "B54 negative": (changed(("1h", '"-1s"')), "bad_interval"),
    "B54 zero": (changed(("1h", '"0s"')), "bad_interval"),
    "B54 huge": (changed(("1h", '"1e400s"')), "bad_interval"),
    "B54 foreign": (changed(("1h", '"P1000000Y"')), "bad_interval"),
    "B54 nonsense": (changed(("1h", '"99:99:99"')), "bad_interval"),
    "B55 never": (changed(("interval: 1h", 'cron: "0 0 31 2 *"')), "never_fires"),
    "B56 module": (changed(("A: {initial: true}", "A: {initial: true, actions: [os.system]}")), "unknown_action"),
    "B56 import": (changed(("A: {initial: true}", "A: {initial: true, actions: [__import__]}")), "unknown_action"),
    "B56 entry": (changed(("A: {initial: true}", 'A: {initial: true, actions: ["module:attr"]}')), "unknown_action"),
    "B57 word": (changed(("A: {initial: true}", "A: {initial: true, recovery: frobnicate}")), "bad_value"),
    "B57 nowhere": (changed(("A: {initial: true}", "A: {initial: true, recovery: 'activity:Nowhere'}")), "unknown_activity"),
}
WARNINGS = {
    "B44 unreachable": (changed(("B: {final: true}", "B: {final: true}, C: {final: true}")), "unreachable_activity"),
    "B44 no way to the end": (changed(("B: {final: true}", "B: {}")), "no_final_activity"),
    "B45 case": (changed(("B: {final: true}", "B: {final: true}, a: {set_state: true, state: x, final: true}")), "similar_name"),
}

TRIAL = """
import json, sys
from workflow_runtime import SchemeError, WorkflowRuntime
texts, good = json.loads({texts!r}), {good!r}
answers = {{}}
with WorkflowRuntime("sqlite:///:memory:") as runtime:
    for name, text in texts.items():
        try:
            runtime.add_scheme(text)
            answers[name] = ["accepted"]
        except SchemeError as error:
            answers[name] = sorted({{p.code for p in error.problems if p.severity == "error"}})
            assert all(p.line for p in error.problems), error
        assert runtime.get_scheme_codes() in ([], ["Good"]), name
        runtime.add_scheme(good)
        assert runtime.execute_command(runtime.create_instance("Good").id, "go").process.activity == "B"
print(json.dumps(answers))
"""


def test_each_is_refused_with_its_code_and_the_next_good_one_works() -> None:
    texts = json.dumps({name: text for name, (text, _) in ERRORS.items()})
    done = run_guarded(TRIAL.format(texts=texts, good=GOOD), seconds=30)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])
    assert {name: code in answers[name] for name, (_, code) in ERRORS.items()} == dict.fromkeys(ERRORS, True), answers


@pytest.mark.parametrize("name", WARNINGS)
def test_a_warning_is_said_and_the_scheme_runs(name: str) -> None:
    text, code = WARNINGS[name]
    with WorkflowRuntime("sqlite:///:memory:") as runtime:
        scheme = runtime.add_scheme(text)
        assert code in {p.code for p in runtime.check_scheme(scheme) if p.severity == "warning"}
        assert runtime.execute_command(runtime.create_instance("Bad").id, "go").was_executed


def test_b53_another_body_is_another_version_and_both_stay_readable() -> None:
    with WorkflowRuntime("sqlite:///:memory:") as runtime:
        old = runtime.add_scheme(GOOD)
        new = runtime.add_scheme(GOOD.replace("1h", "2h"))
        assert [runtime.get_scheme("Good", one.version) for one in (old, new)] == [old, new]


@pytest.mark.parametrize("place", ["../../etc/passwd", "/etc/passwd\0.yaml", "file:///etc/passwd", "http://127.0.0.1:1/x.yaml"])
def test_b51_a_code_is_never_a_path_and_an_address_never_opened(place: str) -> None:
    with WorkflowRuntime("sqlite:///:memory:") as runtime:
        with pytest.raises((SchemeNotFound, SchemeError, ValueError)):
            runtime.add_scheme(place)
        with pytest.raises(Exception, match=r"no scheme|scheme code"):
            runtime.create_instance(place)


def test_b51_a_folder_of_schemes_is_not_left_by_a_link(tmp_path: Path) -> None:
    (tmp_path / "secret.yaml").write_text(GOOD)
    folder = tmp_path / "schemes"
    folder.mkdir()
    (folder / "link.yaml").symlink_to(tmp_path / "secret.yaml")
    with pytest.raises(SchemeError) as caught:
        WorkflowRuntime(f"sqlite:///{tmp_path}/w.db").with_schemes(folder).start()
    assert [problem.code for problem in caught.value.problems] == ["outside_root"]
    (folder / "link.yaml").unlink()
    (folder / "good.yaml").write_text(GOOD)
    with WorkflowRuntime(f"sqlite:///{tmp_path}/w.db").with_schemes(folder) as runtime:
        assert runtime.get_scheme_codes() == ["Good"]
