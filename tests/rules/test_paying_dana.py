"""Under every fault between refunds and DANA, the money arrives once: at DANA, or else in Lazada Credit."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from services.refunds.domain import State
from tests.rules.dana_model import TIMEOUT, TOLERANCE, Call, DanaModel

SOON, SECOND = timedelta(seconds=29), timedelta(seconds=1)


class PayingDana(RuleBasedStateMachine):
    """Anything that can happen, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.model = DanaModel()

    def under_way(self) -> list[Call]:
        return [call for call in self.model.calls if call.answer is None]

    def answered(self) -> list[Call]:
        return [call for call in self.model.calls if call.answer is not None]

    @initialize(skew=st.sampled_from([0, 0, 60, 299, 300, -299]), attempts=st.sampled_from([0, 0, 3, 5]))
    def a_refund_and_two_clocks(self, skew: int, attempts: int) -> None:
        self.model.skew = timedelta(seconds=skew)
        if attempts:
            self.model.refund = replace(self.model.refund, attempts=attempts, state=State.SENDING)

    @rule(to=st.sampled_from(["a second", "soon", "end of the doubt", "end of a transfer"]), sooner=st.booleans())
    def time_passes(self, to: str, sooner: bool) -> None:
        model = self.model
        then = model.now + (SOON if to == "soon" else SECOND)
        if to == "end of the doubt" and model.refund.doubtful_until:
            then = model.refund.doubtful_until - (SECOND if sooner else timedelta(0))
        if to == "end of a transfer" and model.transfers:
            then = model.transfers[0].stamp + TOLERANCE - (SECOND if sooner else timedelta(0))
        model.now = max(model.now, then)

    @precondition(lambda self: self.model.deadline is not None)
    @rule(data=st.data(), at_once=st.booleans())
    def the_deadline_fires(self, data: Any, at_once: bool) -> None:
        model = self.model
        assert model.deadline is not None
        model.now = max(model.now, model.deadline)
        model.due()
        if at_once:
            self.a_call_leaves(data)

    @precondition(lambda self: self.under_way())
    @rule(data=st.data())
    def a_call_leaves(self, data: Any) -> None:
        calls = [call for call in self.under_way() if call.transfer is None]
        if calls:
            self.model.start(data.draw(st.sampled_from(calls)))

    @precondition(lambda self: any(call.transfer or not call.sending for call in self.under_way()))
    @rule(
        data=st.data(),
        outcome=st.sampled_from(["paid", "pending", "failed", "throttled", "lost", "late", "late"]),
        recorded=st.booleans(),
        arrives=st.sampled_from([True, True, False]),
        at_once=st.booleans(),
    )
    def a_call_ends(self, data: Any, outcome: str, recorded: bool, arrives: bool, at_once: bool) -> None:
        model = self.model
        call = data.draw(st.sampled_from([call for call in self.under_way() if call.transfer or not call.sending]))
        if outcome == "lost":
            model.lose(call)
        elif outcome == "late":
            call.answer = TIMEOUT
        else:
            answer = model.answer(call, outcome, recorded=recorded)
            call.answer = answer if arrives else TIMEOUT
        if at_once:
            model.write_down(call)

    @precondition(lambda self: self.model.transfers)
    @rule(data=st.data(), outcome=st.sampled_from(["paid", "pending", "failed"]), recorded=st.booleans())
    def a_payment_arrives_late(self, data: Any, outcome: str, recorded: bool) -> None:
        self.model.deliver(data.draw(st.sampled_from(self.model.transfers)), outcome, recorded=recorded)

    @precondition(lambda self: self.answered())
    @rule(data=st.data())
    def an_answer_is_written_down(self, data: Any) -> None:
        self.model.write_down(data.draw(st.sampled_from(self.answered())))

    @precondition(lambda self: self.model.calls)
    @rule()
    def the_worker_dies(self) -> None:
        self.model.crash()

    @rule(knows=st.booleans())
    def an_older_backup_is_restored(self, knows: bool) -> None:
        self.model.restore(knows=knows)

    @precondition(lambda self: self.model.dana == "pending")
    @rule(becomes=st.sampled_from(["paid", "failed"]))
    def dana_makes_up_its_mind(self, becomes: str) -> None:
        self.model.dana = becomes

    @rule(linked=st.booleans())
    def the_buyer_unlinks_or_links(self, linked: bool) -> None:
        self.model.linked = linked

    @rule(opened=st.booleans())
    def the_wallet_closes_or_opens(self, opened: bool) -> None:
        self.model.wallet_open = opened

    @invariant()
    def all_is_well(self) -> None:
        self.model.check()

    def teardown(self) -> None:
        self.model.finish()


TestPayingDana = PayingDana.TestCase
TestPayingDana.__doc__ = """The money arrives exactly once with any loss, delay, refusal or crash."""
TestPayingDana.settings = settings(max_examples=20, stateful_step_count=40, deadline=None)
