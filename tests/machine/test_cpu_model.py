"""Processors of one name that are not one processor."""

import pytest

from dspark_bench.machine.cpu_model import model_in, read_cpu_model

EPYC = """\
processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: {family}
model\t\t: {model}
model name\t: AMD EPYC
stepping\t: 1

processor\t: 1
cpu family\t: 99
model\t\t: 99
model name\t: another
"""
ARM = """\
processor\t: 0
BogoMIPS\t: 50.00
CPU implementer\t: 0x41
CPU architecture: 8
CPU part\t: {part}
"""


@pytest.mark.parametrize(
    ("text", "model"),
    [
        (EPYC.format(family=25, model=1), "AMD EPYC (family 25, model 1)"),
        (EPYC.format(family=26, model=2), "AMD EPYC (family 26, model 2)"),
        (ARM.format(part="0xd40"), "(implementer 0x41, part 0xd40)"),
        ("model name : Chip 7", "Chip 7"),
        ("cpu family : 6", ""),
        ("", ""),
    ],
)
def test_the_numbers_stand_beside_the_name(text: str, model: str) -> None:
    assert model_in(text) == model


def test_this_machine_has_one() -> None:
    assert read_cpu_model()
