"""What `inv env.show` and `inv env.diff` show of secrets and URLs; in memory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from slipway_ops.environments import comparison, contract, masking
from slipway_ops.environments.variable import Variable

HIDDEN = "hunter2"
M = masking.MASK


@pytest.mark.parametrize(
    ("kind", "value", "shown"),
    [
        ("URL", "https://llm.example:8443/v1", "https://llm.example:8443/v1"),
        ("URL", f"https://app:{HIDDEN}@llm.example/v1", f"https://{M}@llm.example/v1"),
        ("URL", f"https://:{HIDDEN}@llm.example", f"https://{M}@llm.example"),
        ("URL", f"https://{HIDDEN}@llm.example", f"https://{M}@llm.example"),
        ("URL", f"https://app:p%40{HIDDEN}%2F@[::1]:1/", f"https://{M}@[::1]:1/"),
        ("URL", f"https://app:p@{HIDDEN}@llm.example", f"https://{M}@llm.example"),
        ("URL", f"https://llm.example/v1?api_key={HIDDEN}", f"https://llm.example/v1?{M}"),
        ("URL", f"https://llm.example/#token={HIDDEN}", f"https://llm.example/#{M}"),
        ("URL", f"https://app:p/{HIDDEN}@llm.example", M),
        ("URL", f"https://app:1/{HIDDEN}@llm.example", M),
        ("URL", f"https://app:p#{HIDDEN}@llm.example", M),
        ("URL", f"https://app:{HIDDEN}", M),
        ("URL", f"https://app:{HIDDEN} b@llm.example", M),
        ("URL", f"https://llm.example/?token={HIDDEN} {HIDDEN}", M),
        ("URL", f"https://llm.example\\{HIDDEN}:1/", M),
        ("URL", f"https://[{HIDDEN}", M),
        ("URL", f"http:/app:{HIDDEN}@llm.example", M),  # pydantic accepts it as a URL
        ("URL", "ssh://deploy@staging.example", "ssh://deploy@staging.example"),
        ("URL", f"ssh://deploy:{HIDDEN}@staging.example", f"ssh://{M}@staging.example"),
        ("URL", "unix:///var/run/docker.sock", "unix:///var/run/docker.sock"),
        (
            "web addresses",
            f"https://a:{HIDDEN}@shop.example https://b.example/?k={HIDDEN}",
            f"https://{M}@shop.example https://b.example/?{M}",
        ),
        ("web addresses", f"https://a.example https://b:x {HIDDEN}@b.example", M),
        (
            "JSON list",
            json.dumps([f"https://a:{HIDDEN}@a.example", f'https://b.example/?k=a,"{HIDDEN}', 1]),
            json.dumps([f"https://{M}@a.example", f"https://b.example/?{M}", 1]),
        ),
        (
            "JSON object",
            json.dumps({"a": {"b": f"https://a:{HIDDEN}@a.example"}}),
            json.dumps({"a": {"b": f"https://{M}@a.example"}}),
        ),
        ("JSON list", f"[https://a:{HIDDEN}@a.example", M),
        (
            "text",
            f"see (https://a:{HIDDEN}@a.example), or 'https://b.example'.",
            f"see (https://{M}@a.example), or 'https://b.example'.",
        ),
        (
            "text",
            f"https://a:{HIDDEN}@a.example,https://b.example/?k={HIDDEN},{HIDDEN}",
            f"https://{M}@a.example,https://b.example/?{M}",
        ),
        ("text", f"https://a:1 {HIDDEN}@a.example", M),
        ("text", "postgres:17@sha256:0123", "postgres:17@sha256:0123"),
        ("text", "", ""),
    ],
)
def test_the_password_in_a_url_is_masked_and_its_host_is_shown(
    kind: str, value: str, shown: str
) -> None:
    assert masking.seen(value, kind, secret=False) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (HIDDEN, M),
        (
            f"postgresql://app:{HIDDEN}@database:5432/{HIDDEN}",
            f"postgresql://{M}@database:5432/{M}",
        ),
        (f"https://hooks.example/{HIDDEN}/b?c={HIDDEN}", f"https://hooks.example/{M}?{M}"),
        (f"postgresql://app:{HIDDEN}@one,two/app", M),
        (f"abc://{HIDDEN}/@x", M),
        (f"abc:///{HIDDEN}", M),
        ("", ""),
    ],
)
def test_a_secret_shows_at_most_the_host_of_its_url(value: str, shown: str) -> None:
    assert masking.seen(value, "text", secret=True) == shown


def test_a_comparison_of_secrets_shows_only_whether_they_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = [Variable(name, "agents", "text", "", secret=True) for name in ("A", "B", "C", "D")]
    known += [Variable(name, "agents", "URL", "") for name in ("U", "V", "W", "X")]
    monkeypatch.setattr(contract, "read", lambda root: known)
    url = f"https://a:{HIDDEN}@llm.example"
    (tmp_path / ".env.staging").write_text(
        f"A={HIDDEN}\nB={HIDDEN}\nC={url}\nD=\nU={url}\nV={url}\nW={url}\nUNKNOWN={HIDDEN}\n"
    )
    (tmp_path / ".env.production").write_text(
        f"A={HIDDEN}\nB={HIDDEN}x\nC={url}/x\nD={HIDDEN}\nU={url}/x\nV={url.replace('a:', 'b:')}\n"
        f"W={url}\n"
    )
    found = comparison.differences(tmp_path, "staging", "production")
    seen = f"https://{M}@llm.example"
    assert found == [
        ("A", "same"),
        ("B", "differs"),
        ("C", "differs"),
        ("D", "only in production"),
        ("U", f"staging {seen}, production {seen}/x"),
        ("UNKNOWN", "only in staging"),
        ("V", f"staging {seen}, production {seen}; the masked parts differ"),
    ]
    assert HIDDEN not in str(comparison.shown(tmp_path, "production"))
