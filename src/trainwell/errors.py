"""What trainwell says when it cannot go on: one sentence on what is wrong, one on what to do."""


class InputError(ValueError):
    """The user's input is wrong; the command line ends with exit code 2.

    Args:
        message: what is wrong, where, with which value.
        remedy: what to do about it.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(f"{message} {remedy}".strip())
        self.message = message
        self.remedy = remedy


class JobError(RuntimeError):
    """The job failed though its input was in order (a full disk, a loss that stays non-finite); exit code 1.

    Args:
        message: what happened, where, with which value.
        remedy: what to do about it.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(f"{message} {remedy}".strip())
        self.message = message
        self.remedy = remedy
