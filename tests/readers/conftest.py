"""What the tests of readers share: every sample of samples/, and a file of any content."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lab.facts.errors import Unreadable
from lab.facts.foreign import Foreign
from lab.readers.files import read

TESTS = Path(__file__).resolve().parents[1]
SAMPLES = sorted((TESTS / "samples").iterdir())


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for `sample` is run with each: a new one cannot be forgotten."""
    if "sample" in metafunc.fixturenames:
        metafunc.parametrize("sample", SAMPLES, ids=lambda path: path.name)


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Path:
    """The file in which content is read."""
    return tmp_path_factory.mktemp("readers") / "made"


@pytest.fixture(scope="session")
def read_content(made) -> Callable[[str | bytes], Foreign]:
    """Reads a file of this content."""

    def read_one(content: str | bytes) -> Foreign:
        made.write_bytes(content.encode() if isinstance(content, str) else content)
        found = read(made)
        assert isinstance(found, Foreign)
        return found

    return read_one


@pytest.fixture(scope="session")
def refuse(made) -> Callable[[str | bytes], str]:
    """What is said of a file of this content, which is one line, and short."""

    def refuse_one(content: str | bytes) -> str:
        made.write_bytes(content.encode() if isinstance(content, str) else content)
        with pytest.raises(Unreadable) as caught:
            read(made)
        said = str(caught.value)
        assert said.startswith(f"{made}: ")
        assert said.isprintable()
        assert len(said) < 500
        return said.removeprefix(f"{made}: ")

    return refuse_one


@pytest.fixture(scope="session")
def samples() -> Callable[[str], Foreign]:
    """A sample by its name."""
    return lambda name: read(TESTS / "samples" / name)


@pytest.fixture(scope="session")
def sample_text() -> Callable[[str], str]:
    """The text of a sample by its name."""
    return lambda name: (TESTS / "samples" / name).read_text()
