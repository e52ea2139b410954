"""``python -m mri_denoise`` is the command ``mri-denoise``."""

from mri_denoise.cli.main import app

if __name__ == "__main__":
    app(prog_name="mri-denoise")
