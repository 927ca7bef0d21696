"""Measures the template and writes the results to RESULTS.md.

`nox -s bench` measures all sections, `nox -s bench -- --only figures --repeat 3` measures one of
them in three rounds. The exit status is 1 if a figure misses its goal.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks import deploys, images, observability, runners, type_checkers
from benchmarks.figures import HEAD, copy, figures, prepare
from benchmarks.measure import REPOSITORY, commit, output

RESULTS = REPOSITORY / "benchmarks" / "RESULTS.md"
PARTS = {
    "changes": runners.after_changes,
    "deploys": deploys.rows,
    "images": images.rows,
    "observability": observability.rows,
    "runners": runners.rows,
    "types": type_checkers.rows,
}


def working_tree(template: Path) -> None:
    """Copies this working tree to a new folder and commits it, because Copier copies commits."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in filter(None, output(words, REPOSITORY).split("\0")):
        if (REPOSITORY / name).exists():
            (template / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, template / name)
    commit(template)


def measured(part: str, repeat: int) -> tuple[list[str], list[str]]:
    """Measures a section; returns its lines and a sentence for each missed goal."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        work = Path(name)
        working_tree(work / "template")
        project = work / "shop"
        copy(work / "template", project)
        commit(project)
        if part == "figures":
            lines, missed = [*HEAD], []
            for figure in figures(work, project, repeat):
                print(figure.row, flush=True)
                lines.append(figure.row)
                missed += [figure.missed] if figure.missed else []
            return lines, missed
        prepare(project)
        return PARTS[part](project, repeat), []


def write(part: str, repeat: int, lines: list[str]) -> None:
    """Writes a section to RESULTS.md; replaces the section with the same title."""
    head, *sections = RESULTS.read_text(encoding="utf-8").split("\n## ")
    figures = "medians of the rounds (lowest–highest)"
    if part == "deploys":
        figures = "sums of the rounds, the longest gap and the slowest recovery"
    how = (
        f"`nox -s bench -- --only {part} --repeat {repeat}`, on {os.cpu_count()} cores, with "
        f"filled caches of the package managers: {figures}."
    )
    text = f"{part.capitalize()}\n\n{how}\n\n" + "\n".join(lines) + "\n"
    titles = [section.partition("\n")[0] for section in sections]
    if part.capitalize() in titles:
        sections[titles.index(part.capitalize())] = text
    else:
        sections.insert(0 if part == "figures" else len(sections), text)
    RESULTS.write_text("\n## ".join([head, *sections]), encoding="utf-8")
    print(text)


def main() -> None:
    """Measures one or all sections; exits with an error if a figure misses its goal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=9, help="rounds of each measurement")
    parser.add_argument("--only", choices=["figures", *PARTS], help="one section")
    given = parser.parse_args()
    # Where it is set, each measured program would compile its modules every time.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    missed = []
    for part in [given.only] if given.only else ["figures", *PARTS]:
        lines, sentences = measured(part, given.repeat)
        if sentences:
            lines += ["", "Missed goals:", "", *(f"- {sentence}" for sentence in sentences)]
        write(part, given.repeat, lines)
        missed += sentences
    if missed:
        sys.exit("These figures miss their goals:\n" + "\n".join(missed))


if __name__ == "__main__":
    main()
