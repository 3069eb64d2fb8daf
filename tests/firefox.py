"""An installed Firefox, driven by WebDriver BiDi (w3c.github.io/webdriver-bidi), which it speaks by itself."""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path
from typing import Any

ALONE = {"network.proxy.type": 1, "network.proxy.http": "127.0.0.1", "network.proxy.http_port": 9}  # nothing answers there
WAIT_S = 60


class Firefox:
    """One window; ``folder`` becomes its profile. ``said`` is what pages write on the console, ``asked`` what they ask for."""

    def __init__(self, program: str, folder: Path) -> None:
        from websockets.sync.client import connect

        (folder / "user.js").write_text("".join(f"user_pref({json.dumps(key)}, {json.dumps(ALONE[key])});\n" for key in ALONE))
        command = [program, "--headless", "--remote-debugging-port=0", "--no-remote", "--profile", str(folder)]
        log, found, late = folder / "log.txt", None, time.monotonic() + WAIT_S
        with log.open("w") as file:
            self.process = subprocess.Popen(command, stderr=file, stdout=subprocess.DEVNULL)
        while not (found := re.search(r"BiDi listening on (ws://\S+)\n", log.read_text())):
            assert time.monotonic() < late, log.read_text()
            time.sleep(0.05)
        self.said: list[str] = []
        self.asked: list[str] = []
        self._socket, self._number = connect(f"{found[1]}/session", max_size=None, proxy=None), 0
        self.send("session.new", capabilities={})
        self.send("session.subscribe", events=["log.entryAdded", "network.beforeRequestSent"])
        self.context = self.send("browsingContext.getTree")["contexts"][0]["context"]

    def send(self, method: str, **params: Any) -> Any:
        """The result of a command; events that come before it are kept."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(timeout=WAIT_S))
            if message.get("method") == "log.entryAdded":
                self.said.append(str(message["params"]["text"]))
            elif message.get("method") == "network.beforeRequestSent":
                self.asked.append(message["params"]["request"]["url"])
            elif message.get("id") == self._number:
                assert message["type"] == "success", message
                return message["result"]

    def open(self, path: Path) -> None:
        self.send("browsingContext.navigate", context=self.context, url=path.as_uri(), wait="complete")

    def run(self, script: str) -> Any:
        """The value of an expression in the page: a number or a text."""
        found = self.send("script.evaluate", expression=script, target={"context": self.context}, awaitPromise=True)
        assert found["type"] == "success", found
        return found["result"].get("value")

    def press(self, key: str) -> None:
        steps = [{"type": kind, "value": key} for kind in ("keyDown", "keyUp")]
        self.send("input.performActions", context=self.context, actions=[{"type": "key", "id": "keys", "actions": steps}])

    def drag(self, *points: tuple[int, int]) -> None:
        """Press the button at the first of these points of the window, and let go at the last; one alone is a click."""
        move, *more = [{"type": "pointerMove", "x": x, "y": y} for x, y in points]
        steps = [move, {"type": "pointerDown", "button": 0}, *more, {"type": "pointerUp", "button": 0}]
        self.send("input.performActions", context=self.context, actions=[{"type": "pointer", "id": "mouse", "actions": steps}])

    def close(self) -> None:
        self._socket.close()
        self.process.kill()
        self.process.wait()
