"""``trainwell theory``: what theory says of a net before it runs, and with --measure what the net says."""

from pathlib import Path
from typing import Annotated, Any

import typer

from trainwell.cli import options, output
from trainwell.errors import InputError

NET = "The net"
WHAT = ("net", "phase", "spectrum")


def _schemes(incomplete: str) -> list[str]:
    from trainwell.cli.theory_net import initializations

    return initializations(incomplete)


def theory(
    what: Annotated[
        str,
        typer.Argument(
            metavar="[phase|spectrum]",
            help="phase: the phase diagram of an activation; spectrum: the singular values of a deep net's Jacobian. "
            "Left out: signal and gradient of a net.",
            show_default=False,
        ),
    ] = "net",
    depth: Annotated[
        int,
        typer.Option(parser=options.whole, metavar="N", help="Linear layers.", rich_help_panel=NET),
    ] = 10,
    width: Annotated[
        int,
        typer.Option(parser=options.whole, metavar="N", help="Units of each layer.", rich_help_panel=NET),
    ] = 128,
    activation: Annotated[
        str,
        typer.Option(metavar="NAME", help="relu, tanh, gelu, sigmoid, …", rich_help_panel=NET),
    ] = "relu",
    init: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="kaiming, xavier, orthogonal, critical, pytorch, …",
            autocompletion=_schemes,
            rich_help_panel=NET,
        ),
    ] = "kaiming",
    norm: Annotated[str, typer.Option(metavar="NAME", help="none, batch, layer or rms.", rich_help_panel=NET)] = "none",
    bias_std: Annotated[
        float | None,
        typer.Option(
            parser=options.decimal,
            metavar="S",
            help="Standard deviation of the biases; the scheme's if left out.",
            rich_help_panel=NET,
            show_default=False,
        ),
    ] = None,
    weights: Annotated[
        str,
        typer.Option(metavar="KIND", help="Of spectrum: orthogonal or gaussian.", rich_help_panel=NET),
    ] = "orthogonal",
    variance: Annotated[
        float,
        typer.Option(
            parser=options.decimal, metavar="Q", help="Of spectrum: of the pre-activations.", rich_help_panel=NET
        ),
    ] = 1.0,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="FILE.py:BUILD",
            help="Your own net instead: a function that returns a torch module; its weights are read.",
            rich_help_panel=NET,
            show_default=False,
        ),
    ] = None,
    input_shape: Annotated[
        str | None,
        typer.Option(
            metavar="N,N,…",
            help="Of one sample for --model: 784 or 3,32,32.",
            rich_help_panel=NET,
            show_default=False,
        ),
    ] = None,
    measure: Annotated[
        bool, typer.Option("--measure", metavar="", help="Build the net too, and put what it does beside it.")
    ] = False,
    seeds: Annotated[int, typer.Option(parser=options.whole, metavar="N", help="Nets that --measure builds.")] = 8,
    save: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Draw it into a page (.html) or a picture (.svg).",
            rich_help_panel=options.OUTPUT,
            show_default=False,
        ),
    ] = None,
    json: options.Json = False,
    traceback: options.Traceback = False,
) -> None:
    """Predict signal and gradient of a net before it runs.

    Second moment and gradient by layer, the depth up to which such a net trains, and the weights it should start with.

    Examples:

      trainwell theory --depth 30 --activation relu --init xavier
      trainwell theory --depth 30 --width 512 --activation tanh --measure --save tanh.html
      trainwell theory --model mynet.py:build --input-shape 1,28,28
      trainwell theory phase --activation tanh
      trainwell theory spectrum --depth 10 --activation hard_tanh --weights orthogonal
    """
    from trainwell.cli import theory_lines, theory_net

    theory_net.known("theory", what, WHAT)
    if save is not None:
        _checked(save)
    if what == "phase":
        found = theory_net.phases(activation)
        lines = theory_lines.phase_lines(found)
    elif what == "spectrum":
        from trainwell.cli.theory_spectrum import spectrum

        found = spectrum(depth, activation, weights, variance)
        lines = theory_lines.spectrum_lines(found)
    else:
        if measure:
            theory_net.at_least("--seeds", seeds, 2)
        if model is not None:
            found = theory_net.of_model(model, shape_of(input_shape), seeds if measure else 0)
        else:
            found = theory_net.plain(depth, width, activation, init, norm, bias_std)
            if measure:
                found["measured"] = theory_net.measure_plain(found, bias_std, seeds)
        lines = theory_lines.net_lines(found)
    if save is not None:
        _save(found, save)
    if json:
        output.put_json(found)
    else:
        output.put(*lines, *([] if save is None else ["", f"Picture       {save}"]))


def shape_of(text: str | None) -> tuple[int, ...]:
    """The shape that ``1,28,28`` means.

    Raises:
        InputError: if it is missing or no list of numbers above 0.
    """
    if text is None:
        raise InputError("--model needs the shape of one sample.", "Add --input-shape, such as 784 or 3,32,32.")
    parts = [part.strip() for part in text.replace("x", ",").replace("×", ",").split(",")]
    if not all(part.isdigit() and int(part) > 0 for part in parts):
        raise InputError(f"--input-shape {text!r} is no list of sizes above 0.", "Write 784 or 3,32,32.")
    return tuple(map(int, parts))


def _checked(save: Path) -> None:
    from trainwell.report.theory_page import check_suffix

    check_suffix(save)


def _save(found: dict[str, Any], save: Path) -> None:
    from trainwell.report.theory_page import save_theory

    save_theory(output.plain(found), save)
