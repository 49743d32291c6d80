import pytest
from trio.testing import MockClock


@pytest.fixture
def jumping_clock() -> MockClock:
    """A clock that stands still, and jumps to the next deadline when nothing comes for a while.

    So no timeout takes its time, and none comes before its call on a machine that is busy.
    """
    return MockClock(autojump_threshold=0.2)
