"""SST-2's phrases of at least so many words (dev has whole sentences, of 20): long_phrases.py SST-2 folder 14"""

import shutil
import sys
from pathlib import Path

source, folder, least = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
header, *rows = (source / "train.tsv").read_text(encoding="utf-8").splitlines()
kept = [row for row in rows if len(row.partition("\t")[0].split()) >= least]
folder.mkdir(parents=True, exist_ok=True)
(folder / "train.tsv").write_text("\n".join([header, *kept]) + "\n", encoding="utf-8")
shutil.copy(source / "dev.tsv", folder)
print(f"{len(kept)} of {len(rows)} phrases")
