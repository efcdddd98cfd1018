"""Result files (bench/README.md) as lib/cli/result-file.ts writes its JSON: one line for each row."""

import json
import subprocess
from pathlib import Path

from .plan import ROOT


def checked_out_commit() -> str | None:
    """Returns the commit that this is a checkout of, with -dirty after it where files other than results differ, as
    lib/runtime/machine.ts says it; None outside of a checkout and where there is no git."""

    def git(*arguments: str) -> str:
        command = ["git", *arguments]
        return subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout.strip()

    if not (ROOT / ".git").exists():
        return None
    try:
        commit = git("rev-parse", "--short", "HEAD")
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ":/", ":(top,exclude)bench/results")
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{commit}-dirty" if changed else commit


def write(file: Path, head: dict, rows: list[dict]) -> None:
    lines = ",\n".join(f"    {json.dumps(row, ensure_ascii=False)}" for row in rows)
    text = json.dumps(head, indent=2, ensure_ascii=False).removesuffix("\n}")
    file.write_text(f'{text},\n  "rows": [\n{lines}\n  ]\n}}\n')
