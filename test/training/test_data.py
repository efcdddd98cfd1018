"""Data sets in folders of pictures."""

import tempfile
import unittest
from pathlib import Path

import numpy as np

from pictures import Image, needs_pillow, write_pictures
from training.data import open_source

SHAPE = [1, 6, 8]


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@needs_pillow
class PicturesTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def open(self, split: str):
        return open_source({"source": "pictures", "folder": str(self.folder), "views": 2}, SHAPE, split)

    def write(self, pixels: np.ndarray, mode: str | None = None, split: str = "test") -> np.ndarray:
        """Writes the only picture of a split."""
        (self.folder / split / "a").mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(pixels)
        (picture.convert(mode) if mode else picture).save(self.folder / split / "a" / "picture.png")
        return pixels

    def noise(self, *shape: int) -> np.ndarray:
        return random().integers(256, size=shape).astype(np.uint8)

    def test_classes_are_numbered_in_alphabetical_order(self):
        write_pictures(self.folder / "train", (6, 8), {"n02": 1, "n10": 3, "n01": 2})
        write_pictures(self.folder / "test", (6, 8), {"n01": 1, "n02": 1})
        self.assertEqual(self.open("train").labels.tolist(), [0, 0, 1, 2, 2, 2])
        self.assertEqual(self.open("test").labels.tolist(), [0, 1])
        first = np.asarray(Image.open(self.folder / "train" / "n10" / "1.png"))
        views = [self.open("train").read(4, random(seed))[0] for seed in range(4)]
        self.assertTrue(all(np.array_equal(view, first) or np.array_equal(view, first[:, ::-1]) for view in views))

    def test_a_test_picture_covers_the_sample_and_is_cropped_in_the_middle(self):
        wide = self.write(self.noise(6, 16, 3))
        self.assertTrue(np.array_equal(self.open("test").read(0, random()), wide[None, :, 4:12]))
        tall = self.write(self.noise(10, 8, 3))
        self.assertTrue(np.array_equal(self.open("test").read(0, random()), tall[None, 2:8]))
        self.write(np.full((60, 50, 3), (10, 20, 30), np.uint8))
        self.assertTrue(np.array_equal(self.open("test").read(0, random()), np.full((*SHAPE, 3), (10, 20, 30))))

    def test_a_training_picture_is_cropped_anywhere_and_mirrored(self):
        wide = self.write(self.noise(6, 10, 3), split="train")
        crops = [wide[:, x : x + 8] for x in range(3)]
        expected = {crop.tobytes() for crop in crops} | {crop[:, ::-1].tobytes() for crop in crops}
        source = self.open("train")
        self.assertEqual({source.read(0, random(seed)).tobytes() for seed in range(100)}, expected)

    def test_gray_and_transparent_pictures_have_three_channels(self):
        gray = self.write(self.noise(6, 8))
        self.assertTrue(np.array_equal(self.open("test").read(0, random()), gray[None, :, :, None].repeat(3, 3)))
        opaque = self.write(self.noise(6, 8, 3), "RGBA")
        self.assertTrue(np.array_equal(self.open("test").read(0, random()), opaque[None]))

    def test_a_split_without_classes_is_refused(self):
        with self.assertRaisesRegex(SystemExit, "test: expected a folder for every class, with files"):
            self.open("test")


if __name__ == "__main__":
    unittest.main()
