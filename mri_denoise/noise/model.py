"""The noise of one volume, found and not assumed: its level in tissue, the floor, the correlation, and how sure each is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mri_denoise.noise.blocks import central, measured, normalised
from mri_denoise.noise.detail import DetailBlocks, cut_detail
from mri_denoise.noise.floor import Floor, find_floor
from mri_denoise.noise.level import NoiseLevel, estimate_sigma
from mri_denoise.noise.spectrum import noise_spectrum
from mri_denoise.noise.tissue import Edge, global_edge, level_map, whitened_variance
from mri_denoise.noise.zero_filling import measured_bands


@dataclass(frozen=True, kw_only=True)
class Tissue:
    blocks: DetailBlocks
    inside: DetailBlocks
    edge: Edge
    evened: Edge
    level: np.ndarray
    spectrum: np.ndarray


def measure_tissue(slices: np.ndarray, bands) -> Tissue | None:
    blocks = cut_detail(slices, bands)
    if blocks is None: return None
    top = np.percentile(blocks.mean, 99)
    inside = blocks.chosen(blocks.mean > 0.3 * top)
    spectrum = noise_spectrum(inside)
    v, f = whitened_variance(inside, spectrum, 0); e = global_edge(v, f)
    if not e.level > 0: return None
    inside = blocks.chosen(blocks.mean > max(0.15 * top, 3 * float(e.level)))
    if len(inside.mean) < 100: return None
    spectrum = noise_spectrum(inside)
    v, f = whitened_variance(inside, spectrum, float(e.level)); e = global_edge(v, f)
    m = level_map(inside, v, f, e)
    e2 = global_edge(v / np.square(m[tuple(inside.place.T)] / float(e.level)), f)
    m = m * float(e2.level / e.level)
    return Tissue(blocks=blocks, inside=inside, edge=e, evened=e2, level=m, spectrum=spectrum)
