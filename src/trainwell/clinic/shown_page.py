"""What the page and the notebook show of an exam, as plain numbers and texts for ``report.exam_page``."""

import copy
import math
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor, nn

from trainwell.clinic import shown
from trainwell.clinic.rehearsal import Rehearsal
from trainwell.clinic.sampling import gathered
from trainwell.nn.measured_signal import measure_signal
from trainwell.nn.measured_spectra import measure_spectra
from trainwell.nn.tracer import trace
from trainwell.nn.weight_spreads import read_activations, read_spreads
from trainwell.theory.prediction import predict
from trainwell.training.modes import evaluating
from trainwell.training.program import Program

if TYPE_CHECKING:
    from trainwell.clinic.exam import Exam
    from trainwell.clinic.proof import Proof

SAMPLES = 64  # whose signal is measured
MOST_LAYERS, MOST_VALUES = 60, 100  # that are drawn
MOST_PARAMETERS = 50_000_000  # of a model whose signal is measured for the pictures


def page_of(exam: "Exam", proof: "Proof | None" = None) -> dict[str, Any]:
    """Findings in words, what was tried, the losses of the rehearsals and the signal layer by layer."""
    reasoned = exam.reasoned
    accepted = {id(trial) for trial in reasoned.accepted}
    tried = [
        {"code": t.suspicion.code, "cure": t.cure.name, "gain": t.gain, "taken": id(t) in accepted}
        for t in reasoned.trials
        if t.run is not t.before.run
    ]
    signal = {"before": signal_of(reasoned.given.program), "after": None}
    spectra = {"before": spectra_of(reasoned.given.program.model), "after": None}
    if reasoned.accepted:
        signal["after"] = signal_of(reasoned.subject.program)
        spectra["after"] = spectra_of(reasoned.subject.program.model)
    return {
        "healthy": exam.healthy,
        "headline": shown.headline(exam),
        "cost": shown.cost(exam),
        "findings": [_finding(finding) for finding in exam.findings],
        "tried": tried,
        "comparable": not any(c.target in ("loss", "train.y") for cure in exam.cures for c in cure.changes),
        "runs": dict(zip(("before", "after"), map(_run, shown.runs(exam)), strict=True)),
        "signal": signal,
        "spectra": spectra,
        "proof": None if proof is None else {**proof.to_dict(), "text": str(proof)},
    }


def _finding(finding: Any) -> dict[str, Any]:
    return {
        "code": finding.code,
        "severity": finding.severity,
        "where": finding.where,
        "message": finding.message,
        "trial": shown.trial(finding),
        "evidence": shown.plain_evidence({k: v for k, v in finding.evidence.items() if k not in shown.SCORES}),
        "symptoms": list(finding.symptoms),
        "cure": None if finding.cure is None else finding.cure.name,
        "changes": [] if finding.cure is None else shown.changes(finding.cure),
        "because": list(finding.because),
    }


def _run(run: Rehearsal | None) -> dict[str, Any] | None:
    if run is None or not run.losses:
        return None
    said = "the first steps as they are" if run.factor <= 1.001 else f"each step stands for {run.factor:.3g}"
    return {"losses": finite(run.losses), "said": said, "finite": run.finite, "score": run.score}


def signal_of(program: Program) -> dict[str, Any] | None:
    """Second moment and gradient of each layer, as measured on samples and as theory predicts; None where neither is.

    The gradient is that of a random direction of the output, as theory takes it, over that at the last layer.
    """
    model = program.model
    if sum(p.numel() for p in model.parameters()) > MOST_PARAMETERS:
        return None
    found: dict[str, Any] = {"paths": [], "moment": [], "gradient": [], "theory": None}
    try:
        x = gathered(program.train, program.batch_size, SAMPLES).x
        if not isinstance(x, Tensor) or not x.is_floating_point() or not bool(x.isfinite().all()):
            return None
        device = next((p.device for p in model.parameters()), x.device)
        x = x.to(device)
        seen = measure_signal(lambda: copy.deepcopy(model).requires_grad_(True), x, 1)
    except Exception:  # a model that takes no such tensor has no picture
        return None
    found["paths"] = list(seen.paths)
    found["moment"], found["gradient"] = finite(seen.moment[0]), finite(seen.gradient[0] ** 0.5)
    with suppress(Exception):  # what theory has no word for
        found["theory"] = _theory(program, x, found["paths"])
    return found


def spectra_of(model: nn.Module) -> dict[str, Any] | None:
    """Singular values of each layer's weights, the edges between which independent ones lie; None for large nets."""
    if sum(p.numel() for p in model.parameters()) > MOST_PARAMETERS:
        return None
    spectra = measure_spectra(model)[:MOST_LAYERS]
    if not spectra:
        return None
    return {
        "paths": [spectrum.path for spectrum in spectra],
        "values": [finite(spectrum.values[_spread_over(len(spectrum.values))]) for spectrum in spectra],
        "edges": [finite(spectrum.edges) for spectrum in spectra],
    }


def _spread_over(count: int) -> np.ndarray:
    """Places of at most ``MOST_VALUES`` of so many, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, MOST_VALUES)).round().astype(np.int64))


def _theory(program: Program, x: Tensor, paths: Sequence[str]) -> dict[str, Any] | None:
    model = copy.deepcopy(program.model)
    with evaluating(model):
        chain = trace(model, x[:2])
    moment = float(x.double().square().mean())
    told = predict(chain, read_spreads(model), activations=read_activations(model, chain), input_moment=moment)
    rows = {layer.path: layer for layer in told.layers}
    if not set(paths) <= set(rows) or len(paths) != len(told.layers):
        return None
    return {
        "moment": finite([rows[path].moment for path in paths]),
        "gradient": finite([rows[path].gradient for path in paths]),
    }


def finite(values: Any) -> list[float | None]:
    """Numbers with None for what is not finite."""
    return [float(value) if math.isfinite(value) else None for value in values]
