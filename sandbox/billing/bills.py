"""What a change is to cost, before it stands on an invoice."""

import dataclasses

from sandbox.billing.lines import Line


@dataclasses.dataclass
class Bill:
    """Lines, and whether they are to be paid at once."""

    prorations: list[Line] = dataclasses.field(default_factory=list)
    charges: list[Line] = dataclasses.field(default_factory=list)  # periods that begin with the change
    at_once: bool = False  # else the prorations wait for the next invoice
    reason: str = "subscription_update"

    def add(self, other: "Bill") -> None:
        self.prorations += other.prorations
        self.at_once = self.at_once or other.at_once
