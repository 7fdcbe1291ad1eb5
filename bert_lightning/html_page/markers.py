"""Markers of groups in a plot: each number has a colour and a shape."""

from __future__ import annotations

from bert_lightning.html_page.markup import Markup, element

COLOURS = 8  # colours of page.css; later numbers have the same colours and other markers
MARKERS = [
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z",  # circle
    "M-3.6-3.6h7.2v7.2h-7.2z",  # square
    "M0-4.6L4.6 3.4H-4.6z",  # triangle
    "M0-5L5 0L0 5L-5 0z",  # diamond
    "M0 4.6L4.6-3.4H-4.6z",  # triangle that points down
    "M-1.5-4.5h3v3h3v3h-3v3h-3v-3h-3v-3h3z",  # plus
    "M-4.6 0L-2.3-4h4.6L4.6 0L2.3 4h-4.6z",  # hexagon
    "M0-5.2L1.5-1.6L5.2-1.6L2.3 .8L3.4 4.6L0 2.3L-3.4 4.6L-2.3 .8L-5.2-1.6L-1.5-1.6z",  # star
]


def marker_path(number: int) -> Markup:
    """Return the SVG path of the marker with a number, around the origin."""
    return element("path", d=MARKERS[(number + number // COLOURS) % len(MARKERS)])
