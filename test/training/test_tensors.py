"""The models of training have the tensors that the engine lists, by name and shape."""

import unittest
from pathlib import Path

from blocks import MODELS as BLOCKS, UNTIED
from node import evaluate, needs_addon, needs_dist
from training.config import CONFIGS, read_config
from training.fixtures import GENERATORS, TOKENIZERS
from training.model import Generator, Tokenizer

LISTS = """
import { native } from './dist/runtime/native.js';
import { parseGeneratorConfig, parseTokenizerConfig } from './dist/checkpoint/config.js';
import { engineTensors } from './dist/runtime/listing.js';
native();
const list = (config) =>
  config.model_type === 'magnets'
    ? engineTensors.generator(parseGeneratorConfig('config.json', 'test', config))
    : engineTensors.tokenizer(parseTokenizerConfig('config.json', config));
console.log(JSON.stringify(input.map((config) => list(config))));
"""


def configs() -> dict[str, dict]:
    """Returns the model section of every config of training, the configs of the fixtures, and those of every block."""
    named = {path.stem: read_config(path)["model"] for path in sorted(Path(CONFIGS).glob("*.json"))}
    named |= {f"fixture {name}": config for name, config in GENERATORS.items()}
    named |= {f"fixture {name}, tokenizer": config for name, config in TOKENIZERS.items()}
    return named | {f"blocks of {name}": generator for name, generator in (BLOCKS | {"untied": UNTIED}).items()}


@needs_dist
@needs_addon
class TensorsTest(unittest.TestCase):
    def test_state_dicts_have_the_names_and_shapes_of_the_engines_list(self):
        small = {name: config for name, config in configs().items() if config["hidden_size"] <= 256}
        self.assertGreater(len(small), 10)
        for (name, config), listed in zip(small.items(), evaluate(LISTS, list(small.values()))):
            model = {"magnets": Generator, "magnets_tokenizer": Tokenizer}[config["model_type"]](config)
            expected = {entry["name"]: entry["shape"] for entry in listed}
            actual = {key: list(tensor.shape) for key, tensor in model.state_dict().items()}
            self.assertEqual(actual, expected, name)


if __name__ == "__main__":
    unittest.main()
