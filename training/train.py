"""python3 -m training.train --config training/configs/TASK.json --out FOLDER [--tokenizer FOLDER]
    [--from FOLDER] [--data FOLDER]

Trains a tokenizer, or a nested generator on the tokens of one, and exports it. It is resumable.

On several GPUs: torchrun --nproc_per_node 8 -m training.train ...
"""

import argparse
from pathlib import Path

import torch

from . import export
from .config import prediction_frames, read_config
from .generator import GeneratorTask
from .loop import train
from .model import Generator
from .processes import Processes
from .tokenizer import TokenizerTask
from .tokens import prepare


def start_from(model: Generator, folder: Path) -> None:
    """Loads the weights of an exported generator into `model`."""
    try:
        model.load_state_dict(export.read(folder).state_dict())
    except RuntimeError as error:
        raise SystemExit(f"--from {folder}: expected a generator with the shapes of this config: {error}") from None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True, help="data, model and training: a file of configs")
    parser.add_argument("--out", type=Path, required=True, help="checkpoints while training, and the exported model")
    parser.add_argument("--tokenizer", type=Path, help="the exported tokenizer that a generator is trained on")
    parser.add_argument("--tokens", type=Path, help="where the training set's tokens are kept; default OUT/tokens")
    parser.add_argument("--from", dest="start", type=Path, help="an exported generator to start from")
    parser.add_argument("--data", help="the data set's folder, instead of the config's")
    arguments = parser.parse_args()
    config = read_config(arguments.config)
    model, options, data = config["model"], config["train"], config["data"]
    if arguments.data:
        data["folder"] = arguments.data
    processes = Processes()
    torch.manual_seed(options["seed"])
    if model["model_type"] == "magnets_tokenizer":
        if arguments.start is not None:
            parser.error("--from is for generators: an exported tokenizer lacks the averages of its codebook")
        task = TokenizerTask(model, options, data)
    else:
        if arguments.tokenizer is None:
            parser.error("a generator needs --tokenizer")
        tokenizer = export.read(arguments.tokenizer).to(processes.device)
        generator = Generator(model)
        if arguments.start is not None:
            start_from(generator, arguments.start)  # a wrong folder fails before the minutes that tokenizing takes
        folder = arguments.tokens or arguments.out / "tokens"
        frames = prediction_frames(model)
        splits = (prepare(tokenizer, data, frames, split, folder, processes) for split in ("train", "test"))
        task = GeneratorTask(generator, options, *splits)
    trained = train(task, options, data["reader_threads"], arguments.out, processes)
    if processes.first:
        export.write(trained, arguments.out)
        print(f"exported {arguments.out}")


if __name__ == "__main__":
    main()
