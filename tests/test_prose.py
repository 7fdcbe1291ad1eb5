"""Check the prose as far as a test can: a docstring begins with a sentence that stands alone."""

import ast
from pathlib import Path

import pytest

import bert_lightning

PACKAGE = Path(bert_lightning.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
FRAGMENTS = {"Of", "By", "For", "That", "As", "Where", "With", "What", "Whether"}  # words that begin half a sentence
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_docstrings_begin_with_a_sentence(path):
    nodes = [n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, DOCUMENTED)]
    first_lines = [text.partition("\n")[0] for node in nodes if (text := ast.get_docstring(node))]
    assert first_lines
    assert [line for line in first_lines if line.split()[0].rstrip(",.:") in FRAGMENTS] == []
