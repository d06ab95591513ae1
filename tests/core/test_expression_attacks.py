"""Bad inputs B58 to B70: each is refused with its code, quickly, and the next good expression works."""

from __future__ import annotations

import sys
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from guarded import run_guarded

from workflow_runtime.core.expression import compile_expression
from workflow_runtime.errors import LONGEST_QUOTE, EvaluationError, ExpressionError

pytestmark = pytest.mark.timeout(5)

COMPILED = {
    "B58 subclasses": ("().__class__.__base__.__subclasses__()", "node_forbidden"),
    "B58 class of a name": ("x.__class__", "node_forbidden"),
    "B58 class of a text": ("''.__class__", "node_forbidden"),
    "B58 quoted": ('@"__class__"', "node_forbidden"),
    "B58 globals": ("x.f.__globals__ = 1", "node_forbidden"),
    "B58 index": ("x['__class__']", "node_forbidden"),
    "B59 import": ("__import__('os')", "call_forbidden"),
    "B59 import, marked": ("@__import__('os')", "call_forbidden"),
    "B59 eval": ("eval('1')", "call_forbidden"),
    "B59 getattr": ("getattr(x, 'y')", "call_forbidden"),
    "B59 result of a call": ("len('a')('b')", "call_forbidden"),
    "B59 method": ("Labels.append(1)", "call_forbidden"),
    "B60 power": ("9**9**9", "operator_forbidden"),
    "B60 shift": ("1<<10**9", "operator_forbidden"),
    "B61 repetition": ("'a'*99999999", "type_forbidden"),
    "B61 repetition, turned": ("99999999*'a'", "type_forbidden"),
    "B62 percent": ("'%0999999999d' % 1", "operator_forbidden"),
    "B62 f-string": ("f'{1:0999999999d}'", "syntax_forbidden"),
    "B62 format": ("'{0.__class__}'.format(x)", "call_forbidden"),
    "B63 parentheses": ("(" * 10_000 + "1" + ")" * 10_000, "too_long"),
    "B63 parentheses that fit": ("(" * 1_000 + "1" + ")" * 1_000, "too_deep"),
    "B63 brackets that fit": ("[" * 2_000, "too_deep"),
    "B63 open calls": ("len(" * 500, "too_many_nodes"),
    "B63 fewer open calls": ("len(" * 150, "too_deep"),
    "B63 minus": ("-" * 100_000 + "1", "too_long"),
    "B63 minus that fits": ("-" * 2_000 + "1", "too_many_nodes"),
    "B63 fewer minus": ("-" * 150 + "1", "too_deep"),
    "B63 not": ("!" * 150 + "x", "too_deep"),
    "B64 sum": ("1" + "+1" * 20_000, "too_long"),
    "B64 sum that fits": ("1" + "+1" * 1_000, "too_many_nodes"),
    "B64 shorter sum": ("1" + "+1" * 90, "too_deep"),
    "B65 chain": ("==".join(["x"] * 500), "too_many_nodes"),
    "B65 chain with spaces": (" == ".join(["x"] * 500), "too_long"),
    "B65 list": ("x in [" + ",".join("1" * 201) + "]", "too_many_nodes"),
    "B66 lambda": ("lambda: 1", "syntax_forbidden"),
    "B66 walrus": ("(x := 1)", "syntax_forbidden"),
    "B66 list comprehension": ("[y for y in x]", "syntax_forbidden"),
    "B66 comprehension behind in": ("1 in [y for y in x]", "syntax_forbidden"),
    "B66 generator": ("len(y for y in x)", "syntax_forbidden"),
    "B66 set comprehension": ("{y for y in x}", "syntax_forbidden"),
    "B66 starred": ("*x", "syntax_forbidden"),
    "B66 starred argument": ("max(*x)", "syntax_forbidden"),
    "B66 await": ("await x", "syntax_forbidden"),
    "B66 statement": ("import os", "syntax_forbidden"),
    "B66 assignment of a call": ("x = 1\nimport os", "syntax_forbidden"),
    "B66 NUL": ("x\0", "syntax_forbidden"),
    "B66 NUL in a text": ("x = 'a\0'", "syntax_forbidden"),
    "B66 lone surrogate": ("x = '\ud800'", "syntax_forbidden"),
    "B66 turned writing direction": ("x = '\u202e'", "syntax_forbidden"),
    "B66 comment": ("x # y", "syntax_forbidden"),
    "B69 one Cyrillic letter": ("p\u0430y = 1", "mixed_scripts"),
    "B69 hidden behind a mark": ("p\u0308\u0430 = 1", "mixed_scripts"),
    "B69 in a path": ("Order.t\u043etal = 1", "mixed_scripts"),
    "B69 Greek": ("@\u039fmega = 1", "mixed_scripts"),
    "B69 quoted": ('@"the p\u0430y" = 1', "mixed_scripts"),
    "B70 as a function": ("matches(x, '(a+)+$')", "call_forbidden"),
    "B70 as an operator": ("x ~ '(a+)+$'", "operator_forbidden"),
    "B70 bare": ("(a+)+$", "syntax_forbidden"),
    "digits": ("9" * 2_000, "number_out_of_range"),
    "exponent": ("1e999999999", "number_out_of_range"),
    "exponent of nothing": ("0e-99999", "number_out_of_range"),
    "fraction": ("0." + "1" * 2_000, "number_out_of_range"),
}

EVALUATED = {
    "B67 unknown": ("Missing = 1", "unknown_name"),
    "B67 None is a name": ("None < 1", "unknown_name"),
    "B67 unknown key": ("Order.Missing = 1", "unknown_name"),
    "B68 division": ("1 / 0", "division_by_zero"),
    "B68 division of nothing": ("0.0 / 0", "division_by_zero"),
    "B68 division by a float": ("x / Zero", "division_by_zero"),
    "B68 null": ("null < 1", "type_clash"),
    "B68 text and number": ("'a' < 1", "type_clash"),
    "B68 text equals number": ("'1' = 1", "type_clash"),
    "B68 text in numbers": ("'1' in [1, 2]", "type_clash"),
    "B68 bool is no number": ("Flag + 1", "type_clash"),
    "B61 repetition of a parameter": ("Text * 99999999", "type_clash"),
    "B61 repetition of a list": ("Labels * 99999999", "type_clash"),
    "growth": ("*".join(["Big"] * 9), "number_out_of_range"),
    "growth of decimals": ("*".join(["Wide"] * 9), "number_out_of_range"),
    "growth of floats": ("Float * Float", "number_out_of_range"),
    "an integer of a million digits": ("Huge + 1", "number_out_of_range"),
    "that compared with a decimal": ("Huge > 0.5", "number_out_of_range"),
    "a decimal of a billion digits": ("Billion + 1", "number_out_of_range"),
    "that compared": ("Billion > 1.0", "number_out_of_range"),
    "that rounded": ("round(Billion)", "number_out_of_range"),
    "not a number": ("NotANumber = NotANumber", "number_out_of_range"),
    "divided by a signalling decimal": ("1 / Signal", "number_out_of_range"),
    "infinite": ("Infinite > 1", "number_out_of_range"),
    "infinite decimal": ("InfiniteDecimal > 1", "number_out_of_range"),
    "time": ("AddDays(now(), 99999999)", "no_clock"),
    "a list within itself": ("Circle = Circle2", "too_deep"),
    "a long text": ("ToUpper(Long)", "too_long"),
    "an object": ("Object = Object", "type_clash"),
    "an attribute of an object": ("Object.real", "type_clash"),
    "a function as a value": ("Function = 1", "type_clash"),
}


def _circle() -> list[Any]:
    circle: list[Any] = []
    circle.append(circle)
    return circle


PARAMETERS: dict[str, Any] = {
    "x": 1,
    "Order": {"Total": 1},
    "Zero": 0.0,
    "Flag": True,
    "Text": "a",
    "Labels": ["a"],
    "Big": 2**60,
    "Wide": Decimal("1e500"),
    "Float": 1e300,
    "Huge": 10**1_000_000,
    "Billion": Decimal("1e999999999"),
    "NotANumber": float("nan"),
    "Signal": Decimal("sNaN"),
    "Infinite": float("inf"),
    "InfiniteDecimal": Decimal("Infinity"),
    "Circle": _circle(),
    "Circle2": _circle(),
    "Long": "a" * (2 << 20),
    "Object": object(),
    "Function": len,
}


def refusal(action: Callable[[], Any]) -> str:
    try:
        action()
    except (ExpressionError, EvaluationError) as error:
        return str(error.code)
    return "accepted"


def evaluated(source: str) -> Any:
    return compile_expression(source).evaluate(PARAMETERS.__getitem__)


def still_works() -> bool:
    return evaluated("x + 1 = 2 and Order.Total in [1, 2]") is True


@pytest.mark.parametrize("attack", COMPILED)
def test_it_is_refused_when_it_is_compiled(attack: str) -> None:
    source, code = COMPILED[attack]
    assert refusal(lambda: compile_expression(source)) == code
    assert still_works()


@pytest.mark.parametrize("attack", EVALUATED)
def test_it_is_refused_when_it_is_evaluated(attack: str) -> None:
    source, code = EVALUATED[attack]
    expression = compile_expression(source)
    assert refusal(lambda: expression.evaluate(PARAMETERS.__getitem__)) == code
    assert still_works()


@pytest.mark.parametrize("attack", COMPILED)
def test_the_answer_is_short_and_can_be_printed(attack: str) -> None:
    source, _ = COMPILED[attack]
    with pytest.raises(ExpressionError) as caught:
        compile_expression(source)
    message = str(caught.value)
    assert len(message) < 2 * LONGEST_QUOTE + 200
    assert not any(character in message for character in "\0\r\n\u202e")
    assert message.encode()
    assert 1 <= caught.value.column <= min(len(source), 2_048) + 1


@pytest.mark.parametrize("name", ["ｏｓ", "𝐨𝐬", "ﬁle"])
def test_b69_a_name_is_never_folded_into_another(name: str) -> None:
    assert compile_expression(f"{name} = 1").names == {name}
    assert refusal(lambda: compile_expression(f"{name} = 1").evaluate({"os": 1, "file": 1}.__getitem__)) == "unknown_name"


@pytest.mark.parametrize("name", ["Сумма", "Ποσό", "金額", "סכום", "المبلغ", "राशि", "Größe", "naïve", "сумма2", "Order_1"])
def test_b69_names_in_one_script_are_legal(name: str) -> None:
    assert compile_expression(f"@{name} > 1 and {name} < 9").evaluate({name: 5}.__getitem__) is True


def test_b70_a_pattern_is_a_text_like_any_other() -> None:
    parameters = {"Text": "a" * 30 + "b"}
    assert compile_expression("Contains(Text, '(a+)+$')").evaluate(parameters.__getitem__) is False


def test_nothing_that_is_evaluated_changes_a_parameter() -> None:
    parameters = {"Labels": ["a"], "Order": {"Total": 1}}
    for source in ("min(Labels)", "'a' in Labels", "Order.Total + 1", "Labels = Labels", "len(Order)", "max(Labels)"):
        compile_expression(source).evaluate(parameters.__getitem__)
    assert parameters == {"Labels": ["a"], "Order": {"Total": 1}}


def test_an_own_equality_of_a_foreign_object_is_never_called() -> None:
    class Foreign:
        def __eq__(self, other: object) -> bool:
            raise AssertionError("called")

        __hash__ = None  # type: ignore[assignment]

    parameters = {"F": Foreign(), "L": [Foreign()]}
    for source in ("F = 1", "F = F", "1 in L", "F in L", "F < 1", "F + 1"):
        expression = compile_expression(source)
        assert refusal(partial(expression.evaluate, parameters.__getitem__)) == "type_clash"


def test_a_stack_that_is_nearly_used_up_is_no_crash() -> None:
    def sink(depth: int) -> str:
        return sink(depth - 1) if depth else refusal(lambda: compile_expression("(" * 29 + "1" + ")" * 29))

    answers = set[str]()
    for left in range(40, 200, 5):
        try:
            answers.add(sink(sys.getrecursionlimit() - left - len(_frames())))
        except RecursionError:
            answers.add("before the parser")
    assert "too_deep" in answers
    assert answers <= {"too_deep", "accepted", "before the parser"}


def _frames() -> list[Any]:
    frame, frames = sys._getframe(), list[Any]()
    while frame:
        frames.append(frame)
        frame = frame.f_back  # type: ignore[assignment]
    return frames


@pytest.mark.timeout(40)  # the alarm inside is the assertion
def test_all_of_them_together_within_the_alarm_and_the_memory_limit() -> None:
    code = f"""
    import sys
    sys.path[:0] = {sys.path!r}
    import test_expression_attacks as attacks
    for source, code in attacks.COMPILED.values():
        assert attacks.refusal(lambda: attacks.compile_expression(source)) == code, source[:80]
    for source, code in attacks.EVALUATED.values():
        assert attacks.refusal(lambda: attacks.evaluated(source)) == code, source
    assert attacks.still_works()
    print("all refused")
    """
    done = run_guarded(code, seconds=5, memory=512 << 20)
    assert (done.returncode, done.stdout, done.stderr) == (0, "all refused\n", "")
