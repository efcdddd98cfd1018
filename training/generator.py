"""Training of the nested generator: masked tokens, a sampled sub-model each step, distilled from a larger one."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from . import masking
from .batches import Batch, Random
from .model import Cache, Generator, Width
from .tokens import Tokens

MAX_TEST_TOKENS = 100_000  # in an evaluation while training


class GeneratorTask(nn.Module):
    """Trains with MaskGIT's loss on masked positions and, with more than one width, with MaGNeTS' nested training:

    L = GT(full) + λ GT(sub) + (1 - λ) CE(teacher, detached -> sub), λ from 1 to 0 (as in ELT, arXiv 2604.09168).
    The teacher is the full model or the next larger one than the sub-model (options["teacher"]: "full" or "next").

    A share of the samples, options["label_dropout"], has no class, so that the model learns both halves of guidance.
    A share of the samples, options["prediction_share"], trains frame prediction (COMMIT, MAGVIT 3.2): masked
    positions of the given frames show the tokens of those frames alone and are predicted like the others. These have
    no class either. A share of the steps, options["stale_share"], trains with a stale cache: keys and values of known
    tokens come from an earlier pass, when fewer tokens were known, as in generation with the cache.
    """

    def __init__(self, model: Generator, options: dict, train: Tokens, test: Tokens):
        super().__init__()
        if model.null_class is None and options["label_dropout"] + options["prediction_share"] > 0:
            raise SystemExit("expected label_dropout 0 and prediction_share 0 for a model without a null class")
        self.model = model
        self.options = options
        self.train_tokens, self.test_tokens = train, test
        self.reach = 1 / len(self.model.widths)  # in progress, because a change of width refreshes the cache

    def batch(self, random: Random, size: int) -> Batch:
        own = random.own
        items = np.sort(own.integers(len(self.train_tokens.labels), size=size))
        hiding, width = self.draw(random, size)
        predicting = own.random(size) < self.options["prediction_share"]
        dropped = own.random(size) < self.options["label_dropout"]
        batch = self.samples(self.train_tokens, items, hiding, predicting, predicting | dropped)
        return batch | {"width": torch.tensor(width)}

    def draw(self, random: Random, size: int) -> tuple[masking.Masking, int]:
        """Returns the masked positions of a batch, and the number of the width that is drawn for it: a sub-model."""
        token_count = self.model.token_count
        if random.shared.random() < self.options["stale_share"]:
            hiding = masking.draw_stale(random.own, size, token_count, self.reach)
        else:
            hiding = masking.draw(random.own, size, token_count)
        return hiding, random.shared.integers(max(1, len(self.model.widths) - 1))

    def samples(
        self, source: Tokens, items: np.ndarray, hiding: masking.Masking, predicting: np.ndarray, unlabelled: np.ndarray
    ) -> Batch:
        """Returns tokens, ids and masked [size, N] and labels [size].

        With a stale cache it also returns `before` [size, N], the ids that the cache was computed for, and `rows`
        [size, n], the positions that are computed again; position 0 is the class token.
        """
        tokens = source.tokens[items].astype(np.int64)
        shown = np.full_like(tokens, self.model.mask_id)
        region = source.condition.shape[1]
        shown[:, :region] = np.where(predicting[:, None], source.condition[items], shown[:, :region])
        batch = {
            "tokens": tokens,
            "ids": np.where(hiding.masked, shown, tokens),
            "masked": hiding.masked,
            "labels": np.where(unlabelled, -1, source.labels[items]),
        }
        if hiding.before is not hiding.masked:
            batch["before"] = np.where(hiding.before, shown, tokens)
            batch["rows"] = 1 + hiding.before.nonzero()[1].reshape(len(items), -1)
        return {name: torch.from_numpy(array) for name, array in batch.items()}

    def logits(self, model: Generator, batch: Batch, width: Width) -> torch.Tensor:
        """Returns the logits of all masked positions, [positions, codes], in order of sample and position."""
        masked = batch["masked"]
        if "before" in batch:
            cache = Cache()
            with torch.no_grad():
                model.features(batch["before"], batch["labels"], width, cache)
            cache.rows = batch["rows"]
            features = model.features(batch["ids"], batch["labels"], width, cache)
            features = features[masked.gather(1, cache.rows - 1)]
        else:
            features = model.features(batch["ids"], batch["labels"], width)[:, 1:][masked]
        return model.logits(features)[:, : model.config["codebook_size"]]

    def forward(self, batch: Batch, progress: float) -> tuple[torch.Tensor, dict]:
        widths, sub = self.model.widths, int(batch["width"])
        target = batch["tokens"][batch["masked"]]
        smoothing = self.options["label_smoothing"]
        full = self.logits(self.model, batch, widths[-1])
        truth = F.cross_entropy(full, target, label_smoothing=smoothing)
        metrics = {"full": F.cross_entropy(full.detach(), target)}
        if len(widths) == 1:
            return truth, metrics
        student = self.logits(self.model, batch, widths[sub])
        teacher = full.detach()
        if self.options["teacher"] == "next" and sub + 1 < len(widths) - 1:
            with torch.no_grad():
                teacher = self.logits(self.model, batch, widths[sub + 1])
        student_truth = F.cross_entropy(student, target, label_smoothing=smoothing)
        distilled = F.cross_entropy(student, teacher.softmax(-1))
        total = truth + (1 - progress) * student_truth + progress * distilled
        return total, metrics | {"sub": F.cross_entropy(student.detach(), target)}

    @torch.no_grad()
    def evaluate(self, model: Generator) -> dict[str, float]:
        """Returns the cross entropy in nats of masked test tokens for each width, at the mask ratios of training: given
        the class and, where the model predicts frames, given the first frames."""
        test, device, codes = self.test_tokens, model.embeddings.word.weight.device, model.config["codebook_size"]
        count = min(MAX_TEST_TOKENS // model.token_count, len(test.labels))
        result = {}
        for name, predicting in [("", False)] + [("predicting ", True)] * (test.condition.shape[1] > 0):
            sums, masked = np.zeros(len(model.widths)), 0
            for items in np.array_split(np.arange(count), max(1, count // self.options["batch"])):
                flags = np.full(len(items), predicting)
                hiding = masking.draw(np.random.default_rng(items), len(items), model.token_count)
                batch = self.samples(test, items, hiding, flags, flags)
                batch = {key: part.to(device) for key, part in batch.items()}
                target = batch["tokens"][batch["masked"]]
                masked += len(target)
                for i, width in enumerate(model.widths):
                    logits = model(batch["ids"], batch["labels"], width)[batch["masked"]][:, :codes]
                    sums[i] += F.cross_entropy(logits, target, reduction="sum").item()
            for entry, total in zip(model.config["widths"], sums):
                result[name + entry["name"]] = round(total / masked, 4)
        return result
