"""The control page: counters and faults, for somebody who rehearses trouble. It works without its script."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, TypeAlias

from prakerja.mockservices.control import OUTAGE, SEND_NOW, Control
from prakerja.mockservices.faults import Faults
from prakerja.mockservices.knobs import Knob, Wrong, knobs, text
from prakerja.mockservices.receipts import ReceiptFaults

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Json: TypeAlias = dict[str, Any]

NAMES = {"dukcapil": "Dukcapil", "email": "E-mail", "sms": "SMS", "payout": "Payouts"}
_COUNTED = {
    "calls": "calls",
    "records": "records",
    "references": "references",
    "asked_again": "asked again",
    "done_again": "done again",
    "with_several_texts": "several texts",
    "calls_above_quota": "calls above quota",
}

_STYLE = """
:root { color-scheme: light dark; --line: light-dark(#c9ced6, #454b56); --soft: light-dark(#f4f5f8, #22262d);
  --ink: light-dark(#1b1f27, #e6e9ee); --dim: light-dark(#545c69, #a9b1be); --act: light-dark(#1a56b8, #8ab4f8);
  --bad: light-dark(#a11b1b, #ff9d94); --good: light-dark(#14652f, #7fd498); }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 72rem; font: 1rem/1.45 system-ui, sans-serif; color: var(--ink);
  background: light-dark(#fff, #16191e); }
h1 { margin: 0; font-size: 1.5rem; } h2 { margin: 0; font-size: 1.15rem; } p { margin: .3rem 0; color: var(--dim); }
section { margin-top: 1rem; padding: 1rem; border: 1px solid var(--line); border-radius: .5rem; }
header p { width: 100%; }
header, .head { display: flex; flex-wrap: wrap; gap: .3rem 1rem; align-items: baseline; }
.head { justify-content: space-between; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .3rem; text-align: right; border-bottom: 1px solid var(--line); font-weight: normal; }
th:first-child { text-align: left; color: var(--dim); } thead th { font-weight: 600; white-space: nowrap; }
tr:last-child > * { border-bottom: 0; }
.grid { display: grid; grid-auto-flow: dense;
  grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); gap: .7rem; margin: .8rem 0; }
label { display: flex; flex-direction: column; justify-content: space-between; gap: .2rem; font-size: .85rem;
  color: var(--dim); }
label.set { color: var(--act); font-weight: 600; }
label.wide { grid-column: span 2; }
input { width: 100%; padding: .4rem; font: inherit; font-size: 1rem; color: var(--ink); background: var(--soft);
  border: 1px solid var(--line); border-radius: .3rem; }
label.set input { border-color: var(--act); }
.row { display: flex; flex-wrap: wrap; gap: .5rem; align-items: end; margin-top: .8rem; }
.row label { width: 6.5rem; }
button { padding: .45rem .8rem; font: inherit; color: var(--act); background: transparent; border: 1px solid currentColor;
  border-radius: .3rem; cursor: pointer; }
button.main { color: light-dark(#fff, #10141b); background: var(--act); border-color: var(--act); }
button.bad { color: var(--bad); }
:focus-visible { outline: 3px solid var(--act); outline-offset: 2px; }
.up { color: var(--good); } .down, .wrong { color: var(--bad); font-weight: 600; }
.wrong { padding: .6rem .8rem; border: 1px solid currentColor; border-radius: .3rem; }
a { color: var(--act); }
@media (max-width: 30rem) { th, td { padding: .2rem .15rem; font-size: .8rem; } }
"""

#: The counters anew every two seconds; what is being typed stays.
_SCRIPT = """
setInterval(async () => {
  if (document.hidden) return;
  try {
    const page = new DOMParser().parseFromString(await (await fetch("/")).text(), "text/html");
    for (const old of document.querySelectorAll("[data-live]")) old.replaceWith(page.getElementById(old.id));
  } catch { }
}, 2000);
"""


def _hash(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


POLICY = "; ".join(
    [
        "default-src 'none'",
        "img-src data:",  # no icon
        f"style-src {_hash(_STYLE)}",
        f"script-src {_hash(_SCRIPT)}",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)


def control(control: Control, summary: Json, url: str, wrong: str = "") -> str:
    """The page, with what was wrong with the last form if something was."""
    services = "".join(_service(name, control, summary["services"][name]) for name in control.trouble)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Mock services</title>
<link rel="icon" href="data:,">
<style>{_STYLE}</style>
</head>
<body>
<header><h1>Mock services</h1><span>{escape(url)}</span>
<p>Dukcapil, e-mail, SMS and payers with trouble to order. The same for programs: <a href="/control.json">/control.json</a>,
<a href="/ledger">/ledger</a>.</p></header>
<main>
{f'<p class="wrong" role="alert">{escape(wrong)}</p>' if wrong else ""}
<section id="all" aria-labelledby="all-head">
<div class="head"><h2 id="all-head">All services</h2><a href="/">Load again</a></div>
{_counters(summary)}
<form method="post" action="/control" class="row">
<input type="hidden" name="of" value="all">
{_outage_buttons("All services")}
</form>
</section>
{services}
{_receipts(control, summary)}
</main>
<script>{_SCRIPT}</script>
</body>
</html>
"""


def wanted(form: Mapping[str, Sequence[str]]) -> tuple[Json, str]:
    """What a form of the page wants, as `Control.put` takes it, and the part of the page where it stood. Raises `Wrong`."""
    values = {name: given[-1].strip() for name, given in form.items()}
    of, do, outage = values.pop("of", ""), values.pop("do", ""), values.pop(OUTAGE, "")
    if do == "well":
        return {of: None}, of
    if do == "outage":
        return {of: {OUTAGE: outage}}, of
    if do == SEND_NOW:
        return {of: {SEND_NOW: True}}, of
    if do == "apply":
        defaults = {knob.name: knob.default for knob in knobs(ReceiptFaults if of == "receipts" else Faults)}
        return {of: {name: value or defaults.get(name, "") for name, value in values.items()}}, of
    raise Wrong("The form does not say what to do.")


def _counters(summary: Json) -> str:
    services = summary["services"]
    heads = "".join(f'<th scope="col">{NAMES[name]}</th>' for name in services)
    rows = "".join(
        f'<tr><th scope="row">{label}</th>{"".join(f"<td>{of[key]:,}</td>" for of in services.values())}</tr>'
        for key, label in _COUNTED.items()
    )
    return f"""<div id="counters" data-live>
<p>Running for {_duration(summary["running_s"])}.</p>
<table><thead><tr><td></td>{heads}</tr></thead><tbody>{rows}</tbody></table>
</div>"""


def _service(name: str, control: Control, sums: Json) -> str:
    trouble = control.trouble[name]
    left = trouble.outage_left()
    state = (
        f'<span class="down">down for another {left:.0f} s</span>'
        if left
        else '<span class="down">down</span>'
        if trouble.is_down()
        else '<span class="up">up</span>'
    )
    return f"""<section id="{name}" aria-labelledby="{name}-head">
<div class="head"><h2 id="{name}-head">{NAMES[name]}</h2><span id="{name}-state" data-live>{state}</span></div>
<p id="{name}-sums" data-live>{_said(sums["calls_by_ending"], "call")}{_said(sums["answers"], "record")}</p>
<form method="post" action="/control">
<input type="hidden" name="of" value="{name}">
{_inputs(trouble.faults)}
<div class="row">
<button class="main" name="do" value="apply">Set {NAMES[name]}</button>
{_outage_buttons(NAMES[name])}
</div>
</form>
</section>"""


def _receipts(control: Control, summary: Json) -> str:
    if not control.receipts:
        return ""
    sums = {name: n for name, n in summary["receipts"].items() if isinstance(n, int)}
    calls = "".join(_said(statuses, f"{kind} call") for kind, statuses in summary["receipts"]["calls"].items())
    return f"""<section id="receipts" aria-labelledby="receipts-head">
<div class="head"><h2 id="receipts-head">SMS receipts</h2><span>to {escape(control.receipts.url)}</span></div>
<p id="receipts-sums" data-live>{_said(sums, "")}{calls}</p>
<form method="post" action="/control">
<input type="hidden" name="of" value="receipts">
{_inputs(control.receipts.faults)}
<div class="row">
<button class="main" name="do" value="apply">Set receipts</button>
<button name="do" value="{SEND_NOW}">Send all now</button>
<button name="do" value="well">Receipts as they should be</button>
</div>
</form>
</section>"""


def _outage_buttons(of: str) -> str:
    return f"""<label>Outage, in s<input name="{OUTAGE}" value="60" inputmode="decimal" autocomplete="off"></label>
<button class="bad" name="do" value="outage">{of}: outage now</button>
<button name="do" value="well">{of}: all well</button>"""


def _inputs(of: "DataclassInstance") -> str:
    return f'<div class="grid">{"".join(_input(knob, getattr(of, knob.name)) for knob in knobs(of))}</div>'


def _input(knob: Knob, value: Any) -> str:
    classes = " ".join(
        word for word, holds in (("set", value != knob.default), ("wide", isinstance(knob.default, tuple))) if holds
    )
    unit = f" ({knob.unit})" if knob.unit else ""
    keyboard = "text" if isinstance(knob.default, tuple) else "decimal"
    return (
        f'<label class="{classes}"><span>{escape(knob.label.replace("`", ""))}{unit}</span><input name="{knob.name}" '
        f'value="{escape(text(value))}" inputmode="{keyboard}" autocomplete="off"></label>'
    )


def _said(sums: Mapping[str, int], what: str) -> str:
    """`Calls bent: 3, refused: 12.`"""
    if not sums:
        return ""
    parts = ", ".join(f"{escape(str(name)).replace('_', ' ')}: {n:,}" for name, n in sums.items())
    return f"<b>{what.capitalize()}s</b> {parts}. " if what else f"{parts}. "


def _duration(seconds: float) -> str:
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}"
