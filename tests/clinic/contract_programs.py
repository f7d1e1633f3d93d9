"""Programs made ill by one known cause of the contract between data, head and loss, and healthy ones that look like it.

``SICK``: name → (code, program of a seed); ``HEALTHY``: name → program of a seed. A training takes a second or less.
"""

import contract_healthy
import contract_sick_data
import contract_sick_heads
from contract_parts import HEALTHY, SICK, Functional, digits, digits_mlp, mlp, program

SUITES = (contract_sick_data, contract_sick_heads, contract_healthy)

__all__ = ["HEALTHY", "SICK", "SUITES", "Functional", "digits", "digits_mlp", "mlp", "program"]
