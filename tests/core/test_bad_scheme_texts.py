"""Hostile and broken texts, each in a process under an alarm and a memory limit: refused by code, and the next good text is read.

Inputs that are not expected to crash share one process; each has its own alarm there.
"""

from __future__ import annotations

import json
from textwrap import dedent

import pytest
from guarded import run_guarded

GOOD = "scheme: good\nactivities: {A: {initial: true, final: true}}\n"
XML = '<Process Name="x">{}</Process>'

# Expressions, because most inputs are too large to stand here: they are evaluated inside the process.
CASES: dict[str, tuple[str, str]] = {
    # number: (expression for the text, codes that it may be refused with)
    "B01": (
        "'<!DOCTYPE x [<!ENTITY a0 \"ha\">' + ''.join(f'<!ENTITY a{i} \"&a{i - 1};&a{i - 1};\">' for i in range(1, 30)) + ']><Process>&a29;</Process>'",
        "dtd_forbidden",
    ),
    "B02": ("'<!DOCTYPE x [<!ENTITY a \"' + 'x' * 20000 + '\">]><Process>' + '&a;' * 350 + '</Process>'", "dtd_forbidden"),
    "B03": ("'<!DOCTYPE x [<!ENTITY a SYSTEM \"file:///etc/passwd\">]><Process>&a;</Process>'", "dtd_forbidden"),
    "B04": ("'<!DOCTYPE x [<!ENTITY % a SYSTEM \"http://127.0.0.1:1/\"> %a;]><Process/>'", "dtd_forbidden"),
    "B05": ("'<!DOCTYPE x><Process/>'", "dtd_forbidden"),
    "B06": ('xml(\'<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="/etc/passwd"/>\')', "unknown_element"),
    "B07": ('\'<?xml-stylesheet href="x"?><Process Name="x"/>\'', "pi_forbidden"),
    "B07 inside": ("xml('<Activities><?php x?></Activities>')", "pi_forbidden"),
    "B08": ("'<Process>' + '<a>' * 64 + '</a>' * 64 + '</Process>'", "too_deep"),
    "B08 deep": ("'<Process>' + '<a>' * 200000 + '</a>' * 200000 + '</Process>'", "too_deep"),
    "B09": ("'<Process ' + ' '.join(f'a{i}=\"1\"' for i in range(200000)) + '/>'", "too_many"),
    "B10": ("'<Process Name=\"' + 'x' * (8 << 20) + '\"/>'", "too_large"),
    "B10 under": ("'<Process Name=\"' + 'x' * (7 << 20) + '\"/>'", "too_large bad_name"),
    "B11": ("b'<' * ((8 << 20) + 1)", "too_large"),
    "B11 str": ("'\\u20ac' * (3 << 20)", "too_large"),
    "B12": ("'<Process Name=\"\\0\"/>'", "not_well_formed"),
    "B13": ('b\'<?xml version="1.0" encoding="utf-7"?><Process/>\'', "bad_encoding"),
    "B13 unknown": ('b\'<?xml version="1.0" encoding="klingon"?><Process/>\'', "bad_encoding"),
    "B13 legal": ('b\'<?xml version="1.0" encoding="iso-8859-1"?><Process/>\'', "bad_encoding"),
    "B13 text": ('\'<?xml version="1.0" encoding="cp1252"?><Process/>\'', "bad_encoding"),
    "B14": ("'<?xml version=\"1.0\" encoding=\"utf-8\"?><Process/>'.encode('utf-16-le')", "bad_encoding not_well_formed"),
    "B15": ('\'<Process Name="a" Name="b"/>\'', "not_well_formed"),
    "B16": ("xml('<CodeActionsCommonUsings>ad<!-- -->min</CodeActionsCommonUsings>')", "comment_in_text"),
    "B17": ('\'<x:Process xmlns:x="urn:other" Name="x"/>\'', "unknown_root"),
    "B17 root": ("'<Workflow/>'", "unknown_root"),
    "B18": ("gzip.compress(b'<Process/>')", "not_well_formed"),
    "B19": ("'<Process ' + ' '.join(f'xmlns:n{i}=\"urn:{i}\"' for i in range(10000)) + '/>'", "too_many"),
    "B20": ("''", "empty_document"),
    "B20 mark": ("b'\\xef\\xbb\\xbf'", "empty_document"),
    "B20 blank": ("' \\n\\t '", "empty_document"),
    "B20 comment": ("'# nothing'", "empty_document"),
    "B21": ('\'<Process Name="a"/><Process Name="b"/>\'', "not_well_formed"),
    "B22": ("'scheme: !!python/object/apply:os.system [id]'", "tag_forbidden"),
    "B23": ("'scheme: !!python/name:os.system'", "tag_forbidden"),
    "B23 module": ("'!!python/module:os {scheme: x}'", "tag_forbidden"),
    "B24": ("'a0: &a0 [x]\\n' + ''.join(f'a{i}: &a{i} [' + ', '.join([f'*a{i-1}'] * 9) + ']\\n' for i in range(1, 9))", "alias_forbidden"),
    "B25": ("'scheme: &a [*a]'", "alias_forbidden"),
    "B26": ("'scheme: x\\nactivities:\\n  A: {<<: {state: x}}'", "merge_forbidden"),
    "B27": ("'scheme: ' + '[' * 5000", "too_deep"),
    "B27 blocks": ("'- ' * 5000", "too_deep"),
    "B29": ("'scheme: a\\nscheme: b'", "duplicate_key"),
    "B30": ("'scheme: 0x' + 'f' * 2000000", "too_large number_too_long"),
    "B31": ("'scheme: ' + '1' * 2000000", "too_large number_too_long"),
    "B31 json": ("'{\"scheme\": ' + '1' * 2000000 + '}'", "too_large number_too_long"),
    "B34": ("'scheme: x\\nretry: {factor: .nan}'", "not_a_number"),
    "B34 inf": ("'scheme: x\\nretry: {factor: -.INF}'", "not_a_number"),
    "B34 json": ('\'{"scheme": "x", "retry": {"factor": NaN}}\'', "not_a_number"),
    "B34 huge": ('\'{"scheme": "x", "retry": {"factor": 1e999}}\'', "not_a_number"),
    "B34 xml": ('xml(\'<wfr:Retry xmlns:wfr="urn:workflow-runtime" factor="inf"/>\')', "bad_value"),
    "B35": ("'scheme: a\\n---\\nscheme: b'", "one_document_only"),
    "B36": ("'? [a]\\n: b'", "bad_key"),
    "B36 word": ("'scheme: x\\nactivities: {true: {}}'", "bad_key"),
    "B36 number": ("'scheme: x\\nactivities: {7: {}}'", "bad_key"),
    "B37": ("'scheme: x\\nactivities:\\n\\tA: {}'", "not_well_formed"),
    "B38": ("'scheme: !!binary ' + 'A' * (2 << 20)", "tag_forbidden"),
    "B39": ("'scheme: !!timestamp 9999-99-99'", "tag_forbidden"),
    "B40": ("b'scheme: \\xff\\xfe\\xfa'", "bad_encoding"),
    "B40 half": ("'scheme: \"\\\\ud800\"'", "bad_character"),
    "B40 nul": ("'scheme: \"\\\\0\"'", "bad_character"),
    "B40 raw": ("'scheme: \\ud800'", "bad_character"),
    "B40 bell": ("'scheme: \\a'", "bad_character"),
    "B40 json": ('\'{"scheme": "\\\\ud800"}\'', "bad_character"),
    "B40 beyond": ("'scheme: \"\\\\UFFFFFFFF\"'", "not_well_formed"),
    "B41": ("'%YAML 9.9\\n---\\nscheme: x'", "not_well_formed"),
    "B41 digits": ("'%YAML 1.' + '9' * 5000 + '\\n---\\nscheme: x'", "not_well_formed"),
    "B46 long": ("'scheme: ' + 'x' * 201", "bad_name"),
    "B46 empty": ("'scheme: x\\nactivities: {\"\": {}}'", "bad_name"),
    "B46 climbing": ("'scheme: ../x'", "bad_name"),
    "B46 lines": ("'scheme: \"a\\\\nb\"'", "bad_name"),
    "B46 bidi": ("'scheme: \"a\\u202eb\"'", "bad_name"),
    "B46 xml": ("xml('<Activities><Activity Name=\"a&#10;b\"/></Activities>')", "bad_name"),
    "B52": ('xml(\'<Activities><Activity Name="A" IsInitail="true"/></Activities>\')', "unknown_attribute"),
    "B52 element": ("xml('<Activites/>')", "unknown_element"),
    "B52 key": ("'scheme: x\\nactivities: {A: {initail: true}}'", "unknown_key"),
    "B54": ("'scheme: x\\ntimers: {t: {cron: \"* * * * *\", late_after: 1e400s}}'", "bad_value"),
    "B54 negative": ("'scheme: x\\ntimers: {t: {cron: \"* * * * *\", late_after: -1s}}'", "bad_value"),
    "B57": ("'scheme: x\\nrecovery: frobnicate'", "bad_value"),
}
LARGE: dict[str, tuple[str, str]] = {
    "B48 yaml": ("'scheme: x\\nactivities:\\n' + ''.join(f' a{i}:\\n' for i in range(1000000))", "too_large"),
    "B48 few": ("'scheme: x\\nactivities:\\n' + ''.join(f' a{i}:\\n' for i in range(2001))", "too_many"),
    "B48 xml": ("xml('<Activities>' + '<Activity Name=\"a\"/>' * 2001 + '</Activities>')", "too_large too_many"),
    "B48 json": ("'{\"scheme\": \"x\", \"activities\": [' + ','.join(['{}'] * 1000000) + ']}'", "too_large too_many"),
    "B48 million": ("xml('<Activities>' + '<Activity Name=\"a\"/>' * 1000000 + '</Activities>')", "too_large too_many"),
    "many keys": ("'{' + ','.join(f'\"k{i}\": 1' for i in range(20000)) + '}'", "unknown_key"),
}

PREAMBLE = f"""
import gzip, json, sys
from workflow_runtime.core.reading import Format, read
from workflow_runtime.errors import SchemeError

GOOD = {GOOD!r}

def xml(inside):
    return '<Process Name="x">' + inside + '</Process>'

def outcome(text, form=None):
    try:
        read(text, format=form)
        return ['accepted']
    except SchemeError as error:
        codes = sorted({{problem.code for problem in error.problems}})
        assert all(len(problem.message) < 1200 for problem in error.problems)
        assert all(problem.line >= 0 for problem in error.problems)
    assert read(GOOD).code == 'good'
    return codes
"""


def outcomes(cases: dict[str, tuple[str, str]], seconds: int) -> dict[str, list[str]]:
    """The codes of every case, all read in one process; each case has the alarm for itself."""
    lines = [PREAMBLE, "found = {}"]
    for name, (text, _) in cases.items():
        lines.append(f"signal.alarm({seconds}); found[{name!r}] = outcome({text}, {'Format.XML' if name.startswith('B18') else None})")
    done = run_guarded("\n".join(map(dedent, [*lines, "print(json.dumps(found))"])), seconds=seconds)
    assert done.returncode == 0, done.stderr[-2000:]
    answer: dict[str, list[str]] = json.loads(done.stdout)
    return answer


@pytest.fixture(scope="module")
def found() -> dict[str, list[str]]:
    return outcomes(CASES, seconds=5)


@pytest.mark.parametrize("case", CASES)
def test_is_refused_by_its_code_and_a_good_scheme_is_read_afterwards(case: str, found: dict[str, list[str]]) -> None:
    assert set(found[case]) <= set(CASES[case][1].split())


@pytest.mark.parametrize("case", LARGE)
def test_is_refused_within_the_limits_although_it_is_large(case: str) -> None:
    assert outcomes({case: LARGE[case]}, seconds=60)[case][0] in LARGE[case][1].split()


def test_a_hundred_thousand_brackets_do_not_crash_the_process() -> None:  # B28
    done = run_guarded(PREAMBLE + "print(outcome('[' * 100000), outcome('{\"a\":' * 100000))")
    assert (done.returncode, done.stdout.split()) == (0, ["['too_deep']", "['too_deep']"]), done.stderr[-2000:]


def test_an_external_entity_opens_no_file_and_no_socket() -> None:  # B03, B04, B06
    done = run_guarded(
        PREAMBLE
        + """
texts = [
    '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><Process>&a;</Process>',
    xml('<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="/etc/passwd"/>'),
    '<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd"><Process/>',
]
outcome(texts[0])  # everything is imported from here on
seen = []
sys.addaudithook(lambda event, arguments: seen.append(event) if event in ('open', 'socket.connect', 'os.system', 'subprocess.Popen') else None)
for text in texts + ["scheme: !!python/object/apply:os.system [id]"]:
    outcome(text)
print(seen)
"""
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stdout + done.stderr[-2000:]


BIG = """
from workflow_runtime.core.reading import Format, read, write
activities = ''.join(f'<Activity Name="Activity {i}" State="S{i}" IsForSetState="True"><Designer X="{i}" Y="7"/></Activity>' for i in range(2000))
transitions = ''.join(
    f'<Transition Name="t{i}" From="Activity {i % 2000}" To="Activity {i * 7 % 2000}" Classifier="Direct">'
    f'<Restrictions><Restriction Type="Allow" NameRef="Boss"/></Restrictions><Triggers><Trigger Type="Command" NameRef="go"/></Triggers>'
    f'<Conditions><Condition Type="Expression"><Expression>@A = {i}</Expression></Condition></Conditions></Transition>'
    for i in range(10000))
scheme = read('<Process Name="big"><Activities>' + activities + '</Activities><Transitions>' + transitions + '</Transitions></Process>')
assert read(write(scheme, Format.FORM), format=Format.FORM) == scheme
print(len(scheme.transitions))
"""


@pytest.mark.parametrize("form", ["JSON", pytest.param("YAML", marks=pytest.mark.slow)])
def test_a_scheme_at_the_limits_is_read(form: str) -> None:
    """2,000 activities and 10,000 transitions with drawing data, commands, conditions and rights."""
    done = run_guarded(BIG.replace("FORM", form), seconds=180)  # read, written and read again
    assert (done.returncode, done.stdout.strip()) == (0, "10000"), done.stderr[-2000:]


@pytest.mark.slow
def test_yaml_is_refused_at_the_limit_of_nodes() -> None:
    many = {"nodes": ("'scheme: x\\nactivities:\\n' + ''.join(f' a{i}:\\n' for i in range(200001))", "too_many")}
    assert outcomes(many, seconds=60) == {"nodes": ["too_many"]}


def test_a_bare_word_of_yaml_1_1_is_a_text() -> None:  # B32, B33
    words = ["no", "on", "yes", "off", "12:30:45", "010", "1_000", "0x1F", "1e3", "2031-12-24", "NULL", "True"]
    text = "".join(f"  A{index}: {{state: {word}}}\n" for index, word in enumerate(words))
    done = run_guarded(PREAMBLE + f"print([a.state for a in read('scheme: x\\nactivities:\\n' + {text!r}).activities])")
    assert (done.returncode, done.stdout.strip()) == (0, str(words)), done.stderr[-2000:]
