"""The network as a program of torch.export, and through TensorRT where there is one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser

from mri_denoise import networks
from mri_denoise.bundles.export import export_program

ROOT = Path(__file__).parents[2]


def parser_of(bundle: str, overlay: str) -> ConfigParser:
    parser = ConfigParser()
    parser.read_config([ROOT / "bundles" / bundle / "configs" / name for name in ("inference.yaml", overlay)])
    parser["bundle_root"] = str(ROOT / "bundles" / bundle)
    parser["device"] = "$torch.device('cpu')"
    return parser


def load(path: Path) -> torch.nn.Module:
    return torch.export.load(path).module()


def agree(program: torch.nn.Module, network: torch.nn.Module, *sizes: tuple[int, int, int]) -> None:
    for count, height, width in sizes:
        x = torch.rand(count, network.input_channels, height, width)
        with torch.no_grad():
            torch.testing.assert_close(program(x), network(x), rtol=1e-4, atol=1e-5)


def test_the_export_config_writes_a_program_for_any_number_and_size_of_slices(tmp_path: Path) -> None:
    parser = parser_of("hmad_rician", "export.yaml")
    parser["network"], parser["output_dir"] = "@network_def", str(tmp_path / "new")
    parser["network_def"]["channels"] = [8, 8]  # the shipped widths take half a minute
    parser.get_parsed_content("run")
    network = parser.get_parsed_content("network").eval()
    torch.nn.init.normal_(network.last.weight, std=0.3)
    network.load_state_dict(torch.export.load(tmp_path / "new" / "model.pt2").state_dict)
    agree(load(tmp_path / "new" / "model.pt2"), network, (1, 64, 64), (3, 40, 96), (2, 16, 16))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["model.pt2"]


SMALL = {  # widths with which an export takes seconds, and sizes that are multiples of the network's factor
    "DnCNN": ({"depth": 3, "width": 8}, [(1, 31, 17), (5, 16, 48)]),
    "HMADNet": ({"channels": (8, 8, 8), "num_slices": 3, "noise_map": True}, [(1, 32, 16), (3, 20, 24)]),
    "NoiseLevelNet": ({"channels": (8, 8)}, [(1, 64, 16), (3, 24, 40)]),
    "RefineNet": ({"channels": (8, 8)}, [(1, 32, 16), (3, 20, 24)]),
}


@pytest.mark.parametrize("name", networks.__all__)
def test_every_network_can_be_exported(tmp_path: Path, name: str) -> None:
    choices, sizes = SMALL[name]
    torch.manual_seed(0)
    network = getattr(networks, name)(**choices)
    for parameter in network.parameters():  # some begin as nothing
        torch.nn.init.normal_(parameter, std=0.1)
    agree(load(export_program(network, tmp_path / "model.pt2")), network.eval(), *sizes)


@pytest.mark.parametrize("bundle", ["hmad_rician", "hmad_salt_pepper"])
def test_without_tensorrt_its_config_runs_the_network_in_pytorch(bundle: str) -> None:
    through, plain = (parser_of(bundle, name) for name in ("inference_trt.yaml", "inference.yaml"))
    network = plain.get_parsed_content("network")
    agree(through.get_parsed_content("network"), network, (1, 16, 24))
    profile = through.get_parsed_content("trt_args")["input_profiles"][0]["x"]
    assert [shape[1] for shape in profile] == [network.input_channels] * 3
    assert all(side % network.factor == 0 for shape in profile for side in shape[2:])
