"""What one request carries through every process that works for it: an id and a trace.

The id comes from the header X-Request-ID, the trace from `traceparent` (W3C Trace Context), each
only if it is valid; otherwise they are made. They travel on in the arguments of queued tasks and
in the headers of calls to others.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

# Nothing that a log, a header or a shell could stumble over.
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# Version, trace, the caller's span, flags; versions after 00 may add parts. Zeros are not valid.
_TRACEPARENT = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
)


class Context(NamedTuple):
    """The request that is worked for, and this step of its trace.

    Attributes:
        request_id: 1 to 64 letters, digits, dots, hyphens or underscores.
        trace_id: 32 hexadecimal digits, the same in every step.
        span_id: 16 hexadecimal digits, of this step alone.
        flags: two hexadecimal digits; "01" asks everybody to record the trace.
        parent_id: the step that led to this one; "" for none.
    """

    request_id: str
    trace_id: str
    span_id: str
    flags: str = "00"
    parent_id: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """What a call to others takes along."""
        traceparent = f"00-{self.trace_id}-{self.span_id}-{self.flags}"
        return {"x-request-id": self.request_id, "traceparent": traceparent}

    def child(self) -> "Context":
        """Return the next step, such as a call to others."""
        return self._replace(span_id=os.urandom(8).hex(), parent_id=self.span_id)


fresh_flags = "00"  # of traces that begin here
current: ContextVar[Context | None] = ContextVar("context", default=None)


def begin(request_id: str | None = None, traceparent: str | None = None) -> Context:
    """Return a step of the request and the trace that the caller names, if they are valid."""
    trace_id, flags, parent_id = os.urandom(16).hex(), fresh_flags, ""
    if traceparent and (found := _TRACEPARENT.fullmatch(traceparent)):
        version, trace, parent, given, more = found.groups()
        if not (version == "00" and more):
            trace_id, flags, parent_id = trace, given, parent
    if not request_id or not _REQUEST_ID.fullmatch(request_id):
        request_id = trace_id
    return Context(request_id, trace_id, os.urandom(8).hex(), flags, parent_id)


@contextmanager
def entered(context: Context) -> Iterator[Context]:
    """Make a context the current one inside the `with` block."""
    token = current.set(context)
    try:
        yield context
    finally:
        current.reset(token)
