"""The decode loop in Python reveals as many tokens in each step as a plan of the package says."""

import json
import subprocess
import unittest

from node import ROOT, evaluate, needs_dist
from training.decode import mask_counts

MASKED_AFTER = """
import { plan, presets } from './dist/plan/index.js';
const counts = input.map(([tokens, steps]) => {
  const model = { ...presets.B, latentShape: [1, 1, tokens] };
  return plan({ model, steps, schedule: 'baseline' }).steps.map((step) => step.maskedAfter[0]);
});
console.log(JSON.stringify(counts));
"""


class MaskCountsTest(unittest.TestCase):
    def test_every_step_reveals_a_position_and_the_last_step_all(self):
        for tokens in (1, 2, 12, 49, 256):
            for steps in range(1, min(tokens, 64) + 1):
                counts = [tokens, *mask_counts(tokens, steps)]
                self.assertEqual((len(counts), counts[-1]), (steps + 1, 0))
                self.assertTrue(all(after < before for before, after in zip(counts, counts[1:])), (tokens, steps))

    def test_counts_are_computed_in_float64(self):
        # 256 cos(π/3) is 128: float64 rounds this cosine up, other precisions may round it down.
        self.assertEqual(mask_counts(256, 3)[1], 128)

    @needs_dist
    def test_counts_are_those_of_the_package(self):
        sizes = [1, 2, 3, 12, 16, 49, 64, 100, 196, 256, 576, 1024, 4096]
        pairs = [(tokens, steps) for tokens in sizes for steps in range(1, min(tokens, 100) + 1)]
        for (tokens, steps), expected in zip(pairs, evaluate(MASKED_AFTER, pairs)):
            self.assertEqual(mask_counts(tokens, steps), expected, f"{tokens} tokens, {steps} steps")

    @needs_dist
    def test_counts_are_those_that_magnets_plan_prints(self):
        command = ["node", "dist/cli/main.js", "plan", "--model", "L", "--steps", "12", "--json"]
        plan = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
        self.assertEqual(mask_counts(256, 12), [step["maskedAfter"][0] for step in plan["steps"]])


if __name__ == "__main__":
    unittest.main()
