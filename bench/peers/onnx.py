"""python3 -m bench.peers.onnx FOLDER --out FOLDER: a checkpoint's networks as ONNX files, for onnxruntime.js.

    generator.onnx        ids [batch, N], labels [batch] (-1: no class) -> logits [batch, N, V]: one full-width pass
    generator-int8.onnx   the same, where the products of the blocks are dynamically quantized
    tokenizer.onnx        tokens [batch, N] -> pixels [batch, height, width, channels]; of a tokenizer of kind "conv"
                          alone

The batch is free. Weights are f32, and those that are quantized bytes with a scale for each output: what onnxruntime's
own quantize_dynamic writes with per_channel. It leaves nothing else f32 than magnets does with weights: 'int8'.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.onnx import symbolic_helper

from training import export, model, safetensors

from .conv_decoder import ConvDecoder

OPSET = 13


def unflatten(graph, x, dim, sizes, names=None):
    """PyTorch 1.13 cannot export unflatten: here it is for the last dimension, a reshape that keeps those before."""
    rank, sizes = symbolic_helper._get_tensor_rank(x), symbolic_helper._get_const(sizes, "is", "sizes")
    if symbolic_helper._get_const(dim, "i", "dim") % rank != rank - 1:
        raise NotImplementedError("expected unflatten of the last dimension")
    free = sizes if -1 in sizes else [*sizes[:-1], -1]
    shape = graph.op("Constant", value_t=torch.tensor([0] * (rank - 1) + list(free)))
    return graph.op("Reshape", x, shape)


def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Attention as one product, one softmax and one product: the form that onnxruntime knows."""
    return (query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5).softmax(-1) @ value


class DynamicProduct(torch.autograd.Function):
    """x W + b with W = bytes [in, out] * scale [out]: in a file a product of bytes, x rounded as it comes."""

    @staticmethod
    def forward(_, x, weight, scale, bias):
        return x @ (weight.float() * scale) + bias

    @staticmethod
    def symbolic(graph, x, weight, scale, bias):
        rounded, x_scale, x_zero = graph.op("DynamicQuantizeLinear", x, outputs=3)
        zero = graph.op("Constant", value_t=torch.zeros((), dtype=torch.int8))
        sums = graph.op("Cast", graph.op("MatMulInteger", rounded, weight, x_zero, zero), to_i=1)
        product = graph.op("Mul", sums, graph.op("Mul", x_scale, scale))
        sizes = [*x.type().varyingSizes()[:-1], scale.type().sizes()[0]]
        return graph.op("Add", product, bias).setType(x.type().with_sizes(sizes))


class DynamicLinear(nn.Module):
    """A linear layer of a block, at the full width, with its weights as bytes."""

    def __init__(self, layer: nn.Linear):
        super().__init__()
        scale = layer.weight.abs().amax(1).div(127).clamp(min=torch.finfo(torch.float32).tiny)
        self.register_buffer("weight", (layer.weight / scale[:, None]).round().to(torch.int8).T.contiguous())
        self.register_buffer("scale", scale)
        self.register_buffer("bias", torch.zeros_like(scale) if layer.bias is None else layer.bias.detach())

    def forward(self, x: torch.Tensor, outputs: int | None = None) -> torch.Tensor:
        return DynamicProduct.apply(x, self.weight, self.scale, self.bias)


def quantize(module: nn.Module) -> None:
    """Replaces the products of a transformer's blocks."""
    for name, child in module.named_children():
        if isinstance(child, (model.RowsLinear, model.ColumnsLinear)):
            setattr(module, name, DynamicLinear(child))
        else:
            quantize(child)


def write(
    module: nn.Module, inputs: dict[str, torch.Tensor], output: str, axes: list[str], file: Path
) -> None:
    """Exports a module whose inputs and output all begin with the batch."""
    batch = {name: {0: "batch"} for name in (*inputs, output)}
    torch.onnx.export(
        module,
        tuple(inputs.values()),
        str(file),
        input_names=list(inputs),
        output_names=[output],
        dynamic_axes=batch,
        opset_version=OPSET,
    )
    print(f"{file}: {output} [batch, {', '.join(axes)}]")


def export_generator(folder: Path, out: Path) -> None:
    model.attend = attend
    generator = export.read(folder)
    ids = torch.full((2, generator.token_count), generator.mask_id)
    inputs = {"ids": ids, "labels": torch.tensor([0, -1])}
    write(generator, inputs, "logits", ["N", "V"], out / "generator.onnx")
    quantize(generator.layers)
    write(generator, inputs, "logits", ["N", "V"], out / "generator-int8.onnx")


def export_tokenizer(folder: Path, out: Path) -> None:
    """Exports the decoder of a convolutional tokenizer."""
    config = json.loads((folder / "config.json").read_text())
    tensors = safetensors.read(folder / "model.safetensors")
    tensors = {name: torch.from_numpy(tensor.astype(np.float32)) for name, tensor in tensors.items()}
    tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith("encoder.")}
    decoder = ConvDecoder(config, tensors).eval()
    side = 2 ** (len(config["multipliers"]) - 1)
    _, height, width = config["sample_shape"]
    tokens = torch.zeros(2, height // side * (width // side), dtype=torch.long)
    write(decoder, {"tokens": tokens}, "pixels", ["height", "width", "channels"], out / "tokenizer.onnx")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a checkpoint (docs/checkpoints.md)")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if torch.__version__.startswith("1."):
        torch.onnx.register_custom_op_symbolic("aten::unflatten", unflatten, OPSET)
    with torch.no_grad():
        export_generator(arguments.folder, arguments.out)
        tokenizer = arguments.folder / "tokenizer"
        if tokenizer.exists() and json.loads((tokenizer / "config.json").read_text()).get("kind") == "conv":
            export_tokenizer(tokenizer, arguments.out)


if __name__ == "__main__":
    main()
