"""A world in which a refund is paid through DANA and everything that can go wrong on the way may go wrong.

What the worker does here is what `services.refunds.payer` does, step by step: between any two of them the process may
die, another may go on, the wallet may close. A payment that was sent travels for as long as the network likes, and DANA
takes it as long as its timestamp is no more than five minutes away from its clock.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from contracts.words import Destination
from services.refunds.answers import Answer, Outcome
from services.refunds.domain import (
    IN_HAND,
    AtOrders,
    Refund,
    State,
    Step,
    answered,
    credited,
    inquired,
    next_step,
    pause,
    restored,
    sent,
)

START = datetime(2026, 3, 1, tzinfo=UTC)
TOLERANCE = timedelta(minutes=5)
MAX_SENDS = 6

PAID = Answer(Outcome.PAID, "2003800")
PENDING = Answer(Outcome.PENDING, "2023800")
FAILED = Answer(Outcome.FAILED, "5003800")
CLOSED = Answer(Outcome.FAILED, "4033805")
THROTTLED = Answer(Outcome.NOT_SENT, "throttled")
TIMEOUT = Answer(Outcome.UNKNOWN, "timeout")
WITHDRAWN = Answer(Outcome.WITHDRAWN)
NOT_FOUND = Answer(Outcome.NOT_FOUND, "07")


@dataclass(eq=False)
class Transfer:
    """A payment on the network. DANA may get it until it is lost, or too old."""

    stamp: datetime


@dataclass(eq=False)
class Call:
    """What one process is doing: a payment (`sending`) or a question, from the commit that announced it on."""

    before: Refund
    sending: Refund | None
    decided_at: datetime
    transfer: Transfer | None = None
    answer: Answer | None = None


@dataclass
class DanaModel:
    """One refund, its worker, the network and DANA. `skew`: how far the worker's clock is ahead of DANA's."""

    skew: timedelta = timedelta(0)
    now: datetime = START
    linked: bool = True
    wallet_open: bool = True
    dana: str | None = None
    """What DANA has under the reference: paid, pending, failed, or nothing."""
    refund: Refund = field(
        default_factory=lambda: Refund(
            UUID(int=1), UUID(int=2), UUID(int=3), UUID(int=4), 100, Destination.DANA, State.PENDING, "628123456789"
        )
    )
    deadline: datetime | None = START
    calls: list[Call] = field(default_factory=list)
    transfers: list[Transfer] = field(default_factory=list)
    sends: list[str] = field(default_factory=list)
    """The references of all payments that were sent."""
    unclear: bool = False
    """Whether the worker must assume that a payment may have been made."""
    waits: list[timedelta] = field(default_factory=list)
    """How long was waited after each answer."""

    # The worker.

    def due(self) -> None:
        """The deadline fires: the next step is stored."""
        match next_step(self.refund, self.linked, self.now):
            case Step.SEND:
                assert not self.unclear, "a payment is sent while another may have been made"
                assert self.linked
                self.unclear = True
                sending = sent(self.refund, self.now)
                self.calls.append(Call(self.refund, sending, self.now))
                self.refund, self.deadline = sending, self.now + IN_HAND
            case Step.ASK:
                self.calls.append(Call(self.refund, None, self.now))
                self.deadline = self.now + IN_HAND
            case Step.CREDIT:
                self.credit()
            case Step.WAIT as wait:
                self.deadline = self.now + pause(self.refund, wait, self.now)
            case Step.NOTHING:
                self.deadline = None

    def start(self, call: Call) -> None:
        """The call leaves, unless it is too late for that by now, or the payment is no longer wanted."""
        if self.refund != (call.sending or call.before) or self.now - call.decided_at > IN_HAND:
            self.calls.remove(call)
        elif call.sending and not self.linked:
            call.answer = WITHDRAWN
        elif call.sending:
            assert call.sending.attempts <= MAX_SENDS
            self.sends.append(call.sending.reference)
            call.transfer = Transfer(self.now + self.skew)
            self.transfers.append(call.transfer)

    def write_down(self, call: Call) -> None:
        """The answer is stored, unless another replica has taken the refund on."""
        assert call.answer is not None
        self.calls.remove(call)
        if self.refund != (call.sending or call.before):
            return
        if call.answer.outcome is not Outcome.UNKNOWN:
            self.unclear = call.answer.outcome in (Outcome.PAID, Outcome.PENDING)
        if call.sending:
            self.refund = answered(call.before, self.refund, call.answer)
        else:
            self.refund = inquired(self.refund, call.answer, call.decided_at)
        if self.refund.state is State.ISSUED:
            self.deadline = None
            return
        step = next_step(self.refund, self.linked, self.now)
        if step is Step.CREDIT:
            self.credit()
        else:
            self.waits.append(pause(self.refund, step, self.now))
            self.deadline = self.now + self.waits[-1]

    def credit(self) -> None:
        """Gives the money to Lazada Credit."""
        self.refund, self.deadline = credited(self.refund), None

    def crash(self) -> None:
        """What was in hand is lost; what is on the network is not."""
        self.calls.clear()

    def restore(self, *, knows: bool) -> None:
        """The refund is lost, and opened again with what `orders` knows of it: nothing, if it has missed the event."""
        self.crash()
        known = AtOrders.OPEN
        if knows and self.refund.state is State.ISSUED:
            known = AtOrders.CREDITED if self.is_credited else AtOrders.PAID
        lost = DanaModel().refund
        self.refund, self.deadline, self.unclear = restored(lost, known, self.now), self.now, True

    # The network and DANA.

    def deliver(self, transfer: Transfer | None, outcome: str = "paid", *, recorded: bool = True) -> Answer:
        """DANA gets a payment. `outcome` is what it makes of it, if the reference is new to it."""
        assert transfer is not None
        self.transfers.remove(transfer)
        if abs(self.now - transfer.stamp) > TOLERANCE:
            return Answer(Outcome.NOT_SENT, "4013800")
        if self.dana is None:
            if not self.wallet_open:
                return CLOSED
            if outcome == "throttled":
                return THROTTLED
            if outcome == "failed" and not recorded:
                return FAILED
            self.dana = outcome
        return {"paid": PAID, "pending": PENDING, "failed": FAILED}[self.dana]

    def status(self) -> Answer:
        """DANA's present answer to a query for the reference."""
        return {None: NOT_FOUND, "paid": PAID, "pending": PENDING, "failed": FAILED}[self.dana]

    def answer(self, call: Call, outcome: str = "paid", *, recorded: bool = True) -> Answer:
        """The answer that the caller gets; a timeout for a payment that is still in flight."""
        if call.sending is None:
            return self.status()
        return self.deliver(call.transfer, outcome, recorded=recorded) if call.transfer in self.transfers else TIMEOUT

    def lose(self, call: Call) -> None:
        """The request never arrives, and times out."""
        if call.transfer in self.transfers:
            self.transfers.remove(call.transfer)
        call.answer = TIMEOUT

    # What is seen from outside.

    @property
    def is_credited(self) -> bool:
        return self.refund.state is State.ISSUED and self.refund.destination is Destination.LAZADA_CREDIT

    def check(self) -> None:
        """Never both; an issued refund has arrived where it says; one reference; never too often."""
        assert not (self.is_credited and self.dana in ("paid", "pending")), "the money is paid twice"
        if self.refund.state is State.ISSUED and not self.is_credited:
            assert self.dana == "paid", "the refund is issued and not paid"
        assert set(self.sends) <= {self.refund.reference}
        assert self.refund.attempts <= MAX_SENDS
        assert (self.deadline is None) == (self.refund.state is State.ISSUED), "no deadline continues the refund"

    def play(self, outcome: str = "paid", *, recorded: bool = True, answer: Answer | None = None) -> None:
        """Time passes to the deadline, and what is due then is done without further ado. `answer` replaces DANA's."""
        assert self.deadline is not None
        self.now = max(self.now, self.deadline)
        self.due()
        for call in list(self.calls):
            if call.transfer is None and call.answer is None:
                self.start(call)
        for call in list(self.calls):
            if call.answer is None:
                call.answer = answer or self.answer(call, outcome, recorded=recorded)
            self.write_down(call)
        self.check()

    def finish(self) -> None:
        """From now on all goes well, but for what is still under way: that arrives when everything seems over."""
        for _ in range(60):
            if self.deadline is None:
                break
            if self.dana == "pending":
                self.dana = "paid"
            self.play()
        assert self.refund.state is State.ISSUED, "the money arrives nowhere"
        for transfer in list(self.transfers):
            self.deliver(transfer)
        self.check()
