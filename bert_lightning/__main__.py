"""Run `bert-lightning` as `python -m bert_lightning`, without importing modules from the working directory.

Python puts the working directory, or a script's folder, first on `sys.path`. A file `torch.py` there would be imported
instead of torch, so this file removes that entry. `python -m` itself imports `pkgutil` before this file runs; the
script `bert-lightning` does not. The ranks of a run execute this file by its path, so that they run the same package.
"""

import sys

if __name__ == "__main__" and not (sys.flags.isolated or getattr(sys.flags, "safe_path", False)):
    del sys.path[0]

if not __package__:  # executed by its path: import the package that this file belongs to
    from importlib import util

    spec = util.spec_from_file_location("bert_lightning", f"{__file__.removesuffix('__main__.py')}__init__.py")
    assert spec is not None, "a package can be found by its file"
    assert spec.loader is not None, "a file has a loader"
    package = sys.modules["bert_lightning"] = util.module_from_spec(spec)
    spec.loader.exec_module(package)

if __name__ == "__main__":
    from bert_lightning.cli import main

    main()
