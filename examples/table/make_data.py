"""Write `penguins.csv`, with three lines nobody can read, the files to predict, and two days of requests."""

from __future__ import annotations

import csv
import json
from importlib.resources import files
from pathlib import Path

text = (files("mltool") / "datasets/embedded/penguins.csv").read_text(encoding="utf-8")
Path("penguins.csv").write_text(text + "Adelie,Torgersen\n" * 3, encoding="utf-8")

new = {"species": "Gentoo", "island": "Biscoe", "bill_length_mm": 47.3, "flipper_length_mm": 216, "sex": "male"}
other = {"species": "Adelie", "island": "Dream", "bill_length_mm": 38.1, "flipper_length_mm": 187, "sex": None}
Path("new.json").write_text(json.dumps([new, other]), encoding="utf-8")
Path("new.jsonl").write_text(f"{json.dumps(new)}\n{json.dumps(other)}\n", encoding="utf-8")
Path("new.csv").write_text(
    "species,island,bill_length_mm,flipper_length_mm,sex\nGentoo,Biscoe,47.3,216,male\nAdelie,Dream,38.1,187,\n",
    encoding="utf-8",
)

rows = list(csv.DictReader(text.splitlines()))[::3]
for day in ("monday", "tuesday"):
    with Path(f"{day}.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    for row in rows:  # on Tuesday somebody measures in centimetres
        if row["flipper_length_mm"] != "NA":
            row["flipper_length_mm"] = f"{float(row['flipper_length_mm']) / 10:.1f}"
