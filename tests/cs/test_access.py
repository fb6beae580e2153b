"""Who may use which route, and who is refused."""

import re
from uuid import uuid4

import pytest

from tests.harness.cs import CsHarness

CALLS = {
    "POST /cs/cases": ({"text": "Halo"}, "buyer"),
    "GET /cs/cases": (None, "either"),
    "GET /cs/cases/{case_id}": (None, "either"),
    "GET /cs/cases/{case_id}/messages": (None, "either"),
    "POST /cs/cases/{case_id}/messages": ({"text": "Halo"}, "either"),
    "GET /cs/duty": (None, "agent"),
    "PUT /cs/duty": ({"on": False}, "agent"),
    "POST /cs/cases/{case_id}/order": ({"order_id": str(uuid4())}, "buyer"),
    "POST /cs/cases/{case_id}/contact-seller": (None, "agent"),
    "POST /cs/cases/{case_id}/close": ({"outcome": "answered"}, "agent"),
    "POST /cs/cases/{case_id}/rate": ({"rating": 5}, "buyer"),
    "POST /cs/tickets": (None, "either"),
}
ACTS = [call for call in CALLS if "{case_id}" in call]


async def test_every_route_is_in_the_table(harness: CsHarness) -> None:
    """Each route is listed with the role that may use it."""
    paths = harness.service.app.openapi()["paths"]
    routes = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    of_the_runtime = re.compile("/(health|metrics|demonstration)")
    assert {route for route in routes if not of_the_runtime.search(route)} == CALLS.keys()


async def status(harness: CsHarness, call: str, role: str | None, case_id: str) -> tuple[int, str]:
    """The answer to a new person of that role."""
    method, path = call.format(case_id=case_id).split()
    person = harness.person(role or "buyer")
    headers = {} if role else {"Authorization": "Bearer nonsense"}
    answer = await person.ask(method, path, json=CALLS[call][0], headers=headers)
    return answer.status_code, answer.json().get("code", "") if answer.is_error else ""


@pytest.mark.parametrize("call", CALLS)
async def test_the_wrong_role_is_refused(harness: CsHarness, call: str) -> None:
    """A route refuses the other roles, and requests without a valid token."""
    wrong = {"buyer": ["seller", "agent"], "agent": ["seller", "buyer"], "either": ["seller"]}[CALLS[call][1]]
    for role in wrong:
        assert await status(harness, call, role, str(uuid4())) == (403, "wrong_role")
    assert await status(harness, call, None, str(uuid4())) == (401, "unauthenticated")


@pytest.mark.parametrize("call", ACTS)
async def test_a_foreign_case_is_not_there_for_a_buyer(harness: CsHarness, call: str) -> None:
    """A buyer gets the same answer for a foreign case as for one that does not exist."""
    if CALLS[call][1] == "agent":
        assert await status(harness, call, "agent", str(uuid4())) == (404, "not_found")
        return
    for case_id in ((await harness.active()).case_id, str(uuid4())):
        assert await status(harness, call, "buyer", case_id) == (404, "not_found")


@pytest.mark.parametrize("call", ACTS)
async def test_another_agent_reads_and_does_not_act(harness: CsHarness, call: str) -> None:
    """An agent may read every case, and act only on their own."""
    if CALLS[call][1] == "buyer":
        return
    expected = (200, "") if call.startswith("GET") else (403, "not_your_case")
    assert await status(harness, call, "agent", (await harness.active()).case_id) == expected


async def test_an_agent_whose_case_was_taken_away_cannot_act_on_it(harness: CsHarness) -> None:
    """An agent who goes off duty cannot act on the former cases."""
    case = await harness.active()
    await case.agent.duty(False)
    assert await case.agent.refused(f"{case.path}/messages", text="Halo") == "not_your_case"
    assert await case.agent.refused(f"{case.path}/close", outcome="answered") == "not_your_case"
    assert (await case.seen())["position"] == 1
    assert (await case.codes())[-1] == "agent_left"


@pytest.mark.parametrize("text", ["", "   ", "x" * 2001, "a\x00b", None, 5])
async def test_bad_words_are_refused(harness: CsHarness, text: object) -> None:
    """A text that is empty, too long, unprintable or not a string is refused."""
    assert await harness.buyer().refused("/cs/cases", text=text) == "invalid_request"
