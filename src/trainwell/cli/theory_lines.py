"""The tables and sentences that ``trainwell theory`` shows."""

import math
import textwrap
from collections.abc import Mapping
from typing import Any

from trainwell.cli import race_table

ROWS = 9
LABEL = 14


def net_lines(found: Mapping[str, Any]) -> list[str]:
    """Layers, χ, ξ, phase, depths, recommendation and verdict of a net."""
    rows, measured = found["layers"], found["measured"]
    header = ["layer", "E z²", *(["measured"] if measured else []), "gradient", *(["measured"] if measured else [])]
    header += ["χ", "σ_w", "keeps E z²"]
    last = len(rows) - 1
    shown = sorted({round(i * last / (ROWS - 1)) for i in range(ROWS)}) if len(rows) > ROWS else list(range(len(rows)))
    table = []
    for i in shown:
        row = rows[i]
        cells = [_label(row["path"], i), number(row["moment"])]
        cells += [_with_error(measured, "moment", i)] if measured else []
        cells += [number(row["gradient"])]
        cells += [_with_error(measured, "gradient", i)] if measured else []
        table.append([*cells, number(row["chi"]), number(row["sigma_w"]), number(row["keeps"])])
    lines = [found["net"], "", *race_table.lines(header, table, right=header[1:]), "", *_facts(found)]
    verdict = found["verdict"]
    lines += ["", *_told("Verdict", f"{verdict['why']} {verdict['remedy']}")]
    for sentence in found["assumed"]:
        lines += _told("Assumed", sentence)
    return [*lines, *(_told("Gave up", found["gave_up"]) if found["gave_up"] else [])]


def _facts(found: Mapping[str, Any]) -> list[str]:
    phase, lines = found["phase"], []
    if phase is not None:
        q = "0" if phase["q"] == 0 else number(phase["q"])
        lines += _told("Phase", f"{phase['phase']}: χ = {phase['chi']:.4g} at q* = {q}, ξ_c = {number(phase['xi_c'])}")
    lines += _told("ξ", f"{number(found['xi'])} layers change the gradient's square by a factor e")
    by_gradient, by_width = _layers(found["depth_by_gradient"]), found["depth_by_width"]
    width = "" if math.isnan(by_width) else f"; {_layers(by_width)} by the width (beyond, equal nets differ widely)"
    lines += _told("Trainable to", f"{by_gradient} by 6 ξ{width}")
    advice = found["recommended"]
    said = (
        "there is no edge of chaos"
        if advice is None
        else f"σ_w = {advice['sigma_w']:.4g}, σ_b = {advice['sigma_b']:.4g}"
    )
    return [*lines, *_told("Recommended", said)]


def phase_lines(found: Mapping[str, Any]) -> list[str]:
    """The edge of chaos as a table."""
    rows = [[number(row["sigma_b"]), number(row["sigma_w"])] for row in found["border"]]
    table = race_table.lines(("σ_b", "σ_w at the edge"), rows, right=("σ_b", "σ_w at the edge"))
    return [f"Phases of deep nets of {found['activation']}", "", *table, "", *textwrap.wrap(found["summary"], 100)]


def spectrum_lines(found: Mapping[str, Any]) -> list[str]:
    """Mean, spread and quantiles of the squared singular values."""
    rows = [[f"{row['share']:.0%}", number(row["value"])] for row in found["quantiles"]]
    names = ("share of singular values below", "s")
    return [
        found["net"],
        "",
        *race_table.lines(names, rows, right=names),
        "",
        *_told("Mean of s²", number(found["mean"])),
        *_told("Variance", f"{number(found['variance'])}; 0 is dynamical isometry"),
        *_told("Zeros", f"{found['zeros']:.2%} of the singular values are 0"),
        *_told("Largest s", number(found["largest"])),
    ]


def number(value: float | None) -> str:
    """Three to four digits; – for what is not known.

    Example:
        >>> number(4.317e-5), number(0.5), number(math.inf), number(math.nan)
        ('4.32e-05', '0.5', '∞', '–')
    """
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞"
    return f"{value:.3g}" if not 0.1 <= abs(value) < 1e4 else f"{value:.4g}"


def _with_error(measured: Mapping[str, Any], name: str, place: int) -> str:
    value, error = measured[name][place], measured[f"{name}_error"][place]
    return f"{number(value)} ± {error:.1g}" if math.isfinite(error) else number(value)


def _layers(depth: float) -> str:
    return "any depth" if math.isinf(depth) or depth > 1e6 else f"{max(1, math.floor(depth))} layers"


def _label(path: str, place: int) -> str:
    return str(place + 1) if path == f"linear{place + 1}" else path


def _told(label: str, text: str) -> list[str]:
    wrapped = textwrap.wrap(text.strip(), max(40, race_table.width() - LABEL))
    return [f"{label if not i else '':<{LABEL}}{line}" for i, line in enumerate(wrapped)]
