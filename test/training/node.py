"""Runs JavaScript on the built package, for tests that compare Python with it."""

import json
import subprocess
import unittest
from pathlib import Path

ROOT = Path(__file__).parents[2]

addon = [*ROOT.glob("build/Release/magnets.node"), *ROOT.glob("prebuilds/*/*.node")]
needs_addon = unittest.skipUnless(addon, "the native addon is not built: npm run build:native")
needs_dist = unittest.skipUnless((ROOT / "dist" / "index.js").exists(), "the package is not built: npm run build")


def evaluate(script: str, value: object = None) -> object:
    """Runs a module in the repository's root, with `value` as its constant `input`, and returns the JSON that it
    prints."""
    module = f"const input = {json.dumps(value)};\n{script}"
    command = ["node", "--input-type=module", "--eval", module]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if finished.returncode:
        raise RuntimeError(finished.stderr)
    return json.loads(finished.stdout)
