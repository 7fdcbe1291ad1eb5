"""The colours of the arms: told apart by colour-blind readers, and seen on the page's background."""

import re
from importlib.resources import files

import numpy as np
import pytest

from bert_lightning.html_page.markers import COLOURS, MARKERS

CSS = files("bert_lightning.html_page").joinpath("page.css").read_text(encoding="utf-8")
# Machado et al. 2009, severity 1.
SIGHT = {
    "full": np.eye(3),
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(colour):
    value = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def lab(light):
    x, y, z = np.cbrt(XYZ @ np.clip(light, 0, 1) / [0.9505, 1, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def schemes():
    """The background and the arms' colours of each block of the stylesheet that sets them."""
    for block in re.findall(r"\{([^{}]*--c0:[^{}]*)\}", CSS):
        values = dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]+)", block))
        ground = values["bg"] if len(values["bg"]) == 7 else "#" + "".join(2 * digit for digit in values["bg"][1:])
        yield ground, [values[f"c{number}"] for number in range(COLOURS)]


def test_screen_dark_and_print_are_found():
    assert [ground for ground, _ in schemes()] == ["#ffffff", "#121518", "#121518", "#ffffff"]


@pytest.mark.parametrize("sight", SIGHT)
def test_any_two_colours_differ(sight):
    for _, colours in schemes():
        seen = [lab(np.array(SIGHT[sight]) @ linear(colour)) for colour in colours]
        distances = [np.linalg.norm(a - b) for i, a in enumerate(seen) for b in seen[:i]]
        assert min(distances) > 12


def test_all_colours_stand_out_from_the_background():
    for ground, colours in schemes():
        for colour in colours:
            light = sorted([XYZ[1] @ linear(colour), XYZ[1] @ linear(ground)])
            assert (light[1] + 0.05) / (light[0] + 0.05) > 3, colour


def test_arms_of_one_colour_have_different_markers():
    shapes = [(number % COLOURS, (number + number // COLOURS) % len(MARKERS)) for number in range(64)]
    assert len(set(shapes)) == 64
