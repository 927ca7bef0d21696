"""Reading the output of the tools; and the doubles, compared with the real services."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from doubles import KNOWN_FOR_YEARS, Advisory, absent_services, advisory_services
from slipway_ops.stages.audit import audits
from slipway_ops.stages.audit.policy import (
    Finding,
    advice,
    cause,
    host,
    npm_findings,
    pip_audit_findings,
    table,
)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        (
            "Traceback\nrequests.exceptions.ConnectionError: ... Connection refused",
            "(connection refused)",
        ),
        (
            "request to http://x/ failed, reason: connect ECONNREFUSED 127.0.0.1:9",
            "(connection refused)",
        ),
        ("request to http://x/ failed, reason: getaddrinfo ENOTFOUND x", "(no such host)"),
        ("requests.exceptions.ReadTimeout: Read timed out. (read timeout=15)", "in time"),
        (
            "requests.exceptions.SSLError: [SSL: CERTIFICATE] certificate verify failed",
            "certificate",
        ),
        ("405 Method Not Allowed - POST http://x/-/npm/v1/security", "HTTP status 405"),
        (
            "requests.exceptions.HTTPError: 503 Server Error: x\n  raise ServiceError\n"
            "pip_audit._service.interface.ServiceError",
            "HTTP status 503",
        ),
        ("requests.exceptions.JSONDecodeError: Expecting value: line 1 column 1", "not JSON"),
        (
            "npm error Surprise\nnpm error A complete log of this run can be found in: /x",
            "(npm error Surp",
        ),
        ("", "gave no answer that npm audit can read (no output)"),
    ],
)
def test_the_errors_of_a_tool_become_the_end_of_a_sentence(text: str, meaning: str) -> None:
    assert meaning in cause(text, "npm audit")


def test_credentials_in_an_address_are_never_shown() -> None:
    assert host("https://user:secret@mirror.invalid:8443/v1/query") == "mirror.invalid:8443"
    assert "secret" not in cause("ValueError: bad https://user:secret@mirror.invalid/", "x")


def test_a_package_that_pip_audit_skipped_counts_as_not_audited() -> None:
    skipped = {"name": "odd", "skip_reason": "not found"}
    clean = {"name": "Deep_Thought", "version": "1", "vulns": []}
    assert pip_audit_findings({"dependencies": [skipped, clean]}) == {("deep-thought", "1"): []}


NPM = advice("npm", Path("/shop/apps/frontend"), Path("/shop"))


def test_a_cycle_of_npm_packages_ends_the_chain() -> None:
    advisory = {"url": "https://x.invalid/GHSA-1", "source": 1, "title": "t", "severity": "info"}
    entry = {"nodes": ["node_modules/a"], "isDirect": False, "fixAvailable": False}
    vulnerable = {
        "a": entry
        | {
            "via": [advisory | {"range": ">=1.0.0 <1.2.0 || >=2.0.0 <2.1.0-rc.1"}],
            "effects": ["b"],
        },
        "b": entry | {"via": ["a"], "effects": ["a"], "nodes": ["node_modules/b"]},
    }
    (finding,) = npm_findings(vulnerable, {"node_modules/a": {"version": "1.0.0"}}, NPM)
    assert (finding.brought_by, finding.fixed_in) == ("b", "1.2.0, 2.1.0-rc.1")


def test_the_columns_of_the_table_are_aligned() -> None:
    none: frozenset[str] = frozenset()
    long = Finding(
        "a-long-name", "1", "GHSA-1", none, "Long " * 50, "2", "do this", "high", "x > y"
    )
    lines = table([long, Finding("b", "1.10", "PYSEC-2026-100", none, "Short", "-", "do that")])
    rows = [lines[1], lines[3], lines[6]]
    assert {row.index(word) for row, word in zip(rows, ("version", "1 ", "1.10"), strict=True)} == {
        13
    }
    assert max(map(len, lines)) <= 104


def test_an_empty_column_is_left_out() -> None:
    finding = Finding("x", "1", "PYSEC-2026-1", frozenset({"17", "CVE-1"}), "t", "-", "do this")
    head, rule, row, title, _ = table([finding])[1:6]
    assert head.split() == ["package", "version", "advisory"] and row.split() == [
        "x",
        "1",
        finding.advisory,
    ]
    assert len(rule) == max(len(head), len(row)) and title.endswith("(also CVE-1)")


def test_the_audits_ask_about_versions_with_old_advisories() -> None:
    python, npm = KNOWN_FOR_YEARS
    assert (python.package, npm.package) == (audits.KNOWN_PYTHON[0], audits.KNOWN_NPM[0])


def test_the_double_of_osv_answers_as_the_schema_of_osv_requires() -> None:
    for advisory in (*KNOWN_FOR_YEARS, Advisory("PyPI", "x", "PYSEC-2026-1", fixed="2")):
        entry = advisory.as_osv()
        assert {"id", "modified"} <= set(entry)
        assert re.fullmatch(r"1\.\d+\.\d+", entry["schema_version"])
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", entry["modified"])
        for affected in entry["affected"]:
            assert set(affected["package"]) == {"ecosystem", "name"}
            for events in (each["events"] for each in affected["ranges"]):
                assert "introduced" in events[0] and all(len(event) == 1 for event in events)


def test_a_double_stops_at_the_end_of_its_block() -> None:
    with advisory_services() as services:
        port = int(services.address.rpartition(":")[2])
        socket.create_connection(("127.0.0.1", port)).close()
    for gone in (services, absent_services()):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", int(gone.address.rpartition(":")[2])))
