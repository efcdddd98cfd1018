"""Writes result files (bench/README.md) as lib/cli/result-file.ts writes its JSON: one line for each row."""

import json
from pathlib import Path


def write(file: Path, head: dict, rows: list[dict]) -> None:
    lines = ",\n".join(f"    {json.dumps(row, ensure_ascii=False)}" for row in rows)
    text = json.dumps(head, indent=2, ensure_ascii=False).removesuffix("\n}")
    file.write_text(f'{text},\n  "rows": [\n{lines}\n  ]\n}}\n')
