from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from feedmux.core import jsonrpc
from feedmux.core.jsonrpc import Batch, Call, JsonRpc, Notification, batch, read
from feedmux.model.errors import InvalidMessage
from feedmux.model.rpc import Reply, RpcError
from support.examples import EXAMPLES
from support.jsons import JSON_VALUES, MESSAGES, STRANGE_VALUES

IDS = st.integers() | st.text(max_size=5)
NAMES = st.text(min_size=1, max_size=8)
PARAMS = st.none() | st.lists(JSON_VALUES, max_size=3) | st.dictionaries(st.text(max_size=3), JSON_VALUES)
WHOLE = st.integers(-(2**53), 2**53)


@given(message=STRANGE_VALUES)
@settings(max_examples=EXAMPLES, deadline=None)
def test_whatever_comes_is_read_and_nothing_is_raised(message: Any) -> None:
    found = read(message)
    assert found is None or isinstance(found, Reply | Call | Notification | Batch)
    reply = JsonRpc().reply(message)
    assert (reply is not None) == isinstance(found, Reply)
    if isinstance(found, Batch):
        assert len(found.members) == len(message)
        assert found.missing([7]) in ([], [7])


def said_again(message: Reply | Call | Notification) -> dict[str, object]:
    """Build what was read; the builders take nothing that is malformed."""
    if isinstance(message, Notification):
        return jsonrpc.notification(message.method, message.params)
    if isinstance(message, Call):
        asked = jsonrpc.request(
            0 if message.request_id is None else message.request_id, message.method, message.params
        )
        return asked | {"id": message.request_id}
    if message.error is None:
        return jsonrpc.response(message.request_id, message.result)
    error = message.error
    return jsonrpc.error_response(message.request_id, error.code, error.message, error.data)


@given(message=MESSAGES)
@settings(max_examples=EXAMPLES, deadline=None)
def test_what_is_read_is_well_formed_and_can_be_said_again(message: dict[str, Any]) -> None:
    found = read(message)
    assert not isinstance(found, Batch)
    if found is not None:
        assert read(said_again(found)) == found


@given(message=MESSAGES)
@settings(max_examples=EXAMPLES, deadline=None)
def test_the_version_and_the_id_decide_where_the_other_members_do_not(message: dict[str, Any]) -> None:
    found, version = read(message), message.get("jsonrpc") == "2.0"
    if message.get("result") is not None and message.get("error") is not None:
        assert not isinstance(found, Reply)
    if "id" not in message:
        assert not isinstance(found, Call)
        assert version or not isinstance(found, Reply)
    elif message["id"] is None:
        assert not isinstance(found, Notification if version else Call)
    else:
        assert not isinstance(found, Notification)


@given(
    message=st.dictionaries(st.text(max_size=3), JSON_VALUES, max_size=3),
    request_id=IDS | st.none(),
    answer=JSON_VALUES,
    failed=st.booleans(),
)
@settings(max_examples=EXAMPLES, deadline=None)
def test_with_an_id_and_one_of_result_and_error_it_is_a_response_whatever_else_it_has(
    message: dict[str, Any], request_id: int | str | None, answer: Any, failed: bool
) -> None:
    for name in ("result", "error"):
        message.pop(name, None)
    message |= {"id": request_id, "error" if failed else "result": answer}
    found = read(message)
    assert isinstance(found, Reply)
    assert found.request_id == request_id
    assert found.error is None if not failed else isinstance(found.error, RpcError)
    if not failed:
        assert found.result is answer


@given(message=st.dictionaries(st.sampled_from(["id", "jsonrpc", "params", "price"]), JSON_VALUES))
@settings(max_examples=EXAMPLES, deadline=None)
def test_without_a_method_a_result_or_an_error_it_is_data(message: dict[str, Any]) -> None:
    assert read(message) is None


@given(
    request_id=IDS,
    method=NAMES,
    params=PARAMS,
    result=JSON_VALUES,
    code=WHOLE,
    text=st.text(),
    data=JSON_VALUES,
)
@settings(max_examples=EXAMPLES, deadline=None)
def test_what_was_built_is_read_as_what_was_built(
    request_id: int | str, method: str, params: Any, result: Any, code: int, text: str, data: Any
) -> None:
    assert read(jsonrpc.request(request_id, method, params)) == Call(request_id, method, params)
    assert read(jsonrpc.notification(method, params)) == Notification(method, params)
    for answered in (request_id, None):
        assert read(jsonrpc.response(answered, result)) == Reply(answered, result)
        error = RpcError(code, text, data)
        assert read(jsonrpc.error_response(answered, code, text, data)) == Reply(answered, error=error)


BUILDERS: list[Callable[[Any, Any, Any], object]] = [
    jsonrpc.request,
    lambda a, b, _: jsonrpc.notification(a, b),
    lambda a, b, _: jsonrpc.response(a, b),
    jsonrpc.error_response,
    lambda a, _b, _c: batch(a),
    JsonRpc().request,
]


@given(build=st.sampled_from(BUILDERS), a=STRANGE_VALUES, b=STRANGE_VALUES, c=STRANGE_VALUES)
@settings(max_examples=EXAMPLES, deadline=None)
def test_building_from_anything_gives_a_message_or_an_error_of_ours(
    build: Callable[[Any, Any, Any], object], a: Any, b: Any, c: Any
) -> None:
    try:
        message = build(a, b, c)
    except InvalidMessage as error:
        assert str(error)
    else:
        assert read(message) is not None


class Conversation(RuleBasedStateMachine):
    """Two peers talk in real JSON: one asks, alone or in batches, the other answers as it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.rpc = JsonRpc()
        self.asked: dict[int, Any] = {}
        self.owed: dict[int, Any] = {}
        self.answered: dict[int, Reply] = {}
        self.data = 0

    def carry(self, message: object) -> Any:
        return msgspec.json.decode(msgspec.json.encode(message))

    def call(self, value: Any) -> dict[str, object]:
        request_id = len(self.asked) + 1
        self.asked[request_id] = value
        return self.rpc.request(request_id, "echo", [value])

    def hear(self, call: object) -> None:
        """The peer takes one message."""
        if isinstance(call, Call):
            assert call.method == "echo"
            assert isinstance(call.request_id, int)
            assert isinstance(call.params, list)
            self.owed[call.request_id] = call.params[0]
        else:
            assert call == Notification("hello")

    @rule(value=WHOLE | st.text())
    def ask(self, value: Any) -> None:
        self.hear(read(self.carry(self.call(value))))

    @rule(values=st.lists(WHOLE | st.text(), max_size=3), notify=st.booleans())
    def ask_several(self, values: list[Any], notify: bool) -> None:
        calls = [self.call(value) for value in values]
        messages = [*calls, jsonrpc.notification("hello")] if notify or not calls else calls
        heard = read(self.carry(batch(messages)))
        assert isinstance(heard, Batch)
        for member in heard.members:
            self.hear(member)

    def answer_to(self, request_id: int, *, well: bool) -> dict[str, object]:
        value = self.owed.pop(request_id)
        if well:
            return jsonrpc.response(request_id, value)
        return jsonrpc.error_response(request_id, jsonrpc.INTERNAL_ERROR, "no", value)

    def take(self, reply: Reply) -> None:
        assert isinstance(reply.request_id, int)
        assert reply.request_id in self.asked, "an answer is of a question"
        assert reply.request_id not in self.answered, "nothing is answered twice"
        self.answered[reply.request_id] = reply
        value = reply.result if reply.error is None else reply.error.data
        assert value == self.asked[reply.request_id], "an answer is of its own question"

    @precondition(lambda self: self.owed)
    @rule(choice=st.integers(0, 9), well=st.booleans())
    def answer_one(self, choice: int, well: bool) -> None:
        request_id = sorted(self.owed)[choice % len(self.owed)]
        reply = self.rpc.reply(self.carry(self.answer_to(request_id, well=well)))
        assert reply is not None
        self.take(reply)

    @precondition(lambda self: self.owed)
    @rule(data=st.data())
    def answer_several_in_any_order_and_leave_some_out(self, data: st.DataObject) -> None:
        chosen = data.draw(st.lists(st.sampled_from(sorted(self.owed)), min_size=1, unique=True))
        waiting = sorted(self.owed)
        answers = [self.answer_to(request_id, well=data.draw(st.booleans())) for request_id in chosen]
        heard = read(self.carry(batch(answers)))
        assert isinstance(heard, Batch)
        for reply in heard.replies:
            self.take(reply)
        assert heard.missing(waiting) == [request_id for request_id in waiting if request_id in self.owed]

    @rule(value=st.dictionaries(st.sampled_from(["id", "price", "topic"]), WHOLE))
    def data_comes_between(self, value: Any) -> None:
        assert self.rpc.reply(self.carry(value)) is None
        assert read(self.carry([value])) is None

    def teardown(self) -> None:
        while self.owed:
            self.answer_one(0, well=True)
        assert set(self.answered) == set(self.asked)


TestConversation = Conversation.TestCase
TestConversation.settings = settings(max_examples=EXAMPLES, stateful_step_count=30, deadline=None)
