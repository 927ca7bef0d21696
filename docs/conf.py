"""The configuration of the site: the pages of this folder, and those of a project in `project/`.

The session `docs` puts a rendered project there, so that no page is written twice. `PAGES` is the
order of the site. A broken link is an error.
"""

import re
from pathlib import Path
from typing import Any

REPOSITORY = "https://github.com/OWNER/slipway"
PAGES = {
    "Use it": [
        "start",
        "adopt",
        "baseline",
        "project/docs/update",
        "troubleshooting",
    ],
    "Work with it": [
        "project/docs/stages",
        "project/docs/members",
        "project/docs/environments",
        "project/docs/releases",
        "project/docs/observability",
        "project/docs/kubernetes",
        "project/docs/CONTRIBUTING",
        "project/docs/example",
    ],
    "Look it up": ["reference", "messages", "package-source", "decisions/README"],
}

project = "Slipway"
author = "The authors of Slipway"
extensions = ["myst_parser", "sphinx_copybutton", "sphinxcontrib.mermaid"]
root_doc = "index"
include_patterns = ["*.md", "decisions/*.md", "project/docs/*.md"]
myst_heading_anchors = 3
myst_fence_as_directive = ["mermaid"]
html_theme = "furo"
html_title = "Slipway"
html_show_sphinx = False
copybutton_exclude = ".linenos, .gp, .c1"  # comments are for reading


def arranged(app: Any, page: str, text: list[str]) -> None:
    """Rewrites links for the site, and adds the list of all pages to the first page."""
    if not page.startswith("project/"):
        up = re.escape("../" * (page.count("/") + 1))
        here = "../" * page.count("/")
        project_page = rf"\]\({up}template/(\S+?\.md)(?:\.jinja)?\b"
        text[0] = re.sub(project_page, rf"]({here}project/\1", text[0])
        text[0] = re.sub(rf"\]\({up}(?!project/)", f"]({REPOSITORY}/blob/main/", text[0])
    if page == root_doc:
        for caption, pages in PAGES.items():
            listed = "\n".join(pages)
            text[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{listed}\n```\n"
    if page == "decisions/README":
        records = sorted(file.stem for file in Path(app.srcdir, "decisions").glob("0*.md"))
        text[0] += "\n```{toctree}\n:hidden:\n\n" + "\n".join(records) + "\n```\n"


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("source-read", arranged)
