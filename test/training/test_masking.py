"""The positions that training masks."""

import math
import unittest

import numpy as np

from training import masking


class MaskingTest(unittest.TestCase):
    def test_progress_0_masks_all_and_progress_1_masks_one_position(self):
        order = np.arange(49)[None]
        self.assertEqual(masking.first_in_order(order, np.array([[0.0]])).sum(), 49)
        self.assertEqual(masking.first_in_order(order, np.array([[1.0]])).sum(), 1)

    def test_a_progress_masks_the_first_of_the_order_rounded_up(self):
        order = np.array([[3, 0, 2, 1], [0, 1, 2, 3]])
        masked = masking.first_in_order(order, np.array([[0.7], [0.5]]))  # 4 cos(0.35 π) = 1.8, 4 cos(0.25 π) = 2.8
        np.testing.assert_array_equal(masked[0], [False, True, False, True])
        np.testing.assert_array_equal(masked[1], [True, True, True, False])

    def test_a_single_position_is_always_masked(self):
        self.assertTrue(masking.draw(np.random.default_rng(0), 100, 1).masked.all())

    def test_the_share_of_masked_positions_has_the_distribution_of_cos(self):
        """With r uniform, P(cos(π r / 2) <= x) = 1 - 2 arccos(x) / π. By the Dvoretzky-Kiefer-Wolfowitz inequality the
        empirical distribution of n draws is off by more than ε with a probability of at most 2 exp(-2 n ε²)."""
        count, tokens = 20_000, 1000
        epsilon = math.sqrt(math.log(2 / 1e-9) / (2 * count))
        masked = masking.draw(np.random.default_rng(1), count, tokens).masked.sum(1)
        self.assertGreaterEqual(masked.min(), 1)
        for number in range(50, tokens, 50):
            # masked is ceil(share · tokens), so it is at most `number` just when the share is at most number / tokens.
            expected = 1 - 2 / math.pi * math.acos(number / tokens)
            self.assertLess(abs((masked <= number).mean() - expected), epsilon)

    def test_every_position_is_masked_equally_often(self):
        count, tokens = 20_000, 16
        masked = masking.draw(np.random.default_rng(2), count, tokens).masked
        # Each position's count is a sum of `count` independent values in [0, 1] with the same mean (Hoeffding).
        epsilon = 2 * math.sqrt(math.log(2 * tokens / 1e-9) / (2 * count))
        frequencies = masked.mean(0)
        self.assertLess(frequencies.max() - frequencies.min(), epsilon)

    def test_a_stale_cache_was_computed_with_more_masked_positions_as_many_in_every_sample(self):
        random = np.random.default_rng(3)
        for _ in range(200):
            stale = masking.draw_stale(random, size=8, tokens=49, reach=0.25)
            self.assertTrue((stale.before | ~stale.masked).all(), "a masked position was known when the cache was made")
            self.assertEqual(len(set(stale.masked.sum(1))), 1)
            self.assertEqual(len(set(stale.before.sum(1))), 1)
            self.assertGreaterEqual(stale.masked.sum(1).min(), 1)

    def test_without_a_stale_cache_before_is_masked(self):
        drawn = masking.draw(np.random.default_rng(4), 3, 10)
        self.assertIs(drawn.before, drawn.masked)


if __name__ == "__main__":
    unittest.main()
