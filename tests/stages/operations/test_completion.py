"""The Tab key, as docs/stages.md of a project sets it up, in a real bash."""

from __future__ import annotations

import os
import re
import shutil

import pytest

from support import BIN, REPOSITORY, Project, need

DOCUMENT = REPOSITORY / "template/docs/stages.md"
TAB = """
{setup}
words=({line})
COMP_WORDS=("${{words[@]}}" {empty}) COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
function=$(complete -p inv | sed 's/.* -F \\([^ ]*\\) .*/\\1/')
"$function" inv "${{COMP_WORDS[COMP_CWORD]}}"
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("inv dep", {"deploy"}),
        ("inv deploy st", {"staging", "status"}),
        ("inv env.use ", {"development", "staging", "production"}),
        ("inv deploy --en", {"--environment"}),
    ],
)
def test_the_tab_key_completes_tasks_words_and_flags(
    without_members: Project, typed: str, offered: set[str]
) -> None:
    need(shutil.which("bash") is not None, "bash is not installed")
    text = DOCUMENT.read_text(encoding="utf-8")
    [setup] = re.findall(r"^source .*inv.* bash\)$", text, re.MULTILINE)
    empty = '""' if typed.endswith(" ") else ""
    script = TAB.format(setup=setup, line=typed, empty=empty)
    done = without_members.run("bash", "-c", script, PATH=f"{BIN}{os.pathsep}{os.environ['PATH']}")
    assert done.returncode == 0, done.stdout
    assert offered <= set(done.stdout.split())
    assert all(each.startswith(typed.split(" ")[-1]) for each in done.stdout.split())
