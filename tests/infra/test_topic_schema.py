"""The schema on the topic takes every message of ours, and refuses others."""

from pathlib import Path

import pytest
from document_strategies import plans
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.message import Message
from grpc_tools import protoc
from hypothesis import given, settings
from hypothesis import strategies as st
from infra_files import INFRA, text_of

from functions.cli.wake_up_proto import wake_up_proto
from functions.wire import WakeUp, WakeUpKind, encode_wake_up


@pytest.fixture(scope="module")
def wake_up(tmp_path_factory: pytest.TempPathFactory) -> type[Message]:
    """The message class that protoc makes of the committed schema."""
    out = tmp_path_factory.mktemp("proto") / "set.pb"
    arguments = ["protoc", f"-I{INFRA}", f"--descriptor_set_out={out}", "wake_up.proto"]
    assert protoc.main(arguments) == 0
    files = descriptor_pb2.FileDescriptorSet.FromString(Path(out).read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("WakeUp"))


def test_the_committed_schema_is_up_to_date() -> None:
    """`smartscheduler schemas` mends it."""
    assert text_of("wake_up.proto") == wake_up_proto()


@settings(max_examples=40)
@given(kind=st.sampled_from(WakeUpKind), seq=st.none() | st.integers(0, 9), plan=st.none() | plans)
def test_our_messages_pass(
    wake_up: type[Message], kind: WakeUpKind, seq: int | None, plan: object
) -> None:
    """Whatever we publish has only fields of the schema, each of its type."""
    message = WakeUp(kind=kind, seq=seq, plan=plan)  # type: ignore[arg-type]

    parsed = json_format.Parse(encode_wake_up(message), wake_up())

    assert parsed.kind == kind  # type: ignore[attr-defined]


@pytest.mark.parametrize("text", ['{"kind": 3}', '{"kind": "again", "vm": "x"}', "[3]", "{"])
def test_other_messages_do_not(wake_up: type[Message], text: str) -> None:
    """A wrong type, an unknown field and what is no object are refused at the door."""
    with pytest.raises(json_format.ParseError):
        json_format.Parse(text, wake_up())
