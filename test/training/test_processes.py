"""Two processes: each tokenizes its share, their gradients are averaged, and one of them writes.

They are started as training/README.md says for a `torchrun` that does not start.
"""

import contextlib
import io
import itertools
import json
import os
import socket
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np
import torch

from node import ROOT
from pictures import needs_pillow, write_pictures
from test_nest import OPTIONS
from training import export, importance
from training.batches import Batch, Random
from training.loop import train
from training.nest import NestTask, nested
from training.processes import Processes
from training.tokens import prepare

FROM = ROOT / "test" / "fixtures" / "post"
WIDTHS = "1/2,1"


class BothTask(NestTask):
    """The task of both processes in one: the mean of their losses, each on its own half of a batch."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.steps = itertools.count()

    def batch(self, random: Random, size: int) -> Batch:
        step, seed = next(self.steps), self.options["seed"]
        halves = [super(BothTask, self).batch(Random.for_step(seed, step, rank), size // 2) for rank in (0, 1)]
        return {f"{rank} {name}": part for rank, half in enumerate(halves) for name, part in half.items()}

    def forward(self, batch: Batch, progress: float) -> tuple[torch.Tensor, dict]:
        losses = []
        for rank in "01":
            half = {name[2:]: part for name, part in batch.items() if name[0] == rank}
            torch.clear_autocast_cache()  # else bf16 gradients of the halves are added before they become f32
            loss, metrics = super().forward(half, progress)
            losses.append(loss)
        return sum(losses) / 2, metrics


def momentum(folder: Path) -> torch.Tensor:
    """Returns AdamW's averages of the gradients: weights whose gradient is zero but for rounding move at random."""
    state = torch.load(folder / "checkpoint.pt")["optimizer"]["state"]
    return torch.cat([state[key]["exp_avg"].flatten() for key in sorted(state)])


@needs_pillow
class TwoProcessesTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        pictures = self.folder / "pictures"
        write_pictures(pictures / "train", (7, 9), {"a": 5, "b": 2, "c": 4})
        write_pictures(pictures / "test", (6, 8), {"a": 1, "c": 2})
        self.data = {"source": "pictures", "folder": str(pictures), "views": 3, "reader_threads": 0}

    def run_two(self, steps: int, out: Path) -> tuple[str, str]:
        """Trains to that step in two processes and returns what they print."""
        config = self.folder / "config.json"
        config.write_text(json.dumps({"data": self.data, "train": self.options(steps)}))
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        both = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "training.nest", "--from", FROM, "--config", config, "--out", out]
        started = [
            subprocess.Popen(
                [*command, "--widths", WIDTHS],
                cwd=ROOT,
                env=os.environ | both | {"RANK": str(rank), "CUDA_VISIBLE_DEVICES": ""},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank in (0, 1)
        ]
        try:
            ended = [process.communicate(timeout=100) for process in started]
        finally:
            for process in started:
                process.kill()
        for process, (_, errors) in zip(started, ended):
            self.assertEqual(process.returncode, 0, errors)
        return ended[0][0], ended[1][0]

    def options(self, steps: int) -> dict:
        """Returns options whose learning rate is the same in the first two of four steps as in two."""
        rate = {"warmup": 0.25, "cooldown": 0.25}
        return OPTIONS | rate | {"steps": steps, "label_dropout": 0.2, "log_every": 1, "evaluate_every": 4}

    def run_both(self, steps: int, out: Path) -> None:
        """Does in this process, in one go, what the two do."""
        teacher, processes = export.read(FROM), Processes()
        model = nested(teacher, WIDTHS)
        tokenizer = export.read(FROM / "tokenizer")
        splits = [prepare(tokenizer, self.data, 0, split, out / "tokens", processes) for split in ("train", "test")]
        arguments = model, teacher, self.options(steps), *splits
        importance.sort(model, importance.measure(model, NestTask(*arguments).losses(), "gradient"))
        with contextlib.redirect_stdout(io.StringIO()):
            train(BothTask(*arguments), self.options(steps), 0, out, processes)

    def test_two_processes_interrupted_train_like_one_that_averages_their_losses(self):
        two, both = self.folder / "two", self.folder / "both"
        shown, nothing = self.run_two(2, two)
        self.assertIn("before training", shown)
        self.assertEqual(nothing, "")
        resumed, _ = self.run_two(4, two)
        self.assertNotIn("step 2/4", resumed)
        files = ["checkpoint.pt", "config.json", "metrics.jsonl", "model.safetensors", "tokens"]
        self.assertEqual(sorted(file.name for file in two.iterdir()), files)
        lines = [json.loads(line) for line in (two / "metrics.jsonl").read_text().splitlines()]
        self.assertEqual([line["step"] for line in lines if "test 1" not in line], [1, 2, 3, 4])

        self.run_both(4, both)
        for split, count in (("train", 33), ("test", 3)):
            tokens, labels = (
                [np.load(folder / "tokens" / split / f"{name}.npy") for folder in (two, both)]
                for name in ("tokens", "labels")
            )
            self.assertEqual(tokens[0].shape, (count, 12))
            self.assertTrue(np.array_equal(*tokens), split)
            self.assertTrue(np.array_equal(*labels), split)
        actual, expected = momentum(two), momentum(both)
        # Sums are in another order, by which a product may be rounded to another bf16 where products are bf16.
        self.assertLess((actual - expected).norm() / expected.norm(), 2**-10)
        averages = torch.load(two / "checkpoint.pt")["ema"]
        for name, tensor in export.read(two).state_dict().items():
            self.assertTrue(torch.equal(tensor, averages[name].half().float()), name)


if __name__ == "__main__":
    unittest.main()
