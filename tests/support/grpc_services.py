"""In-process gRPC services on loopback that speak Google's own messages."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc

Method = Callable[[Any], Any]


@dataclass
class Fault:
    """How the next call fails."""

    code: grpc.StatusCode
    lands: bool = False
    """Whether the call has its effect all the same."""


@dataclass
class Faults:
    """What goes wrong, in order; and how late every answer is."""

    queue: list[Fault] = field(default_factory=list)
    always: grpc.StatusCode | None = None
    delay_s: float = 0.0


@contextmanager
def serving(
    service: str, methods: dict[str, tuple[Any, Any, Method]], faults: Faults
) -> Iterator[str]:
    """Serve `methods` (request class, response class, what to do) and yield `host:port`."""

    def handler(request: Any, response: Any, act: Method) -> grpc.RpcMethodHandler:  # noqa: ANN401
        def call(message: Any, context: grpc.ServicerContext) -> Any:  # noqa: ANN401
            time.sleep(faults.delay_s)
            fault = faults.queue.pop(0) if faults.queue else None
            if fault and fault.lands:
                act(message)
            if code := fault.code if fault else faults.always:
                context.abort(code, f"the service said {code.name}")
            return act(message)

        return grpc.unary_unary_rpc_method_handler(
            call, request_deserializer=request.deserialize, response_serializer=response.serialize
        )

    server = grpc.server(ThreadPoolExecutor(max_workers=4))
    handlers = {name: handler(*method) for name, method in methods.items()}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(grace=None).wait()
