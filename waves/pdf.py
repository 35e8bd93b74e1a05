"""A decree on paper: a letter with its totals by province and sex, and the hash of its list as text and as a QR code.

It holds no name, so anybody may have it; the list goes by its hash. In Indonesian, whoever asks for it.
"""

from io import BytesIO
from typing import Any
from xml.sax.saxutils import escape

from django.conf import settings
from django.utils import translation
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext as _
from reportlab.graphics.barcode.qr import QrCodeWidget
from reportlab.graphics.shapes import Drawing
from reportlab.lib import colors
from reportlab.lib.enums import TA_CENTER
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import KeepTogether, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from registrations.models import Sex
from registrations.regions import WIB, Province
from waves.models import Decree

_BODY = ParagraphStyle("body", fontName="Helvetica", fontSize=10.5, leading=15, spaceAfter=8)
_HEAD = ParagraphStyle("head", _BODY, fontName="Helvetica-Bold", fontSize=12, leading=16, alignment=TA_CENTER, spaceAfter=2)
_SMALL = ParagraphStyle("small", _BODY, fontSize=8, leading=11, spaceAfter=2)
_CODE = ParagraphStyle("code", _SMALL, fontName="Courier", wordWrap="CJK")
_QR_SIDE = 32 * mm


def write(decree: Decree) -> bytes:
    """The decree as a PDF; the same bytes whenever it is asked for."""
    with translation.override("id"):
        return _written(decree)


def _written(decree: Decree) -> bytes:
    number = f"{decree.number}/{decree.year}"
    title = _("Decree %(number)s") % {"number": number}
    file = BytesIO()
    document = SimpleDocTemplate(
        file,
        pagesize=A4,
        leftMargin=25 * mm,
        rightMargin=25 * mm,
        topMargin=22 * mm,
        bottomMargin=20 * mm,
        title=title,
        author="Kartu Prakerja",
        invariant=True,
    )
    day = date_format(decree.at.astimezone(WIB).date(), "DATE_FORMAT")
    document.build(
        [
            Paragraph("KARTU PRAKERJA", _HEAD),
            Paragraph(escape(_("Programme office (PMO)")), _HEAD),
            Spacer(0, 5 * mm),
            Paragraph(escape(title.upper()), _HEAD),
            Paragraph(escape(_subject(decree)), _HEAD),
            Spacer(0, 6 * mm),
            *(
                [Paragraph(escape(_("Demonstration: this decree names made-up people and has no effect.")), _HEAD)]
                * _is_demo(decree)
            ),
            *(
                [Paragraph(escape(_("This draw used the mock beacon of a demonstration: it proves nothing.")), _HEAD)]
                * decree.draw.is_mock
            ),
            Paragraph(escape(_decided(decree)), _BODY),
            Paragraph(escape(_totals_say(decree)), _BODY),
            _totals(decree),
            Spacer(0, 5 * mm),
            KeepTogether([_signed(decree, day), Spacer(0, 5 * mm), _checked(decree)]),
        ]
    )
    return file.getvalue()


def _is_demo(decree: Decree) -> bool:
    return decree.key_id == "demo"


def _subject(decree: Decree) -> str:
    told: dict[str, int | str] = {"wave": decree.draw.wave_id}
    match Decree.Kind(decree.kind):
        case Decree.Kind.RECIPIENTS:
            return _("on the recipients of wave %(wave)s") % told
        case Decree.Kind.RESERVES:
            return _("on further recipients of wave %(wave)s, from the reserve") % told
        case Decree.Kind.REVOCATION:
            return _("on the revocation of recipients of wave %(wave)s") % told
        case Decree.Kind.CORRECTION:
            assert decree.corrects  # noqa: S101 - a constraint says so
            told["old"] = f"{decree.corrects.number}/{decree.corrects.year}"
            return _("on the correction of decree %(old)s on wave %(wave)s") % told


def _decided(decree: Decree) -> str:
    told = {"names": _number(decree.names), "wave": decree.draw.wave_id, "attempt": decree.draw.attempt}
    match Decree.Kind(decree.kind):
        case Decree.Kind.RECIPIENTS | Decree.Kind.RESERVES:
            return (
                _(
                    "The %(names)s people on the list that belongs to this decree are recipients of Kartu Prakerja. They were drawn in "
                    "draw %(attempt)s of wave %(wave)s, whose list, randomness and order are published."
                )
                % told
            )
        case Decree.Kind.REVOCATION:
            return (
                _(
                    "The %(names)s people on the list that belongs to this decree have bought no training within the time that the "
                    "rules of wave %(wave)s give. They are recipients no more, and cannot take part again."
                )
                % told
            )
        case Decree.Kind.CORRECTION:
            return _("The list that belongs to this decree adds and removes %(names)s people, each with the reason.") % told


def _totals_say(decree: Decree) -> str:
    told = {"names": _number(decree.names), "provinces": len(decree.totals)}
    return _("%(names)s people in %(provinces)s provinces:") % told


def _totals(decree: Decree) -> Table:
    rows: list[list[Any]] = [[_("Province"), *(str(sex.label) for sex in Sex), _("Together")]]
    for province, by_sex in decree.totals.items():
        counts = [by_sex.get(str(sex.value), 0) for sex in Sex]
        rows.append([str(Province(int(province)).label), *map(_number, counts), _number(sum(counts))])
    columns = [sum(by_sex.get(str(sex.value), 0) for by_sex in decree.totals.values()) for sex in Sex]
    rows.append([_("All provinces"), *map(_number, columns), _number(sum(columns))])
    return Table(
        rows,
        colWidths=[70 * mm, 30 * mm, 30 * mm, 30 * mm],
        repeatRows=1,
        style=TableStyle(
            [
                ("FONT", (0, 0), (-1, -1), "Helvetica", 9),
                ("FONT", (0, 0), (-1, 0), "Helvetica-Bold", 9),
                ("FONT", (0, -1), (-1, -1), "Helvetica-Bold", 9),
                ("ALIGN", (1, 0), (-1, -1), "RIGHT"),
                ("LINEBELOW", (0, 0), (-1, 0), 0.8, colors.black),
                ("LINEABOVE", (0, -1), (-1, -1), 0.8, colors.black),
                ("TOPPADDING", (0, 0), (-1, -1), 1.6),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 1.6),
            ]
        ),
    )


def _signed(decree: Decree, day: str) -> Paragraph:
    return Paragraph(f"Jakarta, {escape(day)}<br/><br/><b>{escape(decree.signer)}</b>", _BODY)


def _checked(decree: Decree) -> Table:
    sha256 = bytes(decree.sha256).hex()
    url = f"{settings.BASE_URL}/sk/?hash={sha256}"
    words = [
        Paragraph(escape(_("SHA-256 of the list, which this decree is signed with; check it at:")), _SMALL),
        Paragraph(escape(url), _CODE),
        Paragraph(escape(_("Ed25519 key %(key)s, signature:") % {"key": decree.key_id}), _SMALL),
        Paragraph(bytes(decree.signature).hex(), _CODE),
    ]
    style = TableStyle([("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0)])
    return Table([[_qr(url), words]], colWidths=[38 * mm, 122 * mm], style=style)


def _qr(text: str) -> Drawing:
    code = QrCodeWidget(text, barLevel="M")
    left, bottom, right, top = code.getBounds()
    drawing = Drawing(_QR_SIDE, _QR_SIDE, transform=[_QR_SIDE / (right - left), 0, 0, _QR_SIDE / (top - bottom), 0, 0])
    drawing.add(code)
    return drawing


def _number(value: int) -> str:
    return str(number_format(value, use_l10n=True, force_grouping=True))
