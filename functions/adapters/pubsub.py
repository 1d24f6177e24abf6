"""The port `Publisher` on Google Cloud Pub/Sub, on Google's own client."""

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from functions.adapters.google_calls import ATTEMPT_S, PATIENCE_S, each_attempt, mapped, patient
from functions.wire import WakeUp, encode_wake_up

if TYPE_CHECKING:
    from google.cloud import pubsub_v1


def _default_client() -> "pubsub_v1.PublisherClient":
    from google.cloud import pubsub_v1  # noqa: PLC0415 - takes 0.4 s

    # One message is a full batch: the CPU of a function may be frozen after its answer, and
    # what still waits in a batch then is sent late or never.
    return pubsub_v1.PublisherClient(
        batch_settings=pubsub_v1.types.BatchSettings(max_messages=1),
    )


class PubSubPublisher:
    """One topic; the client is made at the first message."""

    def __init__(
        self,
        *,
        project: str,
        topic: str,
        make_client: "Callable[[], pubsub_v1.PublisherClient]" = _default_client,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Take the topic's project and name.

        Args:
            project: Google Cloud project.
            topic: the topic's name within it.
            make_client: returns a client; by default with Application Default Credentials, or
                of the emulator that `PUBSUB_EMULATOR_HOST` names.
            patience_s: how long one message may be tried, seconds.
        """
        self._topic = f"projects/{project}/topics/{topic}"
        self._make_client = make_client
        self._patience_s = patience_s

    def publish(self, message: WakeUp) -> None:
        """Publish; returns when the topic has it.

        Raises:
            UnavailableError: no answer in time; the message may have landed, twice is harmless.
            PermissionDeniedError: publishing is not allowed.
            InvalidInputError: there is no such topic.
        """
        # A push without data would be refused with 400 until it is a dead letter.
        data = encode_wake_up(message)
        attributes = {"kind": message.kind.value}
        if message.job_id is not None:
            attributes["job_id"] = message.job_id
        with mapped(
            f"publish to {self._topic}",
            grant="roles/pubsub.publisher on the topic",
            mend="Create the topic, or name the right one in SMARTSCHEDULER_TOPIC.",
        ):
            future = self._client.publish(
                self._topic,
                data,
                retry=patient(self._patience_s),
                timeout=each_attempt(),
                **attributes,
            )
            # The client's own patience ends first; this one holds if its thread is stuck.
            future.result(timeout=self._patience_s + ATTEMPT_S)

    @cached_property
    def _client(self) -> "pubsub_v1.PublisherClient":
        return self._make_client()
