"""Checkpoint files: the safetensors format, and models that are written and read back."""

import json
import tempfile
import unittest
from pathlib import Path

import numpy as np
import torch

from training import export, safetensors
from training.fixtures import GENERATORS, TOKENIZERS, randomize
from training.model import Generator, Tokenizer


class SafetensorsTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = Path(folder.name) / "tensors.safetensors"

    def test_tensors_of_every_dtype_come_back_as_they_were(self):
        random = np.random.default_rng(0)
        tensors = {name: random.integers(0, 200, (2, 3)).astype(dtype) for name, dtype in safetensors.DTYPES.items()}
        tensors |= {"none": np.zeros((0, 4), np.float32), "one": np.float32(3).reshape(()), "extremes": np.array(
            [np.inf, -0.0, np.nan, 6e-8], np.float16)}
        safetensors.write(self.file, tensors)
        read = safetensors.read(self.file)
        self.assertEqual(list(read), list(tensors))
        for name, tensor in tensors.items():
            self.assertEqual((read[name].dtype, read[name].shape), (tensor.dtype, tensor.shape))
            self.assertEqual(read[name].tobytes(), tensor.tobytes())

    def test_a_transposed_tensor_is_written_in_row_major_order(self):
        transposed = np.arange(6, dtype=np.float32).reshape(2, 3).T
        safetensors.write(self.file, {"x": transposed})
        np.testing.assert_array_equal(safetensors.read(self.file)["x"], transposed)

    def test_the_file_has_the_documented_layout(self):
        safetensors.write(self.file, {"a": np.array([1, 2], "<i4"), "b": np.array([[0.5]], "<f2")})
        raw = self.file.read_bytes()
        length = int.from_bytes(raw[:8], "little")
        self.assertEqual(length % 8, 0)
        header = json.loads(raw[8 : 8 + length])
        self.assertEqual(header["a"], {"dtype": "I32", "shape": [2], "data_offsets": [0, 8]})
        self.assertEqual(header["b"], {"dtype": "F16", "shape": [1, 1], "data_offsets": [8, 10]})
        self.assertEqual(raw[8 + length :], bytes.fromhex("01000000 02000000 0038"))

    def test_metadata_is_no_tensor(self):
        text = json.dumps({"__metadata__": {"format": "pt"}}).encode()
        self.file.write_bytes(len(text).to_bytes(8, "little") + text)
        self.assertEqual(safetensors.read(self.file), {})

    def write_raw(self, dtype: str, stored: bytes) -> None:
        entry = {"dtype": dtype, "shape": [2], "data_offsets": [0, len(stored)]}
        text = json.dumps({"x": entry}).encode()
        self.file.write_bytes(len(text).to_bytes(8, "little") + text + stored)

    def test_bf16_is_read_as_the_same_numbers_in_f32(self):
        self.write_raw("BF16", bytes.fromhex("c03f 80ff"))
        read = safetensors.read(self.file)["x"]
        self.assertEqual((read.dtype, read.tolist()), (np.float32, [1.5, -np.inf]))

    def test_a_dtype_that_cannot_be_read_is_refused(self):
        self.write_raw("I8", bytes(2))
        with self.assertRaisesRegex(SystemExit, "tensors.safetensors: expected one of .* for x but received I8"):
            safetensors.read(self.file)

    def test_a_dtype_without_a_name_is_refused(self):
        with self.assertRaises(KeyError):
            safetensors.write(self.file, {"x": np.zeros(1, np.float64)})


class ExportTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name) / "exported"
        torch.manual_seed(0)

    def generators(self):
        return [(name, randomize(Generator(config), 0.15)) for name, config in GENERATORS.items()]

    def tokenizers(self):
        return [(name, randomize(Tokenizer(config), 0.3)) for name, config in TOKENIZERS.items()]

    def test_a_generator_written_as_f32_answers_the_same_logits_at_every_width(self):
        for name, generator in self.generators():
            export.write(generator, self.folder, np.float32)
            read = export.read(self.folder)
            ids = torch.randint(generator.mask_id + 1, (2, generator.token_count))
            labels = torch.tensor([1, -1 if generator.null_class is not None else 0])
            for width in generator.widths:
                self.assertTrue(torch.equal(read(ids, labels, width), generator(ids, labels, width)), name)

    def test_a_tokenizer_written_as_f32_answers_the_same_tokens_and_pixels(self):
        for name, tokenizer in self.tokenizers():
            export.write(tokenizer, self.folder, np.float32)
            read = export.read(self.folder)
            pixels = torch.rand(2, *tokenizer.config["sample_shape"], tokenizer.config["channels"])
            tokens = tokenizer.tokenize(pixels)
            self.assertTrue(torch.equal(read.tokenize(pixels), tokens), name)
            self.assertTrue(torch.equal(read.detokenize(tokens), tokenizer.detokenize(tokens)), name)

    def test_weights_written_as_f16_are_rounded_to_f16_and_nothing_else(self):
        for name, generator in self.generators():
            export.write(generator, self.folder)
            read = export.read(self.folder).state_dict()
            for key, tensor in generator.state_dict().items():
                self.assertTrue(torch.equal(read[key], tensor.half().float()), f"{name}: {key}")

    def test_the_averages_of_the_codebook_are_not_exported(self):
        _, tokenizer = self.tokenizers()[0]
        tokenizer.register_buffer("code_count", torch.ones(3))
        export.write(tokenizer, self.folder)
        self.assertNotIn("code_count", safetensors.read(self.folder / "model.safetensors"))

    def test_an_empty_folder_is_refused(self):
        self.folder.mkdir()
        with self.assertRaisesRegex(SystemExit, "expected an exported model, with config.json"):
            export.read(self.folder)

    def test_models_that_pytorch_does_not_have_here_are_refused(self):
        export.write(self.tokenizers()[0][1], self.folder)
        for config, message in (
            ({"model_type": "magnets_tokenizer", "kind": "conv"}, "expected a tokenizer of kind vit"),
            ({"model_type": "bert"}, "expected a model_type among magnets, magnets_tokenizer but received bert"),
        ):
            (self.folder / "config.json").write_text(json.dumps(config))
            with self.assertRaisesRegex(SystemExit, message):
                export.read(self.folder)


if __name__ == "__main__":
    unittest.main()
