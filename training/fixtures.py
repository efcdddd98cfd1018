"""python3 -m training.fixtures: writes test/fixtures, small random checkpoints with PyTorch's answers for them.

Each of test/fixtures/{post,pre,video,modulated,untied} is a checkpoint folder and has an expected.safetensors:
  ids, labels           I32 [samples, N] (-1 masked), [samples] (-1 no class)
  logits.{width}        F32 [samples, N, V], one pass over every row; V is the number of codes where the head is untied
  later.ids             I32 [samples, N]: ids after some of the masked tokens became known
  later.{width}         F32 [samples, N, V]: a pass over the rows that were masked in ids, the other rows' keys and
                        values from the pass before; zero where later.ids is known
  greedy                I32 [samples, N]: decoded from all masked in 8 steps, 2 each width, with the cache, guidance
                        1.5 where there is a null class, the likeliest token each time and no noise on the choice
of those with a tokenizer:
  pixels, tokens        F32 [2, frames, height, width, channels], I32 [2, N]: what the tokenizer makes of them
  decoded               F32 [2, frames, height, width, channels]: tokens decoded
and of video, which predicts frames:
  given                 F32 [2, given, height, width, channels]: the first frames of pixels
  predicted             I32 [2, N]: like greedy, without class and guidance; the given frames show in the first
  positions
expected.json says the same, with shapes.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from . import export, safetensors
from .decode import Sampling, generate
from .model import Cache, Generator, Tokenizer
from .tokens import condition_tokens, given

FOLDER = Path(__file__).parent.parent / "test" / "fixtures"

LIKELIEST = Sampling(temperature=0, choice_temperature=0)
GREEDY = replace(LIKELIEST, guidance=1.5)
MEANING = {
    "ids": "token ids, -1 where masked",
    "labels": "class of each sample, -1 without",
    "logits": "of one pass over every row, at the width named",
    "later.ids": "ids after some of the masked tokens became known",
    "later": "logits of a pass over the rows that were masked in ids, at the width named; keys and values of every "
    "other row are those of the pass over ids; zero where later.ids is known",
    "greedy": "tokens decoded from all masked: 8 steps, 2 each width, cached, guidance 1.5 where there is a null "
    "class, temperatures 0",
    "pixels": "pictures in [0, 1]",
    "tokens": "what the tokenizer encodes pixels to",
    "decoded": "what the tokenizer decodes tokens to",
    "given": "the first frames of pixels, as many as the model predicts from",
    "predicted": "tokens decoded like greedy, without class and guidance, the first positions showing the given frames",
}


def generator_config(norm_position: str) -> dict:
    return {
        "model_type": "magnets",
        "hidden_size": 72,
        "num_hidden_layers": 2,
        "num_attention_heads": 8,
        "head_dim": 16,
        "intermediate_size": 80,
        "norm_position": norm_position,
        "hidden_act": "gelu_tanh" if norm_position == "post" else "gelu",
        "layer_norm_eps": 1e-6,
        "codebook_size": 40,
        "num_classes": 5,
        "latent_shape": [1, 3, 4],
        "widths": [
            {"name": "1/8", "heads": 1, "hidden": 10},
            {"name": "1/4", "heads": 2, "hidden": 20},
            {"name": "1/2", "heads": 4, "hidden": 40},
            {"name": "1", "heads": 8, "hidden": 80},
        ],
        "class_labels": ["a", "b", "c", "d", "e"],
    }


TOKENIZER = {
    "model_type": "magnets_tokenizer",
    "sample_shape": [1, 6, 8],
    "channels": 3,
    "patch_shape": [1, 2, 2],
    "hidden_size": 48,
    "num_attention_heads": 2,
    "intermediate_size": 56,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-6,
    "codebook_size": 40,
    "codebook_dim": 6,
}

VIDEO = {
    "num_hidden_layers": 1,
    "latent_shape": [3, 2, 2],
    "prediction": {"frames": 3},
    "sampling": {"steps": 8, "guidance": 2},
}
VIDEO_TOKENIZER = {
    "sample_shape": [6, 4, 6],
    "channels": 1,
    "patch_shape": [2, 2, 3],
    "encoder_layers": 0,
    "decoder_layers": 1,
}

# Heads that do not divide the hidden size.
SMALL = {"hidden_size": 34, "head_dim": 6}
# Blocks like those of Halton-MaskGIT.
HALTON = SMALL | {
    "norm_type": "rms_norm",
    "hidden_act": "silu",
    "mlp_gate": "multiply",
    "qk_norm": "rms",
    "modulation": "class",
    "bias": False,
    "embedding_norm": False,
    "head": "plain",
}
# What is left, in blocks that have biases.
UNTIED = SMALL | {
    "norm_type": "rms_norm",
    "mlp_gate": "multiply",
    "head": "plain",
    "tied": False,
    "null_class": False,
}

# The same number of tokens everywhere. A video's given frames end in the middle of a patch.
GENERATORS = {
    "post": generator_config("post"),
    "pre": generator_config("pre"),
    "video": generator_config("post") | VIDEO,
    "modulated": generator_config("pre") | HALTON,
    "untied": generator_config("post") | UNTIED,
}
TOKENIZERS = {"post": TOKENIZER, "pre": TOKENIZER, "video": TOKENIZER | VIDEO_TOKENIZER}


def randomize(model: nn.Module, scale: float) -> nn.Module:
    """Weights large enough that an error anywhere shows in the answer."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(0, scale)
            if name.endswith("norm.weight"):
                parameter.add_(1)
    return model.eval().requires_grad_(False)


def expected(generator: Generator, tokenizer: Tokenizer | None) -> dict[str, torch.Tensor]:
    tokens = torch.randint(generator.config["codebook_size"], (3, generator.token_count))
    masked = torch.rand(tokens.shape).argsort(1) < 8  # the same number in every sample, so that rows are rectangular
    later_masked = masked & (torch.where(masked, torch.rand(tokens.shape), 2.0).argsort(1).argsort(1) < 5)
    unconditional = generator.null_class is not None
    labels = torch.tensor([3, -1 if unconditional else 1, 0])
    ids, later = (torch.where(hidden, generator.mask_id, tokens) for hidden in (masked, later_masked))
    rows = masked.nonzero()[:, 1].view(len(tokens), -1) + 1

    result = {
        "ids": torch.where(masked, -1, tokens),
        "labels": labels,
        "later.ids": torch.where(later_masked, -1, tokens),
    }
    for width, entry in zip(generator.widths, generator.config["widths"]):
        cache = Cache()
        features = generator.features(ids, labels, width, cache)
        result[f"logits.{entry['name']}"] = generator.logits(features[:, 1:])
        cache.rows = rows
        answers = generator.logits(generator.features(later, labels, width, cache))
        spread = torch.zeros_like(result[f"logits.{entry['name']}"])
        spread.scatter_(1, (rows - 1)[..., None].expand_as(answers), answers)
        result[f"later.{entry['name']}"] = spread * later_masked[..., None]

    sampling = GREEDY if unconditional else LIKELIEST
    result["greedy"] = generate(generator, labels, [(width, 2) for width in generator.widths], sampling)
    if tokenizer is None:
        return result
    pixels = torch.rand(2, *tokenizer.config["sample_shape"], tokenizer.config["channels"])
    result["pixels"] = pixels
    result["tokens"] = tokenizer.tokenize(pixels)
    result["decoded"] = tokenizer.detokenize(result["tokens"])
    if "prediction" in generator.config:
        frames = generator.config["prediction"]["frames"]
        result["given"] = pixels[:, :frames]
        condition = tokenizer.tokenize(given(pixels, frames))[:, : condition_tokens(tokenizer, frames)]
        schedule = [(width, 2) for width in generator.widths]
        result["predicted"] = generate(generator, torch.full((2,), -1), schedule, LIKELIEST, condition=condition)
    return result


def main() -> None:
    torch.manual_seed(20)
    for name, settings in GENERATORS.items():
        generator = randomize(Generator(settings), 0.15)
        tokenizer = randomize(Tokenizer(TOKENIZERS[name]), 0.3) if name in TOKENIZERS else None
        folder = FOLDER / name
        export.write(generator, folder, np.float32)
        if tokenizer:
            export.write(tokenizer, folder / "tokenizer", np.float32)
        arrays = {
            name: tensor.numpy().astype(np.float32 if tensor.is_floating_point() else np.int32)
            for name, tensor in expected(generator, tokenizer).items()
        }
        safetensors.write(folder / "expected.safetensors", arrays)
        described = {
            name: {"shape": list(array.shape), "meaning": MEANING.get(name) or MEANING[name.split(".")[0]]}
            for name, array in arrays.items()
        }
        (folder / "expected.json").write_text(json.dumps(described, indent=2) + "\n")


if __name__ == "__main__":
    main()
