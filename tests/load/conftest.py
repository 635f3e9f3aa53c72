"""A cluster for whatever tests of this folder put load on from one."""

from collections.abc import Iterator

import pytest
from clusters import Cluster, cluster


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A scheduler and two workers, which stay while a test kills none."""
    pytest.importorskip("distributed")
    with cluster(tmp_path_factory.mktemp("cluster")) as there:
        yield there
