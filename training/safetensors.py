"""The safetensors format: an 8-byte little-endian header length, a JSON header, and the bytes of the tensors."""

import json
from pathlib import Path

import numpy as np

CODES = {"F32": "<f4", "F16": "<f2", "I32": "<i4", "I64": "<i8", "U8": "u1"}
DTYPES = {name: np.dtype(code) for name, code in CODES.items()}
NAMES = {dtype: name for name, dtype in DTYPES.items()}


def write(path: Path, tensors: dict[str, np.ndarray]) -> None:
    """Writes tensors in the given order. Their bytes begin at a multiple of 8 in the file."""
    header, offset = {}, 0
    for name, tensor in tensors.items():
        end = offset + tensor.nbytes
        header[name] = {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor in tensors.values():
            file.write(np.ascontiguousarray(tensor).tobytes())


def read(path: Path) -> dict[str, np.ndarray]:
    """Returns the tensors of a file, those of BF16, which NumPy does not have, as float32. Arrays may be read-only."""
    raw = path.read_bytes()
    start = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:start])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        stored, dtype = raw[start + begin : start + end], entry["dtype"]
        if dtype == "BF16":  # the upper halves of float32
            flat = (np.frombuffer(stored, "<u2").astype("<u4") << 16).view("<f4")
        elif dtype in DTYPES:
            flat = np.frombuffer(stored, DTYPES[dtype])
        else:
            raise SystemExit(f"{path}: expected one of {', '.join(DTYPES)}, BF16 for {name} but received {dtype}")
        tensors[name] = flat.reshape(entry["shape"])
    return tensors
