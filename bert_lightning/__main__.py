"""`python -m bert_lightning` is `bert-lightning`. No module is imported from the folder where it was started.

Python puts the working directory, or a script's folder, in front of all places that modules come from. A `torch.py`
that lies there would run. `python -m` itself imports `pkgutil` before this file; the script `bert-lightning` does not.
Ranks are started by this file, so that they run the same package wherever it was imported from.
"""

import sys

if __name__ == "__main__" and not (sys.flags.isolated or getattr(sys.flags, "safe_path", False)):
    del sys.path[0]

if not __package__:  # started by its file: the package is the one that it is part of
    from importlib import util

    spec = util.spec_from_file_location("bert_lightning", f"{__file__.removesuffix('__main__.py')}__init__.py")
    assert spec is not None, "a package can be found by its file"
    assert spec.loader is not None, "a file has a loader"
    package = sys.modules["bert_lightning"] = util.module_from_spec(spec)
    spec.loader.exec_module(package)

if __name__ == "__main__":
    from bert_lightning.cli import main

    main()
