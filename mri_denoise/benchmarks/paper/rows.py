"""The rows of the paper's tables, each a small dataclass whose fields are the columns of a CSV file."""

from __future__ import annotations

from dataclasses import asdict, dataclass

ALL = "mean"  # the density of rows that average over all densities


@dataclass(frozen=True, kw_only=True)
class MethodRow:
    """A row of Table 2: one method at one density.

    Args:
        method: its name.
        label: its name in the table.
        density: in percent, or ``"mean"`` over all densities.
        images: number of scores.
        psnr: mean, dB.
        psnr_sd: standard deviation over the images; None for a single score.
        ssim: mean.
        ssim_sd: standard deviation over the images; None for a single score.
        milliseconds: an image, mean.
        paper_psnr: of the paper, beside the mean; None where the paper has none.
        paper_ssim: likewise.
        paper_milliseconds: likewise.
    """

    method: str
    label: str
    density: str
    images: int
    psnr: float
    psnr_sd: float | None
    ssim: float
    ssim_sd: float | None
    milliseconds: float
    paper_psnr: float | None = None
    paper_ssim: float | None = None
    paper_milliseconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Gain:
    """Noisy against denoised.

    Args:
        noisy_mean: mean before denoising.
        noisy_sd: standard deviation before denoising.
        denoised_mean: mean after denoising.
        denoised_sd: standard deviation after denoising.
        gain: mean difference.
        t: statistic of Student's paired t-test.
        ci_low: lower end of the 95 % confidence interval of the gain.
        ci_high: its upper end.
    """

    noisy_mean: float
    noisy_sd: float
    denoised_mean: float
    denoised_sd: float
    gain: float
    t: float
    ci_low: float
    ci_high: float


@dataclass(frozen=True, kw_only=True)
class PairedRow:
    """A row of Table 3: one measure at one density.

    Args:
        measure: ``"psnr"`` or ``"ssim"``.
        density: in percent, or ``"mean"``, which averages each image over its densities.
        unit: ``"slice"``, as in the paper, or ``"subject"``, the mean of the slices of each subject: slices of one head
            are not independent of each other.
        n: number of units.
        found: noisy against denoised.
        p: two-sided probability of the t-test.
        wilcoxon: the smaller rank sum of Wilcoxon's signed-rank test.
        wilcoxon_p: its two-sided probability.
        effect_size: Cohen's d of the differences.
        paper: what the paper has, beside the mean by slice; otherwise None.
    """

    measure: str
    density: str
    unit: str
    n: int
    found: Gain
    p: float
    wilcoxon: float
    wilcoxon_p: float
    effect_size: float
    paper: Gain | None = None

    def columns(self) -> dict[str, object]:
        """The row of ``table_3.csv``."""
        row: dict[str, object] = {"measure": self.measure, "density": self.density, "unit": self.unit, "n": self.n}
        found = asdict(self.found)
        interval = {name: found.pop(name) for name in ("ci_low", "ci_high")}
        row |= found | {"p": self.p} | interval
        row |= {"wilcoxon": self.wilcoxon, "wilcoxon_p": self.wilcoxon_p, "effect_size": self.effect_size}
        paper = dict.fromkeys(asdict(self.found)) if self.paper is None else asdict(self.paper)
        return row | {f"paper_{name}": value for name, value in paper.items()}


@dataclass(frozen=True, kw_only=True)
class VariantRow:
    """A row of Table 4: one network of the ablation at one density.

    Args:
        variant: its name.
        label: its name in the table.
        density: in percent, or ``"mean"`` over all densities.
        seeds: number of trainings.
        psnr: mean over the seeds of the mean over the images, dB.
        psnr_sd: standard deviation over the seeds; None for one seed.
        ssim: mean, likewise.
        ssim_sd: standard deviation, likewise.
        paper_psnr: of the paper, beside the mean; otherwise None.
        paper_ssim: likewise.
    """

    variant: str
    label: str
    density: str
    seeds: int
    psnr: float
    psnr_sd: float | None
    ssim: float
    ssim_sd: float | None
    paper_psnr: float | None = None
    paper_ssim: float | None = None


@dataclass(frozen=True, kw_only=True)
class SingleRow:
    """A row of Figure 12: one image.

    Args:
        image: its name.
        density: of its noise in percent.
        noisy_psnr: PSNR before denoising, dB.
        noisy_ssim: SSIM before denoising.
        psnr: PSNR after denoising, dB.
        ssim: SSIM after denoising.
    """

    image: str
    density: str
    noisy_psnr: float
    noisy_ssim: float
    psnr: float
    ssim: float
