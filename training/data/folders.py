"""Pictures and clips in files folder/split/class/file. The classes are numbered in alphabetical order.

ImageNet, UCF101 and Kinetics-600 come in this form or need little to be brought into it. Pictures need Pillow, clips
need the program `ffmpeg`.
"""

import subprocess
from pathlib import Path

import numpy as np


class Files:
    """Samples in files. Those for training are cropped at random and mirrored half of the time, those of the test
    split are cropped in the middle."""

    def __init__(self, folder: Path, split: str, sample_shape: list[int]):
        classes = sorted(entry for entry in (folder / split).glob("*") if entry.is_dir())
        self.files = [file for entry in classes for file in sorted(entry.iterdir())]
        if not self.files:
            raise SystemExit(f"{folder / split}: expected a folder for every class, with files")
        numbers = {entry: number for number, entry in enumerate(classes)}
        self.labels = np.array([numbers[file.parent] for file in self.files], np.int64)
        self.frames, self.height, self.width = sample_shape
        self.random = split == "train"

    def crop(self, pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Crops pixels [frames, at least height, at least width, 3] to [frames, height, width, 3]."""
        room = np.array(pixels.shape[1:3]) - (self.height, self.width)
        y, x = random.integers(0, room + 1) if self.random else room // 2
        pixels = pixels[:, y : y + self.height, x : x + self.width]
        return pixels[:, :, ::-1] if self.random and random.random() < 0.5 else pixels


class Pictures(Files):
    """Pictures, scaled so that they just cover the height and width of a sample."""

    def read(self, item: int, random: np.random.Generator) -> np.ndarray:
        from PIL import Image  # only training on pictures needs it

        with Image.open(self.files[item]) as picture:
            scale = max(self.width / picture.width, self.height / picture.height)
            size = round(picture.width * scale), round(picture.height * scale)
            pixels = np.asarray(picture.convert("RGB").resize(size, Image.BICUBIC, reducing_gap=3))
        return self.crop(pixels[None], random)


class Clips(Files):
    """Clips with `fps` frames a second, from a random place of a file or, in the test split, from its middle. A clip
    that is too short repeats its last frame."""

    def __init__(self, folder: Path, split: str, sample_shape: list[int], fps: float):
        super().__init__(folder, split, sample_shape)
        self.fps = fps

    def probe(self, file: Path) -> list[float]:
        """Returns width and height in pixels and the duration in seconds."""
        command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-of", "default=nw=1:nk=1"]
        command += ["-show_entries", "format=duration:stream=width,height", str(file)]
        return [float(line) for line in subprocess.check_output(command, text=True).split()]

    def read(self, item: int, random: np.random.Generator) -> np.ndarray:
        file = self.files[item]
        width, height, seconds = self.probe(file)
        scale = max(self.width / width, self.height / height)
        width, height = round(width * scale), round(height * scale)
        start = max(0, seconds - self.frames / self.fps) * (random.random() if self.random else 0.5)
        command = ["ffmpeg", "-v", "error", "-ss", f"{start:.3f}", "-i", str(file)]
        command += ["-vf", f"fps={self.fps},scale={width}:{height}", "-frames:v", str(self.frames)]
        command += ["-pix_fmt", "rgb24", "-f", "rawvideo", "-"]
        pixels = np.frombuffer(subprocess.check_output(command), np.uint8).reshape(-1, height, width, 3)
        if len(pixels) == 0:
            raise SystemExit(f"{file}: expected a video that ffmpeg decodes")
        return self.crop(pixels[np.minimum(np.arange(self.frames), len(pixels) - 1)], random)
