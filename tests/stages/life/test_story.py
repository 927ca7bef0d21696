"""The whole life of a project, in order, and the printed next steps."""

from __future__ import annotations

import os
import re
from pathlib import Path

from support import BIN, REPOSITORY, Project, clean_environment, run


def next_steps(output: str) -> list[str]:
    """The commands of Copier's message, as somebody without uv types them."""
    found = re.search(r"Next:\n\n((?: +.+\n)+)(?:.+\n|\n)+?.*no uv.*\n\n +(.+)\n", output)
    assert found, output
    steps = [line.strip() for line in found[1].splitlines()]
    first = next(number for number, step in enumerate(steps) if step.startswith("uv run"))
    return [*steps[:first], found[2], *steps[first:]]


def command(ending: str) -> str:
    """The only command of the README with this ending."""
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", readme, flags=re.MULTILINE | re.DOTALL)
    [found] = (block.strip() for block in blocks if block.strip().endswith(ending))
    return str(found)


def test_the_life_of_a_project(template: Path, tmp_path: Path) -> None:
    # A user runs the README's command in a new clone, with an empty home.
    first = command("nox -s demo")
    home = tmp_path / "home"
    home.mkdir()
    run("git", "clone", "--quiet", template, tmp_path / "slipway", cwd=tmp_path)
    # Earlier downloads are used, because this tests the command and not the network.
    uv = run(BIN / "uv", "cache", "dir", cwd=tmp_path).stdout.strip()
    npm = run("npm", "config", "get", "cache", cwd=tmp_path).stdout.strip()
    env = clean_environment(HOME=str(home), UV_CACHE_DIR=uv, npm_config_cache=npm)
    # This machine has no uv: the printed steps install it.
    folders = os.environ["PATH"].split(os.pathsep)
    env["PATH"] = os.pathsep.join(each for each in folders if not Path(each, "uv").exists())
    done = run("bash", "-c", first, cwd=tmp_path / "slipway", env=env, timeout=900)
    assert done.returncode == 0, done.stdout[-6000:]
    for session in ("lint(backend)", "lint(frontend)", "test(agents)", "test(frontend)"):
        assert f"{session}: success" in done.stdout
    shop = Project(tmp_path / "slipway" / ".demo" / "shop")
    assert (shop.path / "uv.lock").exists()

    # It made a project and printed the next steps, and that the checks can run after them: here
    # they run for one member, with the tools that the steps have installed.
    steps = next_steps(done.stdout)
    assert len(steps) == 6 and "`nox -s lint test scan`" in done.stdout, steps
    steps.append('nox -s "lint(agents)" "test(agents)" "scan(agents)"')
    script = "set -e\n" + "\n".join(steps)
    done = run("bash", "-c", script, cwd=tmp_path, env=env, timeout=900)
    assert done.returncode == 0, done.stdout[-6000:]
    assert shop.git("status", "--porcelain") == ""
    assert shop.git("log", "--format=%s").splitlines() == ["feat: start from the template"]

    # Formatting finds nothing to do.
    shop.green("-s", "format")
    assert shop.git("status", "--porcelain") == ""
    hooks = shop.run(".venv/bin/pre-commit", "run", "--all-files")
    assert hooks.returncode == 0, hooks.stdout[-6000:]

    # A feature is added with its test, and committed through the hooks.
    shop.write(
        "libs/runtime/src/runtime/text.py",
        '"""Small helpers for text."""\n\n\ndef shout(text: str) -> str:\n'
        '    """The text in upper case."""\n    return text.upper()\n',
    )
    shop.write(
        "libs/runtime/tests/test_text.py",
        "from runtime.text import shout\n\n\n"
        'def test_it_is_loud() -> None:\n    assert shout("a") == "A"\n',
    )
    shop.git("add", "--all")
    done = shop.run("git", "commit", "--message", "feat: shout")
    assert done.returncode == 0, done.stdout[-6000:]
    output = shop.green("-s", "test(runtime)", "--", "-k", "loud")
    assert "1 passed" in output

    # The hooks catch a mistake, and an invalid message.
    shop.replace("libs/runtime/src/runtime/text.py", '"""Small', 'import os\n\n"""Small')
    shop.git("add", "--all")
    done = shop.run("git", "commit", "--message", "feat: import")
    assert done.returncode != 0 and "F401" in done.stdout, done.stdout[-4000:]
    shop.git("reset", "--quiet", "--hard")
    shop.write("docs/notes.md", "Notes.\n")
    shop.git("add", "--all")
    done = shop.run("git", "commit", "--message", "some notes")
    assert done.returncode != 0 and "    feat: " in done.stdout, done.stdout[-4000:]
    done = shop.run("git", "commit", "--message", "docs: some notes")
    assert done.returncode == 0, done.stdout[-4000:]

    # One more API, by one command.
    done = shop.run(".venv/bin/inv", "add", "api", "billing")
    assert done.returncode == 0, done.stdout[-4000:]
    assert "BILLING_DATABASE_URL" in done.stdout
    done = shop.run(".venv/bin/python", "-c", "import billing.app")
    assert done.returncode == 0, done.stdout[-4000:]
    changed = shop.git("status", "--porcelain", "--untracked-files=all")
    assert "services/billing/src/billing/app.py" in changed and " M uv.lock" in changed
    assert (shop.path / "libs/runtime/src/runtime/text.py").exists()
    shop.git("add", "--all")
    shop.git("commit", "--quiet", "--message", "feat: billing")

    # The new member is checked.
    shop.green("-t", "billing")
    shop.green("-s", "lint(repo)")
    assert shop.git("status", "--porcelain") == ""


def test_with_uv_one_command_is_enough(rendered: Project, tmp_path: Path) -> None:
    rendered.git("clone", "--quiet", str(rendered.path), str(tmp_path / "shop"))
    shop = Project(tmp_path / "shop")
    done = shop.run("uv", "run", "nox", "-s", "lint(runtime)")
    assert done.returncode == 0, done.stdout[-4000:]
    assert "lint(runtime) was successful" in done.stdout
    assert shop.git("status", "--porcelain").split() == ["??", "uv.lock"]


def test_ci_runs_the_test_command_of_the_readme() -> None:
    lines = (REPOSITORY / ".ci/run").read_text(encoding="utf-8").splitlines()
    assert command("nox -s test") in lines
