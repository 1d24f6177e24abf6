"""A Pub/Sub service in this process that speaks Google's messages."""

from collections.abc import Iterator
from contextlib import contextmanager

from google.pubsub_v1 import types
from grpc_services import Faults, serving


class FakePubSub:
    """A topic that keeps what it is given."""

    def __init__(self) -> None:
        """Begin empty and well."""
        self.faults = Faults()
        self.requests: list[types.PublishRequest] = []

    @property
    def messages(self) -> list[types.PubsubMessage]:
        """What was published."""
        return [message for request in self.requests for message in request.messages]

    def publish(self, request: types.PublishRequest) -> types.PublishResponse:
        """Keep the messages."""
        self.requests.append(request)
        return types.PublishResponse(message_ids=[str(n) for n, _ in enumerate(request.messages)])

    @contextmanager
    def running(self) -> Iterator[str]:
        """Serve on loopback and yield `host:port`."""
        method = (types.PublishRequest, types.PublishResponse, self.publish)
        with serving("google.pubsub.v1.Publisher", {"Publish": method}, self.faults) as address:
            yield address
