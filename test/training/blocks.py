"""Small configs of full-width models with every kind of block."""

from training.fixtures import generator_config

FULL = {"widths": [{"name": "1", "heads": 8, "hidden": 80}]}
# Blocks like those of Halton-MaskGIT, with heads that do not divide the hidden size.
HALTON = generator_config("pre") | FULL | {
    "norm_type": "rms_norm",
    "hidden_act": "silu",
    "mlp_gate": "multiply",
    "qk_norm": "rms",
    "modulation": "class",
    "bias": False,
    "embedding_norm": False,
    "head": "plain",
    "hidden_size": 50,
    "head_dim": 6,
}
MASKGIT = generator_config("post") | FULL | {"null_class": False}
MODELS = {"post": generator_config("post") | FULL, "pre": generator_config("pre") | FULL}
MODELS |= {"halton": HALTON, "maskgit": MASKGIT}
UNTIED = MASKGIT | {"tied": False}
