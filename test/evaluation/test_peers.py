"""The PyTorch peer of bench/peers runs the package's plans: as many FLOPs, and the logits of training/model.py."""

import contextlib
import io
import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import torch

from bench.peers import onnx, results
from bench.peers.check import check, check_flops
from bench.peers.kernels import make_kernels
from bench.peers.plan import ROOT, TINY, load_plans, make_plans, parse_plan

needs_dist = unittest.skipUnless((ROOT / "dist" / "index.js").exists(), "the package is not built: npm run build")


class NetworksTest(unittest.TestCase):
    def test_only_a_convolutional_tokenizer_has_a_network_of_its_own(self):
        argv = ["onnx", str(ROOT / "test" / "fixtures" / "post"), "--out"]
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(sys, "argv", [*argv, folder]):
            with mock.patch.object(onnx, "write") as write, mock.patch.object(onnx.model, "attend"):
                onnx.main()
        files = [call.args[-1].name for call in write.call_args_list]
        self.assertEqual(files, ["generator.onnx", "generator-int8.onnx"])


@needs_dist
class PeersTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.json = make_plans(TINY)
        cls.plans = {name: parse_plan(plan) for name, plan in cls.json.items()}

    def test_a_plan_has_the_sizes_of_the_config(self):
        shape = self.plans["paper"].shape
        self.assertEqual((shape.token_count, shape.positions, shape.vocab_size, shape.classes), (64, 65, 76, 10))
        self.assertEqual((shape.null_class_id, shape.mask_id), (74, 75))

    def test_a_file_of_plans_serves_a_machine_without_node(self):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "plans.json"
            file.write_text(json.dumps({TINY: self.json}))
            self.assertEqual(load_plans(TINY, file), self.plans)
            with self.assertRaisesRegex(SystemExit, "expected plans of L but received those of bench/peers/tiny"):
                load_plans("L", file)

    def test_the_plan_of_a_batch_with_guidance_is_refused(self):
        with self.assertRaisesRegex(SystemExit, "expected the plan of 1 branch but received 2"):
            parse_plan({**self.json["paper"], "branches": 2})

    def test_the_commit_of_a_result_is_the_one_that_the_package_says(self):
        script = "import { checkedOutCommit } from './dist/runtime/machine.js'; console.log(checkedOutCommit() ?? '')"
        command = ["node", "--input-type=module", "--eval", script]
        printed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout.strip()
        self.assertEqual(results.checked_out_commit() or "", printed)

    def test_a_plan_in_another_order_is_refused(self):
        with self.assertRaisesRegex(SystemExit, "expected the order of confidence but received halton"):
            parse_plan({**self.json["paper"], "order": "halton"})

    def test_counted_flops_are_the_plans_for_a_model_of_the_literature(self):
        for name, plan in load_plans("B", None).items():
            self.assertEqual(check_flops(plan, batch=2, guidance=1.0), 4 * plan.flops, name)

    def test_flops_that_differ_by_one_row_are_noticed(self):
        plan = self.plans["paper"]
        row = 2 * plan.shape.hidden_size
        wrong = parse_plan({**self.json["paper"], "flops": plan.flops + row})
        with self.assertRaises(AssertionError):
            check_flops(wrong, batch=1, guidance=0)

    def test_logits_and_sampling_agree_with_training(self):
        device = torch.device("cpu")
        with contextlib.redirect_stdout(io.StringIO()):
            check({}, self.plans, device, torch.float32, make_kernels("none", device, torch.float32))


if __name__ == "__main__":
    unittest.main()
