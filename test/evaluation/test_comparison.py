"""The comparison of methods: schedules, the Fréchet distance, the rows of the result file, the search."""

import contextlib
import io
import json
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import torch

from evaluation.compare import compare, read_rows, row_of
from evaluation.methods import Method, methods_for, refresh_methods, reversed_paper
from evaluation.quality import frechet_distance
from evaluation.report import tables
from evaluation.search import search


class MethodsTest(unittest.TestCase):
    def test_reversed_has_the_steps_of_paper_from_wide_to_narrow(self):
        self.assertEqual(reversed_paper(["1/8", "1/4", "1/2", "1"], 12), "1x3,1/2x3,1/4x3,1/8x3")
        self.assertEqual(reversed_paper(["1/8", "1/4", "1/2", "1"], 10), "1x3,1/2x3,1/4x2,1/8x2")
        self.assertEqual(reversed_paper(["1/2", "1"], 1), "1x1")

    def test_a_model_has_the_baseline_first_and_its_searched_schedules_last(self):
        with tempfile.TemporaryDirectory() as folder:
            model = Path(folder)
            config = {"sampling": {"steps": 6}, "widths": [{"name": "1/2"}, {"name": "1"}]}
            (model / "config.json").write_text(json.dumps(config))
            (model / "schedules.json").write_text(json.dumps({"auto:0.5": {"schedule": "1/2x4,1x2"}}))
            methods = methods_for(model)
        names = ["baseline", "baseline-cached", "paper", "paper-nocache", "paper-int8"]
        names += ["reversed", "width-1/2", "auto:0.5"]
        self.assertEqual([method.name for method in methods], names)
        schedules = ["baseline", "1x6", "paper", "paper", "paper", "1x3,1/2x3", "1/2x6", "1/2x4,1x2"]
        self.assertEqual([method.schedule for method in methods], schedules)
        self.assertEqual([method.name for method in methods if not method.cache], ["paper-nocache"])
        self.assertEqual([method.name for method in methods if method.weights != "auto"], ["paper-int8"])

    def test_refreshes_are_compared_at_the_full_width_and_for_paper(self):
        with tempfile.TemporaryDirectory() as folder:
            config = {"sampling": {"steps": 12}, "widths": [{"name": "1/2"}, {"name": "1"}]}
            (Path(folder) / "config.json").write_text(json.dumps(config))
            methods = refresh_methods(Path(folder))
        cost = {method.name: (method.schedule, method.refresh) for method in methods}
        self.assertEqual(methods[0].name, "baseline")
        self.assertEqual((cost["full-4"], cost["full-never"]), (("1x12", 4), ("1x12", None)))
        self.assertEqual((cost["paper-4"], cost["paper-switch"]), (("paper", 4), ("paper", None)))


class FrechetDistanceTest(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(0)
        features = torch.randn(200, 4).double()
        # Orthogonal columns of mean 0 and length √199: their mean is 0 and their covariance the identity.
        self.centred = torch.linalg.qr(features - features.mean(0))[0] * 199**0.5

    def test_of_equal_features_is_0(self):
        mixed = self.centred @ torch.randn(4, 4).double()
        self.assertLess(frechet_distance(mixed, mixed), 1e-9)

    def test_of_a_shift_is_its_squared_length(self):
        shift = torch.tensor([1.0, -2.0, 0.0, 0.5]).double()
        self.assertAlmostEqual(frechet_distance(self.centred, self.centred + shift), 5.25, places=9)

    def test_of_commuting_covariances_is_that_of_their_roots(self):
        a, b = torch.tensor([1.0, 2.0, 3.0, 0.0]).double(), torch.tensor([4.0, 1.0, 3.0, 2.0]).double()
        expected = float((a - b).square().sum())
        self.assertAlmostEqual(frechet_distance(self.centred * a, self.centred * b), expected, places=6)

    def test_is_symmetric_where_covariances_do_not_commute(self):
        a, b = (self.centred @ torch.randn(4, 4).double() for _ in range(2))
        self.assertAlmostEqual(frechet_distance(a, b), frechet_distance(b, a), places=9)


class RowsTest(unittest.TestCase):
    def test_a_row_has_the_values_of_all_seeds_and_their_mean(self):
        results = [{"backend": "cpu", "flops": 5, "frechet": 3.0, "accuracy": 0.5}, {"frechet": 1.0, "accuracy": 0.5}]
        row = row_of("generation", "paper", results, flops=5)
        self.assertEqual(row["frechet"], {"samples": [1.0, 3.0], "mean": 2.0, "min": 1.0, "max": 3.0})
        self.assertEqual(list(row), ["task", "name", "flops", "frechet", "accuracy"])

    def test_tables_show_the_range_where_seeds_differ_and_no_cost_of_references(self):
        reference = row_of("generation", "test", [{"frechet": 0.0, "accuracy": 0.9}])
        results = [{"frechet": 1.0, "accuracy": 0.5}, {"frechet": 3.0, "accuracy": 0.5}]
        row = row_of("generation", "paper", results, flops=2_310_000_000, flopsRatio=3.02, timeRatio=2.5)
        lines = tables([reference, row]).splitlines()
        self.assertEqual(lines[2], "| test |  |  |  | 0.0 | 90.0 |")
        self.assertEqual(lines[3], "| `paper` | 2.31 GFLOP | 3.02x | 2.50x | 2.0 (1.0 .. 3.0) | 50.0 |")


class KeptRowsTest(unittest.TestCase):
    """Rows of an earlier result file, to which a method is added."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = Path(folder.name) / "quality-x.json"
        old = {"commit": "0000001"}
        self.before = {"commit": "0000002", "sha256": "w", "samples": 100, "seeds": [1]}
        self.before["rows"] = [
            row_of("generation", "test", [{"frechet": 0.0}]),
            row_of("generation", "baseline", [{"frechet": 9.0}], flops=60, flopsRatio=1.0, timeRatio=1.0),
            row_of("generation", "paper", [{"frechet": 8.0}], flops=20, flopsRatio=3.0, timeRatio=9.0, **old),
        ]
        self.file.write_text(json.dumps(self.before))

    def test_say_the_commit_at_which_they_were_measured(self):
        rows = read_rows(self.file, {"sha256": "w", "samples": 100, "seeds": [1]})["generation"]
        commits = {name: row["commit"] for name, row in rows.items()}
        self.assertEqual(commits, {"test": "0000002", "baseline": "0000002", "paper": "0000001"})

    def test_of_other_weights_or_samples_are_refused(self):
        for key, value in {"sha256": "v", "samples": 200, "seeds": [1, 2], "predicted": 5}.items():
            with self.assertRaisesRegex(SystemExit, f"expected {key} .* but received"):
                read_rows(self.file, {key: value})
        with self.assertRaisesRegex(SystemExit, "expected the results"):
            read_rows(self.file.with_name("quality-y.json"), {})

    def test_stay_but_for_their_times_and_only_the_others_are_measured(self):
        kept = read_rows(self.file, {})["generation"]
        cache = KnownDistances()
        methods = [Method(name, Path("model"), name) for name in ("baseline", "paper", "paper-int8")]
        seconds = {"baseline": 6.0, "paper": 2.0, "paper-int8": 1.0}
        with mock.patch("evaluation.compare.time_methods", return_value=({"name": "here"}, seconds)):
            device, rows = compare(cache, methods, 100, [1], kept=kept)
        self.assertEqual(device, {"name": "here"})
        self.assertEqual(cache.measured, [("paper-int8", 100)])
        self.assertEqual([row["frechet"]["mean"] for row in rows], [9.0, 8.0, len("paper-int8")])
        self.assertEqual([row["timeRatio"] for row in rows], [1.0, 3.0, 6.0])
        self.assertEqual([row["flopsRatio"] for row in rows], [1.0, 3.0, 3.0])
        self.assertEqual([row.get("commit") for row in rows], ["0000002", "0000001", None])


class KnownDistances:
    """A measurement cache whose distances are known: the length of the schedule's name."""

    def __init__(self):
        self.measured = []

    def add_missing(self, costs):
        self.measured += [(run.method.schedule, run.samples) for run in costs]

    def read(self, run):
        return {"frechet": len(run.method.schedule), "flops": 20, "backend": "cpu"}


class SearchTest(unittest.TestCase):
    def setUp(self):
        silence = contextlib.redirect_stdout(io.StringIO())
        silence.__enter__()
        self.addCleanup(silence.__exit__, None, None, None)

    def test_keeps_the_better_third_with_three_times_the_samples(self):
        cache = KnownDistances()
        schedules = [letter * length for length, letter in enumerate("abcdefghi", 1)][::-1]
        self.assertEqual(search(cache, Path("model"), schedules, samples=100, most=500, seed=1), "a")
        rounds = {samples: [name for name, count in cache.measured if count == samples] for samples in (100, 300, 500)}
        self.assertEqual([len(names) for names in rounds.values()], [9, 3, 0])

    def test_ends_with_the_round_of_the_most_samples(self):
        cache = KnownDistances()
        self.assertEqual(search(cache, Path("model"), ["bb", "a", "ccc", "dddd"], samples=100, most=100, seed=1), "a")
        self.assertEqual(len(cache.measured), 4)


if __name__ == "__main__":
    unittest.main()
