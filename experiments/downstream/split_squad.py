"""Split a subset of SQuAD into articles of the train set and of the dev set.

python split_squad.py squad1.1_subset/dev.json folder
"""

import json
import sys
from pathlib import Path

TEST = {
    "Genghis_Khan",
    "Huguenot",
    "Immune_system",
}  # articles of the official dev set; the other 17 are from the train set

source, folder = Path(sys.argv[1]), Path(sys.argv[2])
articles = json.loads(source.read_text(encoding="utf-8"))["data"]
folder.mkdir(parents=True, exist_ok=True)
for name, kept in (("train-v1.1.json", False), ("dev-v1.1.json", True)):
    part = [article for article in articles if (article["title"] in TEST) == kept]
    (folder / name).write_text(json.dumps({"data": part}), encoding="utf-8")
    print(name, len(part), "articles", sum(len(p["qas"]) for a in part for p in a["paragraphs"]), "questions")
