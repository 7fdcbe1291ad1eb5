"""Imports between the stages go in one direction, and `model/` imports no other stage."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import bert_lightning

PACKAGE = Path(bert_lightning.__file__).parent
# A module may import from its own stage and from those before it.
STAGES = [
    "errors", "quoting", "text_table", "html_page", "ranges", "renames", "runtime", "budget", "text", "data", "model",
    "objectives", "metrics", "optim", "modules", "callbacks", "runs", "config", "tasks", "inference", "training",
    "studies", "compare", "search", "probes", "diagnostics", "exports", "visualization", "verbs", "help", "console",
    "api", "cli", "__main__",
]  # fmt: skip
FILES = sorted(PACKAGE.rglob("*.py"))


def stage(parts):
    return STAGES.index(parts[0].removesuffix(".py"))


def imports(path):
    """Names below bert_lightning that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            pytest.fail(f"{path}: relative import")
        names = [node.module] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        yield from (name.split(".")[1:] for name in names if name and name.startswith("bert_lightning."))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_backwards(path):
    own = path.relative_to(PACKAGE).parts
    if own == ("__init__.py",):
        return
    for imported in imports(path):
        assert stage(imported) <= stage(own), f"{'/'.join(own)} imports {'.'.join(imported)}, a later stage"
        assert own[0] != "model" or imported[0] == "model", f"{'/'.join(own)} imports {'.'.join(imported)}"


def test_the_model_needs_torch_alone_and_a_loaded_checkpoint_no_lightning():
    names = "print(*{m.partition('.')[0] for m in sys.modules})"
    program = f"import sys, bert_lightning.model; {names}; import bert_lightning.inference.loaded_model; {names}"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    of_model, of_checkpoint = (set(line.split()) for line in loaded.splitlines())
    assert "torch" in of_model
    assert not {"lightning", "hydra", "omegaconf", "tokenizers", "torchmetrics", "transformers"} & of_model
    assert "tokenizers" in of_checkpoint
    assert not {"lightning", "torchmetrics", "transformers", "datasets", "scipy"} & of_checkpoint


def test_the_command_line_starts_without_torch():
    program = "import sys, bert_lightning.cli; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "bert_lightning.cli" in loaded
    assert not {"torch", "lightning", "hydra"} & set(loaded)


def test_transformers_is_never_imported():
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.partition(".")[0] == "transformers" for name in names), path


def test_files_stay_short():
    assert {str(path): n for path in FILES if (n := len(path.read_text(encoding="utf-8").splitlines())) > 280} == {}
