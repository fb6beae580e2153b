"""Signing in and out: at a seat, as the app or as the website."""

from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Path, Response

from runtime.errors import NotFound
from services.web.lessons.people import DEMONSTRATION, PASSWORD
from services.web.pages.start import ROLES, own_path
from services.web.seats import CONSOLE
from services.web.upstream import Refused, ServiceAway, granted
from services.web.visits import AtSeat, Form, Person, SignInFirst, Visit

router = APIRouter(prefix="/web/s/{seat}", include_in_schema=False)


@router.get("/sign-in")
async def sign_in_page(visit: AtSeat, back: str = "") -> Response:
    """The form to sign in with."""
    if visit.who is not None:
        return visit.go(own_path(back) or f"{visit.root}/")
    return show_form(visit, own_path(back))


@router.post("/sign-in")
async def sign_in(visit: AtSeat) -> Response:
    """Signs in with a password."""
    form = await visit.form()
    back = own_path(form["back"])
    email = form["email"]
    try:
        await enter_as(visit, email, form["password"], _client(visit, form))
    except Refused as refused:
        return show_form(visit, back, "signin.wrong" if refused.code == "invalid_grant" else refused.code, email, 400)
    if visit.seat == CONSOLE and not back.startswith(visit.root):
        back = ""
    return visit.go(back or f"{visit.root}/")


@router.post("/enter/{role}")
async def enter(visit: AtSeat, role: Annotated[str, Path(pattern="^(buyer|seller|agent)$")]) -> Response:
    """Signs in as one of the ready accounts, in demonstration mode."""
    if not visit.dependencies.demonstration:
        raise NotFound
    form = await visit.form()
    await enter_as(visit, DEMONSTRATION[role], PASSWORD, _client(visit, form))
    return visit.go(own_path(form["back"]) or f"{visit.root}/")


@router.get("/register")
async def register_page(visit: AtSeat) -> Response:
    """The registration form."""
    return visit.page("register.html", problem="", email="", name="", role="buyer")


@router.post("/register")
async def register(visit: AtSeat) -> Response:
    """Registers an account and signs in."""
    form = await visit.form()
    typed = {key: form[key] for key in ("email", "password", "name", "role")}
    try:
        await visit.send("POST", "/accounts", typed)
        await enter_as(visit, typed["email"], typed["password"], _client(visit, form))
    except Refused as refused:
        shown = {key: typed[key] for key in ("email", "name", "role")}
        return visit.page("register.html", 400, problem=refused.code, **shown)
    return visit.go(f"{visit.root}/", "notice.registered")


@router.post("/sign-out")
async def sign_out(visit: Person) -> Response:
    """Ends the session, here and at accounts."""
    await visit.form()
    visit.dependencies.revocations.add(visit.person)
    with suppress(ServiceAway, Refused, SignInFirst):  # also if accounts fails, nothing may stay in a shared browser
        await visit.send("POST", "/accounts/logout")
    visit.leave()
    return visit.go(f"{visit.root}/sign-in", "notice.signed_out")


def show_form(visit: Visit, back: str, problem: str = "", email: str = "", status: int = 200) -> Response:
    """The form to sign in with."""
    role = dict(ROLES).get(visit.seat, "") if back and not problem else ""
    return visit.page("sign_in.html", status, back=back, problem=problem, email=email, role=role)


def _client(visit: Visit, form: Form) -> str:
    """`app` on a phone, `web` elsewhere (A: two ways, with the same account); the page's script knows the width;
    without it the browser's headers decide."""
    if form["client"] in ("app", "web"):
        return form["client"]
    headers = visit.request.headers
    agent = headers.get("user-agent", "")
    mobile = headers.get("sec-ch-ua-mobile") == "?1" or any(word in agent for word in ("Mobile", "Android", "iPhone"))
    return "app" if mobile else "web"


async def enter_as(visit: Visit, email: str, password: str, client: str) -> None:
    """Signs in: operators at the console, wherever they typed their password; all others at the seat. At the console
    all others get the answer of a page that does not exist."""
    form = {"grant_type": "password", "username": email, "password": password, "client_id": client}
    form["device_token"] = visit.request.cookies.get("device", "")
    answer = await visit.dependencies.upstream.ask("POST", "/accounts/token", data=form, host=visit.host)
    tokens = granted(answer)
    is_operator = visit.dependencies.verifier.verify(tokens["access_token"]).role == "operator"
    if visit.seat == CONSOLE and not is_operator:
        await visit.dependencies.upstream.ask("POST", "/accounts/logout", token=tokens["access_token"])
        raise NotFound
    if is_operator:
        visit.seat = CONSOLE
    visit.sit(tokens)
