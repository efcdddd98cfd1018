"""From a full-width model to a nested one: sorting by importance, widths, distillation from the original."""

import contextlib
import io
import tempfile
import unittest
from pathlib import Path

import numpy as np
import torch

from blocks import HALTON, MASKGIT, MODELS
from node import ROOT, needs_addon, needs_dist
from training import export, importance
from training.batches import Random
from training.fixtures import generator_config, randomize
from training.model import Generator, Width
from training.nest import NestTask, nest, nested, nested_widths
from training.package import PackageTokenizer
from training.processes import Processes
from training.tokens import Tokens

OPTIONS = {
    "seed": 1,
    "steps": 5,
    "batch": 8,
    "learning_rate": 1e-3,
    "warmup": 0.2,
    "cooldown": 0.5,
    "weight_decay": 0.01,
    "betas": [0.9, 0.96],
    "clip": 1.0,
    "ema_decay": 0.9,
    "label_dropout": 0.0,
    "prediction_share": 0.0,
    "schedule_share": 0.5,
    "sorting_samples": 20,
    "log_every": 5,
    "evaluate_every": 5,
    "save_seconds": -1,  # after every step
}


def model_of(config: dict) -> Generator:
    torch.manual_seed(0)
    return randomize(Generator(config), 0.15)


def inputs(model: Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns ids, some of them masked, and labels."""
    ids = torch.randint(model.config["codebook_size"], (4, model.token_count))
    ids[:, ::2] = model.mask_id
    return ids, torch.tensor([3, 0, 4, 3 if model.null_class is None else -1])


def split(config: dict, count: int) -> Tokens:
    random, tokens = np.random.default_rng(count), int(np.prod(config["latent_shape"]))
    codes = random.integers(config["codebook_size"], size=(count, tokens)).astype(np.uint16)
    labels = random.integers(config["num_classes"], size=count)
    return Tokens(codes, np.zeros((count, 0), np.uint16), labels)


def task_of(config: dict, **options) -> NestTask:
    original = model_of(config)
    model = nested(original, None).requires_grad_(True)
    return NestTask(model, original, OPTIONS | options, split(config, 40), split(config, 10))


def sliced(model: Generator, width: Width) -> Generator:
    """Returns a model of its own that has only the first heads and units."""
    config = model.config | {
        "num_attention_heads": width.heads,
        "head_dim": model.layers[0].attention.head_dim,
        "intermediate_size": width.hidden,
        "widths": [{"name": "1", "heads": width.heads, "hidden": width.hidden}],
    }
    small = Generator(config)
    whole = model.state_dict()
    cut = {key: whole[key][tuple(map(slice, tensor.shape))] for key, tensor in small.state_dict().items()}
    small.load_state_dict(cut)
    return small.eval().requires_grad_(False)


class SortTest(unittest.TestCase):
    def assert_sums_agree(self, actual: torch.Tensor, expected: torch.Tensor, message: str) -> None:
        """A sum in another order differs by a few roundings at the magnitude of its terms."""
        roundings = (actual - expected).abs().max().item() / (2**-24 * expected.abs().max().item())
        self.assertLess(roundings, 100, message)

    def test_sorting_changes_narrow_widths_and_leaves_the_full_one(self):
        for name, config in MODELS.items():
            for by in ("gradient", "activation"):
                task = task_of(config)
                model, half = task.model, Width(4, 40)
                ids, labels = inputs(model)
                full, narrow = model(ids, labels).detach(), model(ids, labels, half).detach()
                importance.sort(model, importance.measure(model, task.losses(), by))
                sorted_full, sorted_narrow = model(ids, labels).detach(), model(ids, labels, half).detach()
                self.assert_sums_agree(sorted_full, full, f"{name}, {by}")
                self.assertGreater((sorted_narrow - narrow).abs().max().item(), 0.1, f"{name}, {by}")

    def test_every_tensor_keeps_its_numbers(self):
        task = task_of(HALTON)
        before = {name: tensor.clone() for name, tensor in task.model.state_dict().items()}
        importance.sort(task.model, importance.measure(task.model, task.losses(), "gradient"))
        for name, tensor in task.model.state_dict().items():
            self.assertTrue(torch.equal(tensor.flatten().sort().values, before[name].flatten().sort().values), name)

    def test_what_matters_most_comes_first(self):
        for by in ("gradient", "activation"):
            task = task_of(MODELS["pre"])
            layer = task.model.layers[0]
            with torch.no_grad():
                layer.attention.output.weight[:, 5 * 16 : 6 * 16] *= 8
                layer.mlp.down.weight[:, 33] *= 8
            query, up = layer.attention.query.weight.detach().clone(), layer.mlp.up.bias.detach().clone()
            importance.sort(task.model, importance.measure(task.model, task.losses(), by))
            self.assertTrue(torch.equal(layer.attention.query.weight[:16], query[5 * 16 : 6 * 16]), by)
            self.assertEqual(layer.mlp.up.bias[0], up[33], by)

    def test_the_gradient_score_is_the_derivative_by_a_mask_on_each_row(self):
        model = model_of(MODELS["pre"]).requires_grad_(True)
        ids, labels = inputs(model)
        mask = torch.ones(4, 13, 80, requires_grad=True)
        hook = model.layers[1].mlp.down.register_forward_pre_hook(lambda _, inputs: inputs[0] * mask)
        (expected,) = torch.autograd.grad(model(ids, labels).square().sum(), mask)
        hook.remove()
        measured = importance.measure(model, (model(ids, labels).square().sum() for _ in range(1)), "gradient")
        self.assertTrue(torch.allclose(measured[1].hidden, expected.abs().sum((0, 1)), rtol=1e-3))


class WidthsTest(unittest.TestCase):
    def test_a_width_is_a_model_of_its_own(self):
        for name, config in MODELS.items():
            model = model_of(config)
            ids, labels = inputs(model)
            for width in (Width(1, 10), Width(4, 40), Width(8, 80)):
                expected = sliced(model, width)(ids, labels)
                self.assertTrue(torch.allclose(model(ids, labels, width), expected, rtol=0, atol=1e-4), name)

    def test_shares_of_heads_and_units(self):
        shapes = {"num_attention_heads": 6, "intermediate_size": 1024}
        widths = nested_widths("1/6,1/3,2/3,1", shapes)
        self.assertEqual([width["name"] for width in widths], ["1/6", "1/3", "2/3", "1"])
        self.assertEqual([width["heads"] for width in widths], [1, 2, 4, 6])
        self.assertEqual([width["hidden"] for width in widths], [168, 336, 680, 1024])

    def test_the_default_widths(self):
        self.assertEqual(nested(model_of(MASKGIT), None).config["widths"], generator_config("post")["widths"])

    def test_a_nested_checkpoint_keeps_its_widths(self):
        original = model_of(generator_config("post") | {"widths": nested_widths("1/2,1", MASKGIT)})
        self.assertEqual([width.heads for width in nested(original, None).widths], [4, 8])
        self.assertEqual([width.heads for width in nested(original, "1/4,1").widths], [2, 8])

    def test_other_widths_are_refused(self):
        shapes = {"num_attention_heads": 6, "intermediate_size": 1024}
        refusals = {
            "1/8,1": "expected shares of 6 heads, such as 1/6, 1/3, 1/2, but received 1/8",
            "1/2,1/3,1": "expected ascending shares but received 1/2,1/3,1",
            "1/2": "expected shares that end with 1",
            "1": "expected shares that end with 1",
            "1/0,1": "expected shares that end with 1",
            "0/2,1": "expected ascending shares",
        }
        for names, message in refusals.items():
            with self.assertRaisesRegex(SystemExit, message):
                nested_widths(names, shapes)


class MaskingTest(unittest.TestCase):
    def test_a_scheduled_step_masks_as_many_as_when_paper_runs_the_width(self):
        task = task_of(MASKGIT, schedule_share=1.0)
        masked = {width: set() for width in range(4)}
        for step in range(200):
            batch = task.batch(Random.for_step(1, step, 0), 8)
            masked[int(batch["width"])].update(batch["masked"].sum(1).tolist())
        # Of 12 tokens: 12 cos(π r / 2), rounded up, from r = width / 4 to (width + 1) / 4.
        self.assertEqual(masked, {0: {12}, 1: {12, 11, 10, 9}, 2: {9, 8, 7, 6, 5}, 3: {5, 4, 3, 2, 1}})


class TrainingTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def train(self, task: NestTask, name: str) -> dict[str, torch.Tensor]:
        with contextlib.redirect_stdout(io.StringIO()):
            return nest(task, "gradient", 0, self.folder / name, Processes()).state_dict()

    def test_an_interrupted_training_ends_with_the_same_weights(self):
        for config in (HALTON, MASKGIT):
            name = config["norm_position"]
            whole = self.train(task_of(config), name)
            interrupted = task_of(config)
            make, steps = interrupted.batch, []

            def batch(random: Random, size: int) -> dict:
                steps.append(size)
                if len(steps) == 6:  # three to sort by, then the third step
                    raise KeyboardInterrupt
                return make(random, size)

            interrupted.batch = batch
            with self.assertRaises(KeyboardInterrupt):
                self.train(interrupted, f"{name} resumed")
            resumed = self.train(task_of(config), f"{name} resumed")
            for key, tensor in whole.items():
                self.assertTrue(torch.equal(resumed[key], tensor), f"{name}: {key}")

    def test_the_full_width_starts_as_the_teacher_and_the_teacher_stays(self):
        task = task_of(HALTON)
        teacher = {name: tensor.clone() for name, tensor in task.teacher.state_dict().items()}
        batch = task.batch(Random.for_step(1, 0, 0), 8)
        for width, name in ((0, "1/8"), (3, "1")):
            _, metrics = task(batch | {"width": torch.tensor(width)}, 0.0)
            self.assertEqual(metrics[name].item() < 1e-5, name == "1")
        self.train(task, "teacher")
        for name, tensor in task.teacher.state_dict().items():
            self.assertTrue(torch.equal(tensor, teacher[name]), name)

    def test_the_nested_model_is_exported_and_read_back(self):
        for name, config in MODELS.items():
            model = nested(model_of(config), "1/4,1")
            export.write(model, self.folder / name, np.float32)
            ids, labels = inputs(model)
            read = export.read(self.folder / name)
            self.assertEqual(read.config["widths"], model.config["widths"])
            self.assertTrue(torch.equal(read(ids, labels, model.widths[0]), model(ids, labels, model.widths[0])), name)

    def test_samples_without_a_class_need_a_null_class(self):
        with self.assertRaisesRegex(SystemExit, "expected label_dropout 0 and prediction_share 0"):
            task_of(MASKGIT, label_dropout=0.1)


@needs_dist
@needs_addon
class PackageTest(unittest.TestCase):
    def test_the_package_makes_the_tokens_that_pytorch_makes(self):
        folder = ROOT / "test" / "fixtures" / "post"
        tokenizer = export.read(folder / "tokenizer")
        package = PackageTokenizer(folder)
        random = np.random.default_rng(0)
        for count in (3, 200, 1):
            shape = (count, *tokenizer.config["sample_shape"], tokenizer.config["channels"])
            pixels = torch.from_numpy(random.integers(256, size=shape).astype(np.float32) / 255)
            # A tie may go either way.
            self.assertGreater((package.tokenize(pixels) == tokenizer.tokenize(pixels)).float().mean().item(), 0.999)

    @needs_dist
    def test_a_tokenizer_that_cannot_be_opened_ends_the_training(self):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "tokenizer").mkdir()
            (folder / "config.json").write_text('{"latent_shape": [1, 7, 7]}')
            (folder / "tokenizer" / "config.json").write_text("{}")
            package = PackageTokenizer(folder)
            with self.assertRaisesRegex(SystemExit, "expected 39200 bytes but received 0"):
                package.tokenize(torch.zeros(200, 1, 28, 28, 1))  # more than a pipe holds


if __name__ == "__main__":
    unittest.main()
