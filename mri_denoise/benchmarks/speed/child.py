"""One method on one volume in a process of its own: read, denoise, write, and print the seconds of each as JSON.

``python -m mri_denoise.benchmarks.speed.child NAME MODEL DEVICE SIGMA INPUT OUTPUT``
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import nibabel as nib
import numpy as np

from mri_denoise.benchmarks.speed.methods import load_method


def main() -> None:
    """Run with the arguments in the description of the module; SIGMA is in the unit of the file."""
    name, model, device, sigma, source, destination = sys.argv[1:]
    method = load_method(name, model, device)
    start = time.perf_counter()
    image: Any = nib.load(source)
    volume = np.asarray(image.dataobj, dtype=np.float32)
    loaded = time.perf_counter()
    result = method(volume, float(sigma))
    denoised = time.perf_counter()
    nib.save(nib.Nifti1Image(result, image.affine), destination)
    written = time.perf_counter()
    print(json.dumps({"read": loaded - start, "call": denoised - loaded, "write": written - denoised}))


if __name__ == "__main__":
    main()
