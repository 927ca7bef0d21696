"""What is believed of a request's own words, and what it carries on."""

import pytest
from runtime.context import begin, current, entered

TRACE, SPAN = "0a" * 16, "b7" * 8


@pytest.mark.parametrize("own", ["a", "b3c1-4f.5_6", "A" * 64])
def test_a_safe_id_is_kept(own: str) -> None:
    assert begin(own).request_id == own


@pytest.mark.parametrize("odd", [None, "", "A" * 65, "a b", "a\nb", "a\r", "ü", "a;b", '"', "$(x)"])
def test_another_id_is_replaced(odd: str | None) -> None:
    made = begin(odd)
    assert made.request_id == made.trace_id and len(made.trace_id) == 32
    assert begin(odd).request_id != made.request_id


@pytest.mark.parametrize("given", [f"00-{TRACE}-{SPAN}-01", f"cc-{TRACE}-{SPAN}-01-what-comes"])
def test_a_valid_trace_goes_on_with_a_step_of_its_own(given: str) -> None:
    context = begin("a", given)
    assert (context.trace_id, context.flags) == (TRACE, "01")
    assert context.span_id != SPAN
    assert context.headers["traceparent"] == f"00-{TRACE}-{context.span_id}-01"
    child = context.child()
    assert (child.request_id, child.trace_id, child.flags) == ("a", TRACE, "01")
    assert child.span_id not in (SPAN, context.span_id)


@pytest.mark.parametrize(
    "given",
    [
        "",
        "00",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-0x",
        f"00-{TRACE}-{SPAN}-01\n",
    ],
)
def test_a_trace_that_is_none_is_made_anew(given: str) -> None:
    context = begin("a", given)
    assert context.trace_id != TRACE and context.flags == "00"


def test_a_context_ends_with_its_block() -> None:
    with entered(begin("a")) as context:
        assert current.get() is context
        assert context.headers["x-request-id"] == "a"
        assert context.trace_id in context.headers["traceparent"]
    assert current.get() is None
