"""What the site adds to docs/: pages and files of the repository that they link to, and plain docstrings."""

import inspect
import os
import re
import shutil
import sys
from pathlib import Path
from posixpath import dirname, join, normpath, relpath
from typing import Any

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
ELSEWHERE = "repository/"  # where the site has what lies outside docs/
TOP = ("README.md", "LOG.md", "CHANGELOG.md", "CONTRIBUTING.md")
UNSEARCHED = re.compile(
    f"^({ELSEWHERE}(results/|LOG|CHANGELOG)|log/)"
)  # long lists of numbers hide the pages in a search
FENCE = re.compile(r"^(```.*?^```)", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"""(?<=\]\()[^)\s]+(?=\))|(?<=src=")[^"]+|(?<=srcset=")[^"]+""")
PROGRAM = re.compile(r"^```(python|console)( .*?)?\n(.*?)^```", re.DOTALL | re.MULTILINE)
AFTER_TABLE = re.compile(r"\n\n((?:  \S.*\n)+)(?=- )")  # text of an item after a table in it, then the next item
ROLE = re.compile(r":(?:func|class|mod|meth|attr|data):`[~.]?(\w[\w.]*)`")
PICTURE = re.compile(r'<picture>\s*<source [^>]*srcset="([^"]+)">\s*<img src="([^"]+)"([^>]*)>\s*</picture>')
EXAMPLE = re.compile(r"^>>> .*?(?=^\s*$|\Z)", re.DOTALL | re.MULTILINE)


def on_startup(command: str, dirty: bool) -> None:
    """Let the tutorials find the command `steepslope`, and give each an empty folder to work in."""
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    shutil.rmtree(ROOT / "runs" / "tutorials", ignore_errors=True)
    for page in (ROOT / "docs" / "tutorials").glob("*.md"):
        (ROOT / "runs" / "tutorials" / page.stem).mkdir(parents=True)


def in_repository(uri: str) -> str:
    """Return the path in the repository of a page of the site."""
    return uri.removeprefix(ELSEWHERE) if uri.startswith(ELSEWHERE) else f"docs/{uri}"


def in_site(path: str) -> str:
    """Return the site's address of a path in the repository."""
    return path.removeprefix("docs/") if path.startswith("docs/") else ELSEWHERE + path


def links_of(text: str, page: str) -> dict[str, str]:
    """Return the links to files in the text of a page, each with the path in the repository that it leads to."""
    links = {link for part in FENCE.split(text)[::2] for link in LINK.findall(part)}
    return {
        link: normpath(join(dirname(page), link.partition("#")[0]))
        for link in links
        if not re.match(r"[a-z]+:|#|/", link)
    }


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what the pages link to, and what that links to."""
    waiting = [*TOP, *(in_repository(file.src_uri) for file in files.documentation_pages())]
    seen = set(waiting)
    for path in waiting:  # which grows
        if not path.startswith("docs/"):
            files.append(File.generated(config, in_site(path), abs_src_path=str(ROOT / path)))
        if path.endswith(".md"):
            linked = set(links_of((ROOT / path).read_text(encoding="utf-8"), path).values())
            found = sorted(one for one in linked - seen if (ROOT / one).is_file() and not one.startswith("docs/"))
            waiting += found
            seen.update(found)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links from folders of the repository to those of the site; of a link to a folder, the words stay."""
    uri = page.file.src_uri
    if UNSEARCHED.match(uri):
        page.meta["search"] = {"exclude": True}
    leads = links_of(markdown, in_repository(uri))

    def led(link: re.Match[str]) -> str:
        if link[0] not in leads:
            return link[0]
        _, mark, anchor = link[0].partition("#")
        return relpath(in_site(leads[link[0]]), dirname(uri) or ".") + mark + anchor

    if uri.startswith("tutorials/"):
        markdown = PROGRAM.sub(lambda found: executed(found, Path(uri).stem), markdown)
    parts = FENCE.split(markdown)
    for number in range(0, len(parts), 2):
        for folder in (link for link, path in leads.items() if (ROOT / path).is_dir()):
            parts[number] = re.sub(rf"\[([^\]]*)\]\({re.escape(folder)}\)", r"\1", parts[number])
        parts[number] = LINK.sub(led, parts[number])
    text = AFTER_TABLE.sub(r"\n\n\1\n", "".join(parts))
    # A <picture> follows the system, and the site its reader, who may have chosen otherwise.
    return PICTURE.sub(r'<p><img src="\2#only-light"\3><img src="\1#only-dark"\3></p>', text)


def executed(program: re.Match[str], name: str) -> str:
    """Return a tutorial's program or commands, to be run one after the other in the tutorial's own folder."""
    language, options, code = program.groups(default="")
    how = f'exec="true" session="{name}" workdir="runs/tutorials/{name}" source='
    how += '"console" width="120"' if language == "console" else '"above"'
    how += ' result="text"' if "print(" in code else ""
    is_wide = options.strip() == "wide"  # the output is a table: it scrolls, where sentences are wrapped
    block = f"```{language} {how}{'' if is_wide else options}\n{code}```"
    return f'<div class="wide" markdown>\n{block}\n</div>' if is_wide else block


class Docstrings(griffe.Extension):
    """Docstrings as Markdown: roles of Sphinx become code, and examples a block of their own."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the docstring of an object as it is read."""
        if obj.docstring:
            text = ROLE.sub(lambda role: f"`{role[1]}`", inspect.cleandoc(obj.docstring.value))
            text, section, others = re.split(r"(^\w+\n-+$|\Z)", text, maxsplit=1, flags=re.MULTILINE)
            text = EXAMPLE.sub(lambda lines: f"```pycon\n{lines[0].rstrip()}\n```\n", text)
            if "Examples\n---" not in section + others:
                others = EXAMPLE.sub(lambda lines: f"Examples\n--------\n{lines[0]}", others, count=1)
            obj.docstring.value = text + section + others
