"""Read the Markdown pages: blocks of code, commands, inline code, tables, headings and links."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
GUIDES = [REPOSITORY / "README.md", REPOSITORY / "README.zh.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A block of code. One that begins with the comment `# needs: ...` is not run."""

    language: str
    text: str

    @property
    def needs(self) -> bool:
        return self.text.startswith("# needs:")

    def commands(self) -> list[list[str]]:
        """Return the words of each command. Pipes and `&&` separate commands as line ends do."""
        found: list[list[str]] = []
        for line in self.text.replace("\\\n", " ").splitlines():
            words = shlex.shlex(line, posix=True, punctuation_chars="|&;")
            words.whitespace_split = True
            found.append([])
            for word in words:
                if set(word) <= set("|&;"):
                    found.append([])
                else:
                    found[-1].append(word)
        return [command for command in found if command]


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path) -> list[Block]:
    return [Block(*found) for found in _FENCE.findall(text_of(page))]


def prose(page: Path) -> str:
    """Return the page without its blocks of code."""
    return _FENCE.sub("", text_of(page))


def inline(page: Path) -> list[str]:
    """Return every piece of inline code."""
    return re.findall(r"`([^`\n]+)`", prose(page))


def tables(page: Path) -> list[list[list[str]]]:
    """Return the cells of every table, row by row, without the line of dashes."""
    found: list[list[list[str]]] = []
    before = ""
    for line in prose(page).splitlines():
        if line.startswith("|"):
            if not before.startswith("|"):
                found.append([])
            if not re.fullmatch(r"[| :-]+", line) or "---" not in line:
                found[-1].append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        before = line
    return found


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path) -> list[str]:
    """Return the targets of all links and pictures."""
    body = prose(page)
    pictures = re.findall(r' (?:src|srcset)="([^"]+)"', body)
    return [*pictures, *re.findall(r"\]\(([^)\s]+)\)", body), *re.findall(r"^\[[^\]]+\]: (\S+)$", body, re.MULTILINE)]
