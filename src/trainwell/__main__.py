"""``python -m trainwell``: the command line, so that ``torchrun -m trainwell train …`` finds it too."""

from trainwell.cli.main import console

if __name__ == "__main__":
    console()
