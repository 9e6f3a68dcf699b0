from __future__ import annotations

import pytest
from createos_images.command import run, run_confined
from createos_images.errors import ImageError


def test_the_output_of_a_program_is_returned() -> None:
    assert run("printf", "%s", "hello", timeout_s=5) == "hello"


def test_added_environment_reaches_the_program() -> None:
    assert run("sh", "-c", 'echo "$COLOUR $LC_ALL"', timeout_s=5, env={"COLOUR": "blue"}) == "blue C.UTF-8\n"


def test_a_failure_shows_the_last_line_and_keeps_the_rest() -> None:
    with pytest.raises(ImageError, match="^sh: no space left$") as caught:
        run("sh", "-c", "echo first >&2; echo no space left >&2; exit 3", timeout_s=5)

    assert caught.value.details == "first\nno space left\n"


def test_a_failure_without_words_shows_the_exit_code() -> None:
    with pytest.raises(ImageError, match="^sh: ended with exit code 3 and no message$"):
        run("sh", "-c", "exit 3", timeout_s=5)


def test_a_program_that_is_not_installed_is_named_with_the_remedy() -> None:
    with pytest.raises(ImageError, match="the program no-such-program is not installed") as caught:
        run("no-such-program", timeout_s=5)

    assert caught.value.sentence == "the program no-such-program is not installed; run make setup"


def test_a_program_that_does_not_end_is_ended() -> None:
    with pytest.raises(ImageError, match=r"^sleep did not end within 0 s$"):
        run("sleep", "60", timeout_s=0.1)


def test_a_confined_failure_names_the_program_not_its_confinement() -> None:
    with pytest.raises(ImageError, match="^(sh|unshare): "):
        run_confined("sh", "-c", "echo no >&2; exit 3", timeout_s=5)
