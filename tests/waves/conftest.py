import pytest


@pytest.fixture(autouse=True)
def messages_in_english(english: None) -> None:
    """Messages are read in English here."""
