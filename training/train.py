"""python3 -m training.train --config training/configs/fashion-tokenizer.json --out FOLDER [--tokenizer FOLDER]"""

import argparse
import json
from pathlib import Path

import torch

from . import export
from .generator import GeneratorTask
from .loop import train
from .tokenizer import TokenizerTask


def main() -> None:
    parser = argparse.ArgumentParser(description="Trains a tokenizer or a nested generator, resumable, and exports it.")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="checkpoints while training, and the exported model")
    parser.add_argument("--tokenizer", type=Path, help="the exported tokenizer that a generator is trained on")
    arguments = parser.parse_args()
    config = json.loads(arguments.config.read_text())
    torch.manual_seed(config["train"]["seed"])
    if config["model"]["model_type"] == "magnets_tokenizer":
        task = TokenizerTask(config["model"], config["train"])
    else:
        if arguments.tokenizer is None:
            parser.error("a generator needs --tokenizer")
        task = GeneratorTask(config["model"], config["train"], arguments.tokenizer)
    model = train(task, config["train"], arguments.out)
    export.write(model, arguments.out)
    print(f"exported {arguments.out}")


if __name__ == "__main__":
    main()
