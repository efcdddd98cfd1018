"""Small configs of full-width models with every kind of block."""

from training.fixtures import HALTON as HALTON_BLOCKS, generator_config

FULL = {"widths": [{"name": "1", "heads": 8, "hidden": 80}]}
HALTON = generator_config("pre") | FULL | HALTON_BLOCKS
MASKGIT = generator_config("post") | FULL | {"null_class": False}
MODELS = {"post": generator_config("post") | FULL, "pre": generator_config("pre") | FULL}
MODELS |= {"halton": HALTON, "maskgit": MASKGIT}
UNTIED = MASKGIT | {"tied": False}
