"""``python -m trainwell``: the command line, so that ``torchrun -m trainwell train …`` finds it too."""

import sys

from trainwell.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
