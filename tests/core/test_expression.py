"""The condition language as an author meets it: spellings, binding, names, and errors with their place."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from workflow_runtime.core.expression import Expression, compile_expression
from workflow_runtime.core.frozen import FrozenDict
from workflow_runtime.errors import EvaluationError, ExpressionError, WorkflowError

PARAMETERS: dict[str, Any] = {
    "Amount": 1500,
    "Price": Decimal("0.10"),
    "Name": "Ada",
    "State": "open",
    "Ready": True,
    "Late": False,
    "Nothing": None,
    "Labels": ["new", "urgent"],
    "Order": {"Total": 12, "Customer": {"Tier": "gold"}, "note": None},
    "Frozen": FrozenDict({"Key": FrozenDict({"Inner": 7})}),
    "Сумма": 5,
    "金額": 3,
    "area:name": "north",
    "Due Date": "soon",
    "Order.Total": 99,
    "and": 1,
    "2nd level": 2,
}
DOTTED = ("area:name", "Due Date", "2nd level")


def value(source: str, *, dotted: tuple[str, ...] = DOTTED, **more: Any) -> Any:
    return compile_expression(source, dotted_names=dotted).evaluate((PARAMETERS | more).__getitem__)


def refused(source: str, **options: Any) -> ExpressionError:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(source, **options)
    return caught.value


def failed(source: str, **more: Any) -> EvaluationError:
    with pytest.raises(EvaluationError) as caught:
        value(source, **more)
    return caught.value


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("@Amount", 1500),
        ("Amount", 1500),
        ("  Amount\n\t> 1000 ", True),
        ("@Amount=1500", True),
        ("@Amount == 1500", True),
        ("@Amount <> 1500", False),
        ("@Amount != 1500", False),
        ("@Amount < 1500", False),
        ("@Amount <= 1500", True),
        ("@Amount > 1500", False),
        ("@Amount >= 1500", True),
        ("Ready and Late", False),
        ("Ready AND Ready", True),
        ("Ready && Ready", True),
        ("Late or Ready", True),
        ("Late || Late", False),
        ("not Late", True),
        ("NOT Late", True),
        ("!Late", True),
        ("! Late && !Late", True),
        ("true", True),
        ("False", False),
        ("NULL", None),
        ("'new' in Labels", True),
        ("'old' not in Labels", True),
        ("'ope' IN State", True),
        ("State in ['open', 'late']", True),
        ("State in ('open', 'late')", True),
        ("State in ('open')", True),
        ("State in ('ope')", False),
        ("State NOT IN ('late')", True),
        ("Amount in [-1, 1500]", True),
        ("Amount in []", False),
        ("Amount in ()", False),
        ("'new' in (Labels)", True),
        ("-Amount + 1", -1499),
        ("+Amount", 1500),
        ("--Amount", 1500),
        ("12", 12),
        ("0.5", Decimal("0.5")),
        ("1e3", 1000),
        ("1E-2", Decimal("0.01")),
    ],
)
def test_every_spelling_of_the_language(source: str, expected: Any) -> None:
    assert value(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (r"'it''s'", "it's"),
        (r'"say ""hi"""', 'say "hi"'),
        (r"'a\'b'", "a'b"),
        (r'"a\"b"', 'a"b'),
        (r"'a\\b\nc\td'", "a\\b\nc\td"),
        ("''", ""),
        ("'@Name'", "@Name"),
        ("'and or [not] (in)'", "and or [not] (in)"),
        ("'Größe 金額'", "Größe 金額"),
    ],
)
def test_texts_and_their_escapes(source: str, expected: str) -> None:
    assert value(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("2 + 3 * 4", 14),
        ("(2 + 3) * 4", 20),
        ("10 - 4 - 3", 3),
        ("24 / 4 / 2", 3),
        ("-2 * -3", 6),
        ("2 - -3", 5),
        ("true or false and false", True),
        ("(true or false) and false", False),
        ("not false and false", False),
        ("not (false and false)", True),
        ("not 1 > 2", True),
        ("! 1 = 2", True),
        ("not not true", True),
        ("1 + 1 = 2 and 2 * 2 > 3", True),
        ("Late = !Ready", True),
        ("Late = not Ready and Ready", True),
        ("(1 < 2) = true", True),
        ("1 + 1 in [2]", True),
        ("not 'x' in ['y']", True),
    ],
)
def test_what_binds_tighter(source: str, expected: Any) -> None:
    assert value(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("Order.Total", 12),
        ("@Order.Customer.Tier = 'gold'", True),
        ("Frozen.Key.Inner", 7),
        ("Order.note", None),
        ("@area:name", "north"),
        ("area:name = 'north'", True),
        ("@Due Date = 'soon'", True),
        ("@2nd level + 1", 3),
        ('@"Due Date"', "soon"),
        ("@'area:name'", "north"),
        ("@and + 1", 2),
        ("@Сумма > 4", True),
        ("金額 = 3", True),
        ("@true", KeyError),
    ],
)
def test_names_and_paths(source: str, expected: Any) -> None:
    if expected is KeyError:
        assert failed(source).code == "unknown_name"
    else:
        assert value(source) == expected


def test_the_longest_declared_name_wins_over_a_path() -> None:
    assert value("@Order.Total", dotted=("Order.Total",)) == 99
    assert value("Order.Total", dotted=("Order.Total", "Order.Tot")) == 99
    assert value("@Order.Totals", dotted=("Order.Total",), Order={"Totals": 4}) == 4, "a declared name stands as a whole or not at all"
    more: dict[str, Any] = {"Order.Total": {"Net": 80}, "Due Date": {"Year": 2031}}
    assert value("@Order.Total.Net", dotted=("Order.Total",), Order=None, **more) == 80
    assert value("@Due Date.Year", **more) == 2031


def test_a_name_with_spaces_needs_its_mark() -> None:
    assert refused("Due Date = 'soon'", dotted_names=DOTTED).code == "syntax_forbidden"
    assert value("Ready and not Late", dotted=("and not Late", "Ready and")) is True


def test_declaring_a_plain_name_takes_no_word_from_the_language() -> None:
    declared = ("in", "and", "true", "len", "Amount", "Labels")
    assert value("'new' in Labels and Amount > 1 and len(Labels) = 2", dotted=declared, true=0, len=0) is True
    assert value("@in + @len", dotted=declared, len=2, **{"in": 1}) == 3


def test_composed_and_decomposed_letters_are_one_name() -> None:
    composed, decomposed = "Gr\u00f6\u00dfe", "Gro\u0308\u00dfe"
    assert compile_expression(f"@{decomposed} > 1").names == {composed}
    assert value(f"@{decomposed}:x", dotted=(f"{composed}:x",), **{f"{composed}:x": 4}) == 4


def test_an_expression_says_which_parameters_it_uses_and_where() -> None:
    expression = compile_expression("@Amount > Limit.Max and has(Discount) and @Amount < len('Other')")
    assert expression.names == {"Amount", "Limit", "Discount"}
    assert expression.columns == {"Amount": 1, "Limit": 11, "Discount": 29}
    assert compile_expression("1 = 1").names == frozenset()


def test_an_expression_is_a_frozen_value() -> None:
    expression = compile_expression("@Amount > 1")
    assert expression == compile_expression("@Amount > 1") != compile_expression("@Amount > 2")
    assert isinstance(expression, Expression)
    with pytest.raises(AttributeError):
        expression.source = "true"  # type: ignore[misc]
    with pytest.raises(TypeError):
        expression.columns["Amount"] = 7  # type: ignore[index]


def test_the_right_side_is_not_looked_at_when_the_left_side_decides() -> None:
    asked: list[str] = []

    def lookup(name: str) -> Any:
        asked.append(name)
        return PARAMETERS[name]

    assert compile_expression("Late and Missing > 1").evaluate(lookup) is False
    assert compile_expression("Ready or 1 / 0 > 1 or Missing").evaluate(lookup) is True
    assert compile_expression("Ready and Late and Missing").evaluate(lookup) is False
    assert asked == ["Late", "Ready", "Ready", "Late"]


@pytest.mark.parametrize("source", ["Amount", "'true'", "null", "Labels", "Nothing", "1 + 0"])
def test_a_condition_must_be_true_or_false(source: str) -> None:
    with pytest.raises(EvaluationError) as caught:
        compile_expression(source).evaluate_bool(PARAMETERS.__getitem__)
    assert (caught.value.code, caught.value.source) == ("not_boolean", source)


def test_a_condition_gives_a_bool() -> None:
    assert compile_expression("Amount > 1").evaluate_bool(PARAMETERS.__getitem__) is True
    assert compile_expression("Late").evaluate_bool(PARAMETERS.__getitem__) is False


@pytest.mark.parametrize("source", ["Amount and Ready", "Ready and Amount", "Late or Name", "not Amount", "!Nothing", "Nothing or Ready"])
def test_logic_joins_booleans_only(source: str) -> None:
    assert failed(source).code == "not_boolean"


def test_now_is_an_argument() -> None:
    noon = datetime(2031, 12, 24, 12, tzinfo=UTC)
    expression = compile_expression("AddDays(now(), 1)")
    assert expression.evaluate(PARAMETERS.__getitem__, now=noon) == datetime(2031, 12, 25, 12, tzinfo=UTC)
    assert failed("now() = now()").code == "no_clock"


def test_unknown_names_are_errors_that_say_which() -> None:
    error = failed("Amount > 1 and Missing = 1")
    assert (error.code, error.parameter, error.source) == ("unknown_name", "Missing", "Amount > 1 and Missing = 1")
    error = failed("Order.Customer.Age > 3")
    assert (error.code, error.parameter) == ("unknown_name", "Order")
    assert "'Age'" in error.message


def test_a_path_through_something_else_than_a_dictionary_is_a_clash() -> None:
    assert failed("Nothing.Key").code == "type_clash"
    error = failed("Name.Length > 2")
    assert error.code == "type_clash"
    assert "Length(@Name)" in error.message


def test_a_path_never_makes_up_a_key() -> None:
    class Generous(dict[str, Any]):
        def __missing__(self, key: str) -> str:
            self[key] = "made up"
            return "made up"

    generous = Generous()
    assert failed("Bag.Key", Bag=generous).code == "unknown_name"
    assert generous == {}


def test_other_errors_of_the_lookup_pass_through() -> None:
    def broken(name: str) -> Any:
        raise ConnectionError(name)

    with pytest.raises(ConnectionError, match="Amount"):
        compile_expression("Amount > 1").evaluate(broken)


def test_values_of_parameters_stay_out_of_messages() -> None:
    for source in ("Amount < Secret", "Secret + 1", "Secret and Ready", "Secret.Key", "1 in Secret2", "abs(Secret)"):
        assert "hunter2" not in str(failed(source, Secret="hunter2", Secret2={"hunter2": 1}))


@pytest.mark.parametrize(
    ("source", "code", "column"),
    [
        ("", "syntax_forbidden", 1),
        ("  ", "syntax_forbidden", 3),
        ("Amount >", "syntax_forbidden", 9),
        ("> 3", "syntax_forbidden", 1),
        ("Amount 3", "syntax_forbidden", 8),
        ("(Amount > 3", "syntax_forbidden", 12),
        ("Amount > 3)", "syntax_forbidden", 11),
        ("1 < Amount < 3", "syntax_forbidden", 12),
        ("a = b = c", "syntax_forbidden", 7),
        ("a not b", "syntax_forbidden", 3),
        ("'open", "syntax_forbidden", 1),
        ("a = 'x\ny'", "syntax_forbidden", 5),
        (r"a = 'C:\dir'", "syntax_forbidden", 8),
        ("a = 'x\\", "syntax_forbidden", 7),
        ("@", "syntax_forbidden", 1),
        ("@ a", "syntax_forbidden", 1),
        ('@""', "syntax_forbidden", 1),
        (".5 > a", "syntax_forbidden", 1),
        ("007", "syntax_forbidden", 1),
        ("1_000", "syntax_forbidden", 1),
        ("0x10", "syntax_forbidden", 1),
        ("a \u00a0> 1", "syntax_forbidden", 3),
        ("a = 1; b", "syntax_forbidden", 6),
        ("len(a,)", "syntax_forbidden", 7),
        ("a in [1,]", "syntax_forbidden", 9),
        ("a in [1", "syntax_forbidden", 8),
        ("a ? b", "operator_forbidden", 3),
        ("a & b", "operator_forbidden", 3),
        ("a // b", "operator_forbidden", 3),
        ("[1, 2]", "node_forbidden", 1),
        ("len((1, 2))", "node_forbidden", 5),
        ("a in [b]", "node_forbidden", 7),
        ("a . b", "node_forbidden", 3),
        ("a[0]", "node_forbidden", 2),
        ("_a", "node_forbidden", 1),
        ("a._b", "node_forbidden", 1),
        ('@"_a"', "node_forbidden", 1),
        ("a in 5", "type_forbidden", 6),
        ("1 + 'a'", "type_forbidden", 5),
        ("'a' + b", "type_forbidden", 1),
        ("b - null", "type_forbidden", 5),
        ("true * 2", "type_forbidden", 1),
        ("-'a'", "type_forbidden", 2),
        ("1 and a", "type_forbidden", 1),
        ("a or 'x'", "type_forbidden", 6),
        ("not null", "type_forbidden", 5),
        ("a = 9223372036854775808", "number_out_of_range", 5),
        ("a = 1e1001", "number_out_of_range", 5),
    ],
)
def test_refusals_have_a_code_and_a_column(source: str, code: str, column: int) -> None:
    error = refused(source)
    assert (error.code, error.column, error.source) == (code, column, source)
    assert f"column {column}" in error.message


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("@Due.AddDays(3) > now()", "AddDays(@Due, 3)"),
        ("@Order.Due.adddays( 3 )", "AddDays(@Order.Due, 3)"),
        ("@Name.ToLower() = 'x'", "ToLower(@Name)"),
        ("'abc'.Contains('a')", "Contains('abc', 'a')"),
        ('@"Due Date".AddDays((1 + 2) * 3)', 'AddDays(@"Due Date", (1 + 2) * 3)'),
        ("lenght(a) > 1", "did you mean Length?"),
        ("1 < a < 3", "a < b and b < c"),
        ("a not b", "not in"),
        ("len(a, b)", "takes 1 argument, 2 were given"),
        ("min()", "takes 1 to 16 arguments"),
        ("has('a')", "has(@Discount)"),
        ("a = [1, 2]", "@State in ['open', 'late']"),
    ],
)
def test_refusals_say_what_to_write_instead(source: str, hint: str) -> None:
    assert hint in refused(source).message


def test_errors_pickle_and_belong_to_the_tree() -> None:
    for error in (refused("a >"), failed("Missing")):
        again = pickle.loads(pickle.dumps(error))
        assert isinstance(again, WorkflowError)
        assert (type(again), again.code, again.source, str(again)) == (type(error), error.code, error.source, str(error))
