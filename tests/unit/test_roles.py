"""What each role may do."""

from typing import get_args

import pytest

from daemon.domain.audit_chain import Action
from daemon.domain.roles import ACCESS_ROLES, LEAST_ROLE, AccessRole, allows

READ, AGENT, OPERATOR = ACCESS_ROLES


def test_a_role_may_all_that_the_ones_before_it_may() -> None:
    may = [
        {action for action in (*get_args(Action), "read") if allows(role, action)}
        for role in ACCESS_ROLES
    ]
    assert may[0] < may[1] < may[2]
    assert may[0] == {"read"}
    assert may[2] == {*get_args(Action), "read"}


@pytest.mark.parametrize("action", ["send", "pause", "resume", "done", "remind", "reveal"])
def test_agents_serve_customers(action: Action) -> None:
    assert allows(AGENT, action)
    assert not allows(READ, action)


@pytest.mark.parametrize("action", ["forget", "replay", "clear locks", "export", "trust tools"])
def test_operators_run_it(action: Action) -> None:
    assert allows(OPERATOR, action)
    assert not allows(AGENT, action)


def test_every_action_of_the_table_is_one_of_the_audit() -> None:
    assert set(LEAST_ROLE) <= {*get_args(Action), "read"}


def test_roles_are_written_as_words() -> None:
    assert [AccessRole(word) for word in ("read", "agent", "operator")] == list(ACCESS_ROLES)
