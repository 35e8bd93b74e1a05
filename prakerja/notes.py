"""What the next page of the office says on top, once; and who is signed in."""

from typing import Any, cast

from django.contrib.auth.models import User
from django.http import HttpRequest


def leave_note(request: HttpRequest, text: str, *, wrong: bool = False) -> None:
    request.session["notice"] = {"text": str(text), "wrong": wrong}


def take_note(request: HttpRequest) -> dict[str, Any] | None:
    return cast("dict[str, Any] | None", request.session.pop("notice", None))


def user_of(request: HttpRequest) -> User:
    """Who is signed in: `staff_only` has seen to it."""
    return cast(User, request.user)
