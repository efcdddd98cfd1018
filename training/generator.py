"""Training of the nested generator: masked tokens, a sampled sub-model each step, distilled from a larger one."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from . import masking
from .batches import Batch, Random
from .model import Cache, Generator, Width
from .tokens import Tokens

TEST_TOKENS = 100_000  # at most, of an evaluation while training


class GeneratorTask(nn.Module):
    """MaskGIT's loss on masked positions (class dropped for guidance) and, with more than one width, MaGNeTS' nested training:

    L = GT(full) + λ GT(sub) + (1 - λ) CE(teacher, detached -> sub), λ from 1 to 0 (as in ELT, arXiv 2604.09168).
    The teacher is the full model or the next larger one than the sub-model (options["teacher"]: "full" or "next").

    COMMIT (MAGVIT 3.2) in a share of the samples, options["prediction_share"]: masked positions of the given frames show
    what those frames alone are tokenized to, and are predicted like the others. These samples have no class.

    Stale caches in a share of the steps, options["stale_share"]: keys and values of known tokens are those of an earlier
    pass, when fewer were known, as in decoding with the cache.
    """

    def __init__(self, model: Generator, options: dict, train: Tokens, test: Tokens):
        super().__init__()
        self.model = model
        self.options = options
        self.train_tokens, self.test_tokens = train, test
        self.reach = 1 / len(self.model.widths)  # in progress; the cache is refreshed at every change of width

    def batch(self, random: Random, size: int) -> Batch:
        own, shared, options = random.own, random.shared, self.options
        items = np.sort(own.integers(len(self.train_tokens.labels), size=size))
        tokens = self.model.tokens
        stale = shared.random() < options["stale_share"]
        hiding = masking.draw_stale(own, size, tokens, self.reach) if stale else masking.draw(own, size, tokens)
        predicting = own.random(size) < options["prediction_share"]
        dropped = own.random(size) < options["label_dropout"]
        batch = self.samples(self.train_tokens, items, hiding, predicting, predicting | dropped)
        return batch | {"sub": torch.tensor(shared.integers(max(1, len(self.model.widths) - 1)))}

    def samples(
        self, source: Tokens, items: np.ndarray, hiding: masking.Masking, predicting: np.ndarray, unlabelled: np.ndarray
    ) -> Batch:
        """tokens, ids, masked [size, N], labels [size]; if the cache is stale also what it was computed on:
        before [size, N], and rows [size, n], the positions (the class token is 0) that are computed again."""
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

    def logits(self, batch: Batch, width: Width) -> torch.Tensor:
        """[masked positions, codes], in order of sample and position"""
        model, masked = self.model, batch["masked"]
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
        widths, sub = self.model.widths, int(batch["sub"])
        target = batch["tokens"][batch["masked"]]
        smoothing = self.options["label_smoothing"]
        full = self.logits(batch, widths[-1])
        truth = F.cross_entropy(full, target, label_smoothing=smoothing)
        metrics = {"full": F.cross_entropy(full.detach(), target)}
        if len(widths) == 1:
            return truth, metrics
        student = self.logits(batch, widths[sub])
        teacher = full.detach()
        if self.options["teacher"] == "next" and sub + 1 < len(widths) - 1:
            with torch.no_grad():
                teacher = self.logits(batch, widths[sub + 1])
        student_truth = F.cross_entropy(student, target, label_smoothing=smoothing)
        distilled = F.cross_entropy(student, teacher.softmax(-1))
        total = truth + (1 - progress) * student_truth + progress * distilled
        return total, metrics | {"sub": F.cross_entropy(student.detach(), target)}

    @torch.no_grad()
    def evaluate(self, model: Generator) -> dict[str, float]:
        """Cross entropy in nats of masked test tokens, for each width, at the mask ratios of training: given the class
        and, where the model predicts frames, given those."""
        test, device, codes = self.test_tokens, model.embeddings.word.weight.device, model.config["codebook_size"]
        count = min(TEST_TOKENS // model.tokens, len(test.labels))
        result = {}
        for name, predicting in [("", False)] + [("predicting ", True)] * (test.condition.shape[1] > 0):
            sums, masked = np.zeros(len(model.widths)), 0
            for items in np.array_split(np.arange(count), max(1, count // self.options["batch"])):
                flags = np.full(len(items), predicting)
                hiding = masking.draw(np.random.default_rng(items), len(items), model.tokens)
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
