"""What a training run needs beside its program: seed, device, precision, averaging, stopping, checkpoints, budget."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Auto = Literal["auto"]


class Section(BaseModel):
    """A section of the recipe: unknown fields and values of the wrong type are errors, infinities too."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, ser_json_inf_nan="null")

    def with_(self, **changes: Any) -> "Section":
        """A checked copy with some fields changed."""
        return type(self).model_validate({**self.model_dump(exclude_none=True), **changes})


class Running(Section):
    """How a program is run, whatever the arithmetic; the recipe's section ``training`` has these fields too."""

    seed: int = Field(
        0, ge=0, lt=2**31, description="seed of the weights, the order of samples, dropout and augmentation"
    )
    device: str = Field("auto", description="auto, cpu, cuda, cuda:N or mps; auto takes a GPU where there is one")
    accumulate: int = Field(1, ge=1, description="parts that a batch is computed in; saves memory, same gradient")
    ema: float = Field(0.0, ge=0, lt=1, description="decay of the average of the weights that is evaluated; 0: none")
    patience: int = Field(0, ge=0, description="epochs without a better validation score before stopping; 0: never")
    monitor: str = Field(
        "auto",
        description="what decides which epoch is best: auto, last, or a validation metric such as loss, accuracy, r2",
    )
    max_minutes: float = Field(0.0, ge=0, description="time budget in minutes, over all resumes; 0: none")
    deterministic: bool = Field(True, description="the same bits each time on the same machine")
    checkpoint_every: Annotated[int, Field(ge=1)] | Auto = Field(
        "auto", description="steps between checkpoints; auto: about 20 seconds"
    )
    log_every: Annotated[int, Field(ge=1)] | Auto = Field(
        "auto", description="steps between looks at the loss; auto: 20 looks an epoch, at least 10 steps apart"
    )


class Training(Running):
    """What ``fit`` needs beside the program: how it is run, and in which arithmetic."""

    threshold: float = Field(0.5, ge=0, le=1, description="probability from which a binary answer is yes")
    dtype: Literal["float32", "bfloat16"] = Field(
        "float32", description="arithmetic of the forward pass; weights stay float32"
    )
    channels_last: bool = Field(False, description="keep images as (N, H, W, C) in memory")
    threads: int = Field(0, ge=0, description="CPU threads; 0: torch's own number")
    compile: bool = Field(False, description="torch.compile the model; pays on long GPU runs")
