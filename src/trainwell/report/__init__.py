"""The page that a run leaves behind: one self-contained HTML file, written from plain :class:`Results`."""

from trainwell._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "CalibrationBin": "results",
        "ClassScore": "results",
        "ColumnRow": "results",
        "DataGlance": "results",
        "ExamGlance": "results",
        "Example": "results",
        "LayerRow": "results",
        "Mistake": "results",
        "Pick": "results",
        "RateCurve": "results",
        "Residuals": "results",
        "Results": "results",
        "Roc": "results",
        "render": "page",
        "render_race": "race_page",
        "wilson": "uncertainty",
        "write": "page",
        "write_gallery": "gallery_page",
        "write_race": "race_page",
    },
)
