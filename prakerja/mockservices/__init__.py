"""The mock services behind HTTP, with made-to-measure trouble: what the HTTP adapters are tried and rehearsed against.

They speak the wire form of docs/services.md, answer as the in-process mocks do, keep what they "deliver" in memory, and
keep a ledger of all that they were asked and answered. docs/mocks.md tells how they are run.
"""

from prakerja.mockservices.faults import Faults
from prakerja.mockservices.receipts import ReceiptFaults
from prakerja.mockservices.server import Server, serving

__all__ = ["Faults", "ReceiptFaults", "Server", "serving"]
