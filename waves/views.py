"""The public pages of the draws: what anybody needs to check one, without signing in."""

import hashlib
import re
from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from foundation import pg
from registrations.models import Wave
from waves import decrees, pdf, publishing, reserves, state
from waves import draw as drawing
from waves.models import Called, Decree, Draw


@require_safe
def draws(request: HttpRequest) -> HttpResponse:
    """All draws, the newest first."""
    found = Draw.objects.select_related("wave").defer("subtrees").order_by("-wave", "-attempt")
    return render(request, "draws/draws.html", {"draws": found})


@require_safe
def draw_page(request: HttpRequest, wave: int, attempt: int | None = None) -> HttpResponse:
    """One wave's draw, step by step as far as it has come; `?ticket=`: one ticket's place and its proof."""
    of_wave = get_object_or_404(Wave, pk=wave)
    draw, asked = _draw(wave, attempt), request.GET.get("ticket", "").strip()
    context: dict[str, Any] = {
        "wave": of_wave,
        "state": state.of(of_wave, pg.now()),
        "draw": draw,
        "annulled": Draw.objects.filter(wave=wave).exclude(annulled_at=None).defer("subtrees"),
        "asked": asked,
    }
    if draw:
        sums = publishing.sums(draw)
        context |= {
            "told": publishing.as_json(draw),
            "round_at": drawing.chain_of(draw).at(draw.round) if draw.round else None,
            "chances": drawing.chances(draw),
            "files": publishing.FILES if sums and publishing.are_written(draw, sums) else (),
            "sums_sha256": hashlib.sha256(sums).hexdigest(),
            "found": _found(draw, asked) if asked else None,
            "decrees": draw.decrees.all(),
            "called": reserves.summary(draw),
        }
    return render(request, "draws/draw.html", context)


def _draw(wave: int, attempt: int | None) -> Draw | None:
    """The draw that was asked for; without an attempt, the newest."""
    draws = Draw.objects.filter(wave=wave)
    return get_object_or_404(draws, attempt=attempt) if attempt else draws.last()


def _found(draw: Draw, text: str) -> dict[str, object] | None:
    """What is known of a ticket; None: there is no such ticket."""
    ticket = drawing.find_ticket(draw, text)
    if ticket is None:
        return None
    proof = drawing.proof(draw, ticket.position)
    found: dict[str, object] = {"proof": proof, "path": [sibling.hex() for sibling in proof.path]}
    if draw.published_at:
        rank = drawing.rank_of(draw, ticket)
        called = Called.objects.filter(draw_id=draw.pk, rank=rank, outcome=Called.Outcome.NAMED)
        found |= {"rank": rank, "place": drawing.place_of(draw, ticket), "was_called": called.exists()}
    return found


@require_safe
def draw_json(request: HttpRequest, wave: int, attempt: int) -> HttpResponse:
    """`draw.json`, as far as the draw has come."""
    return JsonResponse(publishing.as_json(get_object_or_404(Draw, wave=wave, attempt=attempt)))


@require_safe
def draw_file(request: HttpRequest, wave: int, attempt: int, name: str) -> FileResponse:
    """One of the published files."""
    draw = get_object_or_404(Draw.objects.exclude(published_at=None), wave=wave, attempt=attempt)
    path: Path = publishing.file(draw, name)
    if name not in publishing.FILES or not path.is_file():
        raise Http404
    return FileResponse(path.open("rb"), as_attachment=True, filename=name)


@require_safe
def reserves_csv(request: HttpRequest, wave: int, attempt: int) -> StreamingHttpResponse:
    """Whose turn came when seats became free: `rank,ticket,outcome,decree`."""
    draw = get_object_or_404(Draw.objects.exclude(published_at=None), wave=wave, attempt=attempt)
    headers = {"Content-Disposition": f'attachment; filename="gelombang-{wave}-undian-{attempt}-cadangan.csv"'}
    return StreamingHttpResponse(reserves.lines(draw), content_type="text/csv; charset=utf-8", headers=headers)


@require_safe
def checker(request: HttpRequest) -> FileResponse:
    """The programme that runs a draw again: Python's standard library, nothing of ours."""
    path = settings.BASE_DIR / "tools" / "verify_draw.py"
    return FileResponse(path.open("rb"), as_attachment=True, filename=path.name, content_type="text/x-python")


@require_safe
def specification(request: HttpRequest) -> FileResponse:
    """Every byte of a draw, for who wants to write a checker."""
    return FileResponse((settings.BASE_DIR / "docs" / "draw.md").open("rb"), content_type="text/plain; charset=utf-8")


@require_safe
def decree_pdf(request: HttpRequest, year: int, number: int) -> HttpResponse:
    """A decree on paper, without names."""
    decree = get_object_or_404(Decree.objects.select_related("draw", "corrects"), year=year, number=number)
    headers = {"Content-Disposition": f'inline; filename="sk-{number}-{year}.pdf"'}
    return HttpResponse(pdf.write(decree), content_type="application/pdf", headers=headers)


@require_safe
def decree_statement(request: HttpRequest, year: int, number: int) -> HttpResponse:
    """What was signed, byte by byte."""
    decree = get_object_or_404(Decree, year=year, number=number)
    headers = {"Content-Disposition": f'inline; filename="sk-{number}-{year}.txt"'}
    return HttpResponse(decree.statement, content_type="text/plain; charset=utf-8", headers=headers)


@require_safe
def decrees_json(request: HttpRequest) -> JsonResponse:
    """All decrees in the order in which they were issued, with what it takes to verify their signatures and their chain."""
    told = [
        {
            "number": f"{decree.number}/{decree.year}",
            "statement": decree.statement,
            "key_id": decree.key_id,
            "public_key": bytes(decree.public_key).hex(),
            "signature": bytes(decree.signature).hex(),
        }
        for decree in Decree.objects.order_by("pk")
    ]
    return JsonResponse({"decrees": told})


@require_safe
def decree_specification(request: HttpRequest) -> FileResponse:
    """Every byte of a decree, for who wants to verify one."""
    return FileResponse((settings.BASE_DIR / "docs" / "decree.md").open("rb"), content_type="text/plain; charset=utf-8")


@require_safe
def decrees_page(request: HttpRequest) -> HttpResponse:
    """All decrees; `?hash=`: the one whose list has this SHA-256, looked at anew."""
    text = "".join(request.GET.get("hash", "").split()).lower()
    decree = decrees.with_hash(bytes.fromhex(text)) if re.fullmatch("[0-9a-f]{64}", text) else None
    context = {
        "decrees": Decree.objects.select_related("draw"),
        "asked": text,
        "decree": decree,
        "faults": decrees.faults(decree) if decree else [],
        "public_key": bytes(decree.public_key).hex() if decree else "",
        "signature": bytes(decree.signature).hex() if decree else "",
    }
    return render(request, "draws/decrees.html", context)
