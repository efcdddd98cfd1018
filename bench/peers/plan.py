"""python3 -m bench.peers.plan L [MODEL ...] --out plans.json: writes the plans that the benchmarks run.

Sizes, plans and FLOPs are those of `magnets plan --json`, made concrete by lib/plan. This module only reads them. A
file of them serves a machine without Node: it has {model: {method: BatchPlan}}, with the model as it was named on the
command line and the methods of METHODS. The plans are those of one sample without guidance; guidance doubles the FLOPs.
"""

import argparse
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
TINY = "bench/peers/tiny"  # the folder of a config for checks
METHODS = {
    "baseline": ["--schedule", "baseline"],
    "paper": ["--schedule", "paper"],
    "paper-nocache": ["--schedule", "paper", "--no-cache"],
}


@dataclass(frozen=True)
class Width:
    """A nested sub-model: the first `heads` heads and the first `hidden` MLP units of every layer."""

    name: str
    heads: int
    hidden: int


@dataclass(frozen=True)
class Shape:
    """A model's sizes. The vocabulary has the codes, the classes, the null class and [MASK], in this order; a
    sequence is the class token and then the tokens. The widths go from narrow to full."""

    name: str
    layers: int
    hidden_size: int
    heads: int
    head_dim: int
    intermediate_size: int
    codebook_size: int
    vocab_size: int
    token_count: int
    widths: tuple[Width, ...]

    @property
    def positions(self) -> int:
        return 1 + self.token_count

    @property
    def classes(self) -> int:
        return self.null_class_id - self.codebook_size

    @property
    def null_class_id(self) -> int:
        return self.vocab_size - 2

    @property
    def mask_id(self) -> int:
        return self.vocab_size - 1


@dataclass(frozen=True)
class Step:
    """A decode step of one sequence. A refresh computes every row and rewrites the cache; `active_rows` go through the
    layers and `logits_rows` through the LM head. `masked` positions are masked when the step begins and `masked_after`
    when it ends."""

    width: Width
    refresh: bool
    active_rows: int
    logits_rows: int
    masked: int
    masked_after: int
    choice_temperature: float


@dataclass(frozen=True)
class Plan:
    """The plan of one sample. With a `cache`, keys and values of known tokens are kept between refreshes."""

    shape: Shape
    schedule: str
    cache: bool
    steps: tuple[Step, ...]
    flops: int


def parse_plan(plan: dict) -> Plan:
    """Returns the plan in the JSON of a BatchPlan (lib/plan/plan.ts) of one sample and one branch."""
    if plan["branches"] != 1:
        raise SystemExit(f"expected the plan of 1 branch but received {plan['branches']}")
    if plan["order"] != "confidence":
        raise SystemExit(f"expected the order of confidence but received {plan['order']}")
    model = plan["model"]
    frames, height, width = model["latentShape"]
    shape = Shape(
        name=model["name"],
        layers=model["layers"],
        hidden_size=model["hiddenSize"],
        heads=model["heads"],
        head_dim=model["headDim"],
        intermediate_size=model["intermediateSize"],
        codebook_size=model["codebookSize"],
        vocab_size=model["vocabSize"],
        token_count=frames * height * width,
        widths=tuple(Width(**width) for width in model["widths"]),
    )
    steps = tuple(
        Step(
            width=Width(**step["width"]),
            refresh=step["refresh"],
            active_rows=step["activeRows"],
            logits_rows=step["logitsRows"],
            masked=step["masked"],
            masked_after=step["maskedAfter"][0],
            choice_temperature=step["choiceTemperature"],
        )
        for step in plan["steps"]
    )
    return Plan(shape, plan["schedule"], plan["cache"], steps, plan["flops"])


def run_magnets_plan(model: str, *options: str) -> dict:
    """Returns what `magnets plan --json` prints. `model` is the name of a preset, a bundled model or a folder."""
    command = ["node", "dist/cli/main.js", "plan", "--model", model, *options, "--json"]
    try:
        return json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)
    except FileNotFoundError:
        raise SystemExit("expected Node, or a file of plans for --plan") from None
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"{' '.join(command)}: expected exit status 0 but received {error.returncode}") from None


def make_plans(model: str, steps: int = 12) -> dict[str, dict]:
    """Returns the BatchPlan of every method."""
    common = ["--steps", str(steps), "--guidance", "0", "--order", "confidence"]
    return {name: run_magnets_plan(model, *common, *options) for name, options in METHODS.items()}


def load_plans(model: str, file: Path | None) -> dict[str, Plan]:
    """Returns the plan of every method for a model: from a file, or by Node where `file` is None."""
    if file is None:
        plans = make_plans(model)
    else:
        plans_of_models = json.loads(file.read_text())
        if model not in plans_of_models:
            raise SystemExit(f"{file}: expected plans of {model} but received those of {', '.join(plans_of_models)}")
        plans = plans_of_models[model]
    return {name: parse_plan(plan) for name, plan in plans.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help=f"presets, bundled models or folders; --check needs {TINY}")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--out", type=Path, default=Path("plans.json"))
    arguments = parser.parse_args()
    plans = {model: make_plans(model, arguments.steps) for model in arguments.models}
    arguments.out.write_text(json.dumps(plans) + "\n")


if __name__ == "__main__":
    main()
