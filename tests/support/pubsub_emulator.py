"""Google's own Pub/Sub emulator on loopback, where Java and the emulator's jar are."""

import base64
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from fake_gcs import free_port
from waiting import until

JAR_VARIABLE = "PUBSUB_EMULATOR_JAR"
"""Environment variable with the emulator's jar, where no gcloud on PATH has it."""
PROJECT = "projects/tests"


def find_jar() -> Path | None:
    """Return the emulator's jar, `None` where there is none."""
    named = os.environ.get(JAR_VARIABLE)
    if named:
        return Path(named)
    gcloud = shutil.which("gcloud")
    if gcloud is None:
        return None
    root = Path(gcloud).resolve().parents[1]
    jars = sorted(root.glob("platform/pubsub-emulator/lib/cloud-pubsub-emulator-*-all.jar"))
    return jars[-1] if jars else None


def why_not() -> str | None:
    """Return what is missing to run it here, `None` if nothing is."""
    if shutil.which("java") is None:
        return "Java is not installed, which Google's Pub/Sub emulator needs"
    if find_jar() is None:
        return (
            "Google's Pub/Sub emulator is not here: gcloud components install pubsub-emulator,"
            f" or name its jar in {JAR_VARIABLE}"
        )
    return None


class PubSubEmulator:
    """A running emulator, by its REST API."""

    def __init__(self, address: str) -> None:
        """Take `host:port`."""
        self.address = address
        self._session = requests.Session()
        self._session.trust_env = False

    def is_up(self) -> bool:
        """Whether it answers."""
        try:
            return self._session.get(f"http://{self.address}/", timeout=1).ok
        except requests.RequestException:
            return False

    def create_topic(self, name: str) -> None:
        """Make a topic."""
        self._call("PUT", f"topics/{name}", {})

    def subscribe(self, name: str, topic: str, **more: object) -> None:
        """Make a subscription; `more` holds further fields of the API's `Subscription`."""
        self._call("PUT", f"subscriptions/{name}", {"topic": f"{PROJECT}/topics/{topic}", **more})

    def publish(self, topic: str, data: bytes) -> None:
        """Publish whatever it is."""
        message = {"data": base64.b64encode(data).decode()}
        self._call("POST", f"topics/{topic}:publish", {"messages": [message]})

    def pull(self, subscription: str) -> list[dict[str, Any]]:
        """Return and acknowledge what waits there: data as bytes, and attributes."""
        path = f"subscriptions/{subscription}"
        body = {"maxMessages": 100, "returnImmediately": True}
        found = self._call("POST", f"{path}:pull", body).get("receivedMessages", [])
        if found:
            ids = [each["ackId"] for each in found]
            self._call("POST", f"{path}:acknowledge", {"ackIds": ids})
        return [
            {
                "data": base64.b64decode(each["message"].get("data", "")),
                "attributes": each["message"].get("attributes", {}),
            }
            for each in found
        ]

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _call(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        url = f"http://{self.address}/v1/{PROJECT}/{path}"
        answer = self._session.request(method, url, json=body, timeout=10)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found


@contextmanager
def running_emulator(folder: Path) -> Iterator[PubSubEmulator]:
    """Start it, wait until it answers, and end it."""
    port = free_port()
    java = ["java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-jar"]
    with (folder / "pubsub.log").open("w") as log:
        process = subprocess.Popen(  # noqa: S603 - Google's own
            [*java, str(find_jar()), "--host=127.0.0.1", f"--port={port}"],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        emulator = PubSubEmulator(f"127.0.0.1:{port}")
        try:
            until(emulator.is_up, timeout_s=60)
            yield emulator
        finally:
            emulator.close()
            process.terminate()
            process.wait(20)
