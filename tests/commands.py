"""What tests of commands share: running one in this process, and a bundle of random weights."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path
from typing import Any

import torch
import typer.testing
from monai.bundle import ConfigParser
from monai.bundle.config_item import ComponentLocator
from typer.testing import CliRunner

from mri_denoise.cli.main import app
from mri_denoise.training.train import export_weights

ROOT = Path(__file__).parents[1]
# each run would build all commands of the program again, which takes longer than most runs
typer.testing._get_command = cache(typer.testing._get_command)
# and each parser of a config would list all classes of the same modules again
_list_classes = cache(lambda modules, of=ComponentLocator._find_classes_or_functions: of(ComponentLocator(), modules))
ComponentLocator._find_classes_or_functions = lambda _, modules: _list_classes(tuple(modules))


def cli(*arguments: object, code: int = 0) -> Any:
    """Run a command, hold it to its exit code and to messages without a traceback."""
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    assert "Traceback" not in result.output
    assert result.exit_code == code, result.output
    return result


def make_bundle(source: str, target: Path) -> Path:
    """A copy of a bundle with random weights that change the image."""
    shutil.copytree(ROOT / "bundles" / source, target, ignore=shutil.ignore_patterns("model.pt", "SHA256SUMS", "train"))
    torch.manual_seed(0)
    parser = ConfigParser(ConfigParser.load_config_file(target / "configs" / "inference.yaml"))
    network = parser.get_parsed_content("network_def")
    torch.nn.init.normal_(network.last.weight, std=0.3)
    torch.save(network.state_dict(), target / "state.pt")
    export_weights(target / "state.pt", target / "models")
    return target
