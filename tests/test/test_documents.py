# SPDX-License-Identifier: Apache-2.0
"""The documents: links lead somewhere, generated pages are those of the results, sentences are short."""

import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from ir_cli import docs

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("src/*/README.md")})
PRESENT = [page for page in PAGES if page.parent.name in ("guide", "method")]
"""Pages that hold the rules of writing: what is, one sentence a line, at most two numbers in it."""
LINK = re.compile(r"\]\(([^)\s]*)\)")
PAST = re.compile(r"\b(was tried|were tried|until lately|as it was before|before it was|earlier versions?)\b")
NAMES = re.compile(
    r"`[^`]*`|\[[^\]]*\]\([^)]*\)|\b(?:TS|TR|REP-|Fig\.|Figs\.|eq\.|eqs\.|section|table|exit status|status) ?[\d.-]+\w*"
    r"|\([\d, to]+\)|\barXiv:\S+|(?<=\. )\d{4}\b|\b(?:19|20)\d\d\b|\b\w*[A-Za-z_]\w*\b|\b[345]G\b|[⁻⁰¹²³]+"
)
"""What holds digits and is no number of a sentence: code, links, standards, equations, years, names."""


@pytest.fixture(scope="module")
def evidence() -> ModuleType:
    """The generator."""
    spec = importlib.util.spec_from_file_location("build_evidence", ROOT / "docs" / "build_evidence.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def text_of(page: Path) -> Iterator[tuple[int, str]]:
    """Lines outside code blocks, with their numbers."""
    fenced = False
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if line.startswith("```"):
            fenced = not fenced
        elif not fenced and not line.startswith("    "):
            yield number, line


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as a forge and the site make them."""
    heads = (line.lstrip("#").strip() for _, line in text_of(page) if re.match(r"#+ ", line))
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", head).replace("`", "").lower() for head in heads)
    return {re.sub(r"[^\w\- ]", "", head).strip().replace(" ", "-") for head in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_picture_and_anchor_is_there(page: Path) -> None:
    for number, line in text_of(page):
        for link in LINK.findall(re.sub(r"`[^`]*`", "", line)):
            target, _, anchor = link.partition("#")
            if "://" in target or target.startswith("mailto:"):
                continue
            file = (page.parent / target).resolve() if target else page
            assert file.exists(), f"{page}:{number}: {link}"
            assert not anchor or anchor in anchors(file), f"{page}:{number}: {link}; there are {sorted(anchors(file))}"


def test_every_document_named_in_the_tree_is_there() -> None:
    named = re.compile(r"(?<![\w/.])docs/[\w/]+\.(?:md|py)")
    files = [
        path for folder in ("src", "tests", "tools", "config", "benchmarks") for path in (ROOT / folder).rglob("*.*")
    ]
    for file in files:
        if file.suffix in (".py", ".yaml", ".md", ".msg", ".srv", ".txt") and "runs" not in file.parts:
            for name in named.findall(file.read_text(errors="replace")):
                assert (ROOT / name).exists(), f"{file.relative_to(ROOT)}: {name}"


def test_the_pages_of_evidence_and_the_table_of_the_readme_are_those_of_the_results(evidence: ModuleType) -> None:
    files = evidence.generated(ROOT)
    stale = [
        str(path.relative_to(ROOT)) for path, text in files.items() if not path.exists() or path.read_text() != text
    ]
    stray = set((ROOT / "docs" / "evidence").glob("*.md")) - set(files)
    assert not stale and not stray, f"run ./ir docs and commit what it changes: {stale} {stray}"


def test_a_goal_that_is_not_met_stands_there_as_not_met(evidence: ModuleType, tmp_path: Path) -> None:
    result = json.loads((ROOT / "benchmarks" / "results" / "radio-queue.json").read_text())
    result |= {"about": "Asks.", "method": "", "goals": [{"what": "a | b", "goal": "1", "got": 0.5, "met": False}]}
    page, index = "\n".join(evidence.page(result)), "\n".join(evidence.index([result]))
    assert "| a ∣ b | 1 | 0.5 | **not met** |" in page
    assert "1 things; 1 of them are not met" in index and index.index("| a ∣ b |") < index.index("## Benches")


@pytest.mark.parametrize("page", PRESENT, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_a_sentence_has_its_line_and_at_most_two_numbers_and_says_what_is(page: Path) -> None:
    for number, line in text_of(page):
        if line.startswith(("|", "#", "!")):
            continue
        where = f"{page.relative_to(ROOT)}:{number}: {line}"
        words = NAMES.sub("", re.sub(r"^\s*(?:\d+\.|-|\*) ", "", line))
        assert not re.search(r"[a-z)`][.?] [A-Z][a-z]", re.sub(r"\b(?:al|eq|Fig|sec|app|alg)\. ", "", line)), where
        assert len(re.findall(r"\d[\d.,]*", words)) <= 2 or "=" in words, where
        assert not PAST.search(line), where


def test_the_site_holds_every_page_in_the_order_of_its_index(tmp_path: Path) -> None:
    nav = docs.configuration(ROOT, tmp_path)["nav"]
    found = [
        page for entry in nav for value in entry.values() for page in ([value] if isinstance(value, str) else value)
    ]
    assert sorted(found) == sorted(str(page.relative_to(ROOT)) for page in docs.pages(ROOT))
    guide = next(entry["Guide"] for entry in nav if "Guide" in entry)
    assert guide[:3] == ["docs/guide/index.md", "docs/guide/start.md", "docs/guide/launch.md"]


def test_pages_and_what_they_link_to_are_staged_where_they_are_in_the_project(tmp_path: Path) -> None:
    docs.stage(ROOT, tmp_path)
    for name in (
        "README.md",
        "docs/guide/robot.md",
        "src/ir_sim/ir_sim/sdf/grammar.py",
        "benchmarks/results/twin-risk.png",
    ):
        assert (tmp_path / name).resolve() == ROOT / name
