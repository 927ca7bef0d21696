"""The errors and tables of `inv dev` before it starts anything, in small projects."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from engine.dev.terminal import Terminal, free, free_ports, python

from slipway_ops.dev import postgres, product
from slipway_ops.errors import SlipwayError
from slipway_ops.project import Member
from support import BIN, Project

ROOT = """
[tool.slipway]
recipe = 2
slug = "small"
python = "3.13"

[tool.uv.workspace]
members = ["services/*"]
"""

Make = Callable[..., Project]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes a project with empty members, each one's kind by its name."""

    def make_this(**kinds: str) -> Project:
        project = Project(tmp_path / "small")
        project.write("pyproject.toml", ROOT)
        project.write("tasks.py", "from slipway_ops.tasks import namespace\n")
        for name, kind in kinds.items():
            if kind == "app":
                project.write(f"apps/{name}/package.json", '{"dependencies": {"vite": "^8"}}')
                project.write(f"apps/{name}/index.html", "<html></html>\n")
                project.write(f"apps/{name}/package-lock.json", "{}")
            else:
                table = f'[tool.slipway]\nkind = "{kind}"\n'
                project.write(f"services/{name}/pyproject.toml", table)
        return project

    return make_this


def test_without_api_worker_and_app_the_error_says_how_to_add_one(make: Make) -> None:
    done = make().run(BIN / "inv", "dev")
    assert done.returncode == 1
    assert done.stdout == (
        "There is nothing to start: this project has no API, no worker and no app. Add one with "
        "`inv add api backend`, `inv add worker agents` or `inv add app frontend`.\n"
    )


def test_inv_dev_does_not_start_with_the_values_of_staging(make: Make) -> None:
    project = make(backend="api")
    project.write(".env.staging", "BACKEND_QUEUE=theirs\n")
    (project.path / ".env").symlink_to(".env.staging")
    done = project.run(BIN / "inv", "dev")
    assert done.returncode == 1
    assert ".env.staging is active" in done.stdout
    assert "inv env.use development" in done.stdout


def test_a_taken_port_is_named_with_its_program_and_a_free_port(make: Make) -> None:
    base = free_ports(4)
    code = (
        f"import socket, time; s = socket.create_server(('127.0.0.1', {base + 1})); print('up')\n"
    )
    project = make(billing="api", shop="api")
    with Terminal(python(code + "time.sleep(60)"), project.path) as other:
        other.wait_for("up")
        done = project.run(BIN / "inv", "dev", "--port", str(base))
        assert done.returncode == 1
        assert f"Port {base + 1}, which shop needs, is taken " in done.stdout
        assert "or choose other ports: inv dev --port " in done.stdout
        if shutil.which("lsof"):
            assert f"(process {other.popen.pid})" in done.stdout
        proposed = int(done.stdout.rsplit(maxsplit=1)[-1])
        assert proposed > base and all(free(proposed + n) for n in range(4))
    assert not (project.path / postgres.DATA).exists()
    assert not (project.path / "uv.lock").exists()


def test_a_taken_port_is_named_even_if_its_program_is_unknown(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(SlipwayError, match=r"taken \(by `inv dev` of another project, or"):
            product.run(make(shop="api").path, port)


def test_a_program_that_listens_on_all_addresses_takes_the_port_too(make: Make) -> None:
    with socket.create_server(("0.0.0.0", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(SlipwayError, match=f"Port {port}, which web needs"):
            product.run(make(web="app").path, port)


@pytest.mark.parametrize("port", [80, 65535])
def test_a_port_that_cannot_be_used_is_refused(make: Make, port: int) -> None:
    with pytest.raises(SlipwayError, match=f"--port must be from 1024 to 65533, not {port}"):
        product.run(make(shop="api", web="app").path, port)


def test_a_second_run_in_the_same_project_names_the_first(make: Make) -> None:
    project = make(shop="api")
    code = (
        "import pathlib, time; from slipway_ops.dev import product\n"
        "with product.hold_project(pathlib.Path(), 8123): print('up'); time.sleep(60)"
    )
    with Terminal(python(code), project.path) as first:
        first.wait_for("up")
        done = project.run(BIN / "inv", "dev")
        assert done.returncode == 1
        assert done.stdout == (
            f"`inv dev` already runs in this project: http://127.0.0.1:8123 (process "
            f"{first.popen.pid}). Use that one, or end it: kill {first.popen.pid}\n"
        )


def test_a_missing_lock_in_ci_is_an_error(make: Make) -> None:
    base = free_ports(1)
    project = make(shop="api", cron="timer")
    done = project.run(BIN / "inv", "dev", "--port", str(base), CI="true")
    assert done.returncode == 1
    _, _, said = done.stdout.partition("setup ended with exit status 1. Its last lines:\n")
    assert "uv.lock is missing" in said
    assert "cron is left out: its kind is neither api nor worker." in done.stdout
    assert "Traceback" not in done.stdout


def test_two_members_with_the_same_name_are_an_error(make: Make) -> None:
    project = make(shop="api")
    project.write("apps/shop/package.json", "{}")
    done = project.run(BIN / "inv", "dev")
    assert done.returncode == 1
    assert "Two members are called 'shop'" in done.stdout and "Traceback" not in done.stdout


def test_the_table_names_the_app_first_and_how_to_ask_without_an_api(tmp_path: Path) -> None:
    def table(*kinds: str) -> list[str]:
        ports = {
            Member(f"a{kind}", tmp_path, kind, tmp_path): 8000 + n for n, kind in enumerate(kinds)
        }
        return product.table(ports, "postgresql://here").splitlines()

    assert table("app", "api", "worker") == [
        "  aapp      http://127.0.0.1:8000",
        "  aapi      http://127.0.0.1:8001/docs",
        "  aworker   http://127.0.0.1:8002/readyz",
        "  postgres  postgresql://here",
        "",
        "Ctrl-C ends everything; the data stays in .dev/postgres.",
    ]
    assert "AWORKER_DATABASE_URL=postgresql://here .venv/bin/python -m aworker ask" in (
        "\n".join(table("worker"))
    )
    assert table("app") == ["  aapp  http://127.0.0.1:8000", "", "Ctrl-C ends everything."]


def test_every_app_reaches_every_api_and_services_listen_only_on_loopback(
    tmp_path: Path,
) -> None:
    web, shop, billing = (
        Member(name, tmp_path / name, kind, tmp_path)
        for name, kind in (("web", "app"), ("shop", "api"), ("billing", "api"))
    )
    ports = {web: 8000, billing: 8001, shop: 8002}
    web.path.mkdir()
    (web.path / "package-lock.json").touch()
    assert product.program(web, tmp_path, ports, "").env["API_PROXY"] == (
        '{"/api/billing": "http://127.0.0.1:8001", "/api/shop": "http://127.0.0.1:8002"}'
    )
    assert product.program(shop, tmp_path, ports, "postgresql://here").env == {
        "SHOP_ENVIRONMENT": "development",
        "SHOP_DATABASE_URL": "postgresql://here",
        "SHOP_HOST": "127.0.0.1",
        "SHOP_PORT": "8002",
        "SHOP_INTERNAL_PORT": "8004",
    }


def test_a_path_that_is_too_long_for_a_socket_gets_another_folder(tmp_path: Path) -> None:
    with postgres.socket_folder(Path("/srv/shop")) as sockets:
        assert sockets == Path("/srv/shop/.dev/postgres")
    with postgres.socket_folder(tmp_path / ("long" * 30)) as sockets:
        assert sockets.is_dir() and sockets.stat().st_mode & 0o077 == 0
    assert not sockets.exists()
    assert postgres.url(Path("/a b")) == "postgresql://postgres@/postgres?host=/a%20b"
