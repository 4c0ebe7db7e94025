"""Check every link of the finished site, and those of pages that GitHub shows.

    python -m scripts.docs.links build/docs

On the site each relative link must lead to a file, each anchor to an element, each picture to a
picture. Links into our own repository or our own site are looked up in this checkout and in the
finished site. Other addresses are not asked here: Sphinx's `linkcheck` builder does that.
"""

from __future__ import annotations

import re
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from scripts.docs.pages import BRANCH, REPOSITORY, ROOT, SITE

RAW = REPOSITORY.replace("https://github.com/", "https://raw.githubusercontent.com/")
MARKDOWN_LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)[^)]*\)")
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


class Page(HTMLParser):
    """The links of an HTML page, and the anchors that it offers."""

    def __init__(self, text: str):
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect what one tag links to, and what it can be linked by."""
        found = {name: value for name, value in attrs if value}
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        link = found.get("href" if tag in ("a", "link") else "src")
        if link and tag in ("a", "link", "img", "script", "source", "video", "iframe"):
            self.links.append(link)


@cache
def read(path: Path) -> Page:
    """A page of the site, parsed once."""
    return Page(path.read_text(encoding="utf-8"))


def site_complaints(site: Path) -> list[str]:
    """What is wrong with the links of a finished site, a line each."""
    complaints = []
    for path in sorted(site.rglob("*.html")):
        for link in dict.fromkeys(read(path).links):
            problem = _problem(link, path, site)
            if problem:
                complaints.append(f"{path.relative_to(site)}: {link}: {problem}")
    return complaints


def _problem(link: str, page: Path, site: Path) -> str:
    """Why a link of ``page`` leads nowhere; "" if it leads somewhere, or elsewhere."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return repository_problem(link) or _own_site_problem(link, site)
    target = page if not parts.path else page.parent / unquote(parts.path)
    return _missing(target, unquote(parts.fragment))


def _own_site_problem(link: str, site: Path) -> str:
    if not link.startswith(SITE):
        return ""
    parts = urlsplit(link.removeprefix(SITE))
    return _missing(site / unquote(parts.path), unquote(parts.fragment))


def _missing(target: Path, anchor: str) -> str:
    target = target / "index.html" if target.is_dir() else target
    if not target.is_file():
        return "there is no such file"
    if anchor and target.suffix == ".html" and anchor not in read(target.resolve()).anchors:
        return f"there is no such place in {target.name}"
    return ""


def repository_problem(link: str, root: Path = ROOT) -> str:
    """Why a link into our repository's main branch leads nowhere; "" if it does, or is another."""
    for start in (f"{REPOSITORY}blob/{BRANCH}/", f"{REPOSITORY}tree/{BRANCH}/", f"{RAW}{BRANCH}/"):
        if link.startswith(start):
            path = unquote(urlsplit(link.removeprefix(start)).path)
            return "" if (root / path).exists() else "the repository has no such file"
    return ""


def markdown_complaints(path: Path, site: Path | None = None) -> list[str]:
    """What is wrong with the links of a Markdown file that GitHub or a package index shows."""
    complaints = []
    text = FENCED.sub("", path.read_text(encoding="utf-8"))
    for link in dict.fromkeys(MARKDOWN_LINK.findall(text)):
        parts = urlsplit(link)
        problem = repository_problem(link)
        if site is not None:
            problem = problem or _own_site_problem(link, site)
        relative = not parts.scheme and parts.path
        if relative and not (path.parent / unquote(parts.path)).exists():
            problem = "there is no such file"
        if problem:
            complaints.append(f"{path.name}: {link}: {problem}")
    return complaints


def main() -> int:
    """Check the site in the folder that was given; print what is wrong."""
    site = Path(sys.argv[1] if len(sys.argv) > 1 else "build/docs").resolve()
    pages = [ROOT / "README.md", ROOT / "notebooks" / "README.md", ROOT / "CONTRIBUTING.md"]
    complaints = site_complaints(site)
    for page in pages:
        complaints += markdown_complaints(page, site)
    count = len(list(site.rglob("*.html")))
    print("\n".join(complaints) or f"{count} pages: every link leads somewhere")
    return int(bool(complaints))


if __name__ == "__main__":
    sys.exit(main())
