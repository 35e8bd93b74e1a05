"""The hand at the faults while the services run: what stands, and how it is changed. The page and the JSON say the same."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, TypeAlias

from prakerja.mockservices.faults import Faults, Trouble
from prakerja.mockservices.knobs import Wrong, changed, number, well
from prakerja.mockservices.receipts import ReceiptFaults, Receipts

Json: TypeAlias = dict[str, Any]

#: Not faults that stand, but something to do now.
OUTAGE, SEND_NOW = "outage_now_s", "send_now"


class Control:
    """Changes the faults of the services, and of the receipts if there are any."""

    def __init__(self, trouble: Mapping[str, Trouble], receipts: Receipts | None) -> None:
        self.trouble = trouble
        self.receipts = receipts

    def as_json(self) -> Json:
        """What stands now; `put` takes the same."""
        standing = {
            name: {**asdict(trouble.faults), OUTAGE: round(trouble.outage_left(), 3)}
            for name, trouble in self.trouble.items()
        }
        return {**standing, "receipts": asdict(self.receipts.faults)} if self.receipts else standing

    def put(self, wanted: Any) -> None:
        """Change what is named; `all` is every service, and comes first. Raises `Wrong`, and has then changed nothing.

        None, instead of values, is the absence of trouble; of "all" it is that of the receipts too.
        """
        if not isinstance(wanted, dict):
            raise Wrong("an object is wanted")
        places = [*self.trouble, *(["receipts"] if self.receipts else [])]
        if unknown := [name for name in wanted if name not in (*places, "all")]:
            raise Wrong(f"{unknown[0]}: no such name; there are all, {', '.join(places)}")
        asked = [
            (name, wanted["all"]) for name in places if "all" in wanted and (name != "receipts" or wanted["all"] is None)
        ]
        asked += [(name, values) for name, values in wanted.items() if name != "all"]
        plan = _Plan(self)
        for name, values in asked:
            plan.add(name, values)
        plan.carry_out()


class _Plan:
    """All changes of one call, so that a wrong one leaves everything as it was."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._faults = {name: trouble.faults for name, trouble in control.trouble.items()}
        self._outages: dict[str, float] = {}
        self._receipts = control.receipts.faults if control.receipts else ReceiptFaults()
        self._send_now = False

    def add(self, name: str, values: Any) -> None:
        if values is not None and not isinstance(values, dict):
            raise Wrong(f"{name}: an object is wanted, or null")
        try:
            if name == "receipts":
                self._receipts = well(self._receipts) if values is None else self._of_receipts(dict(values))
            elif values is None:
                self._faults[name], self._outages[name] = well(self._faults[name]), 0.0
            else:
                self._faults[name] = self._of_service(name, dict(values))
        except Wrong as wrong:
            raise Wrong(f"{name}.{wrong}") from None

    def _of_receipts(self, values: Json) -> ReceiptFaults:
        if SEND_NOW in values:
            self._send_now = values.pop(SEND_NOW) is True
        return changed(self._receipts, values)

    def _of_service(self, name: str, values: Json) -> Faults:
        if OUTAGE in values:
            self._outages[name] = number(OUTAGE, values.pop(OUTAGE))
        return changed(self._faults[name], values)

    def carry_out(self) -> None:
        for name, trouble in self._control.trouble.items():
            trouble.change(self._faults[name])
            if name in self._outages:
                trouble.go_down(self._outages[name])
        if receipts := self._control.receipts:
            receipts.faults = self._receipts
            if self._send_now:
                receipts.send_now()


def from_options(options: list[str]) -> Json:
    """What `--fault WHERE.NAME=VALUE` wants, in the form that `put` takes. Raises `Wrong`."""
    wanted: Json = {}
    for option in options:
        name, is_there, value = option.partition("=")
        where, dot, what = name.strip().partition(".")
        if not is_there or not dot:
            raise Wrong(f"{option}: WHERE.NAME=VALUE is wanted, as in sms.fail_percent=30")
        wanted.setdefault(where, {})[what] = value.strip()
    return wanted
