# SPDX-License-Identifier: GPL-2.0-or-later
"""A D-Bus message bus of our own, on which OBS tells what its windows hold (AT-SPI, accessibility)."""

import contextlib
import os
import secrets
from pathlib import Path
from typing import Any

from jeepney import DBusAddress, new_method_call
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import open_dbus_connection
from jeepney.low_level import MessageType
from jeepney.wrappers import DBusErrorResponse, unwrap_msg

from .processes import Child, HarnessError, wait_for

CALL_TIMEOUT_S = 30.0
# What is no service at all is told from one that is busy by the time it takes to answer.
_PROBE_TIMEOUT_S = 1.0
_START_TIMEOUT_S = 30.0
# Without service files: whatever else OBS looks for (portals, notifications) it is told at once that it is not there.
_CONFIGURATION = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>{address}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""


class GoneError(HarnessError):
    """The object that was called is not there any more."""


class Bus:
    """A dbus-daemon, started with its files in ``folder``, and our connection to it."""

    def __init__(self, folder: Path) -> None:
        # An abstract address leaves no file behind, however the process ends.
        self.address = f"unix:abstract=obs-harness-{secrets.token_hex(8)}"
        configuration, output = folder / "bus.xml", folder / "bus.log"
        configuration.write_text(_CONFIGURATION.format(address=self.address))
        command = ["dbus-daemon", "--nofork", "--nopidfile", f"--config-file={configuration}"]
        try:
            self._daemon = Child(command, os.environ, output)
        except FileNotFoundError as error:
            raise HarnessError("dbus-daemon is not installed (Debian and Ubuntu: apt install dbus)") from error
        try:
            self._connection = wait_for(
                "dbus-daemon", self._connect, _START_TIMEOUT_S, lambda: output.read_text(errors="replace")[-2000:]
            )
        except HarnessError:
            self._daemon.kill()
            raise

    def close(self) -> None:
        """End the bus."""
        self._connection.close()
        self._daemon.kill()

    def call(
        self,
        name: str,
        path: str,
        interface: str,
        method: str,
        signature: str = "",
        arguments: tuple[Any, ...] = (),
        timeout_s: float = CALL_TIMEOUT_S,
    ) -> tuple[Any, ...]:
        """What a method of an object answers. GoneError: there is no such object; HarnessError: no answer in time."""
        message = new_method_call(DBusAddress(path, name, interface), method, signature or None, arguments)
        return self._ask(message, timeout_s)

    def get(self, name: str, path: str, interface: str, key: str) -> Any:
        """A property of an object; errors as with ``call``."""
        value = self.call(name, path, "org.freedesktop.DBus.Properties", "Get", "ss", (interface, key))
        return value[0][1]

    def find_service(self, pid: int, path: str, interface: str, method: str) -> str | None:
        """The name of that connection of a process which knows ``method`` of ``path``; None when none does, yet."""
        for name in self._ask(message_bus.ListNames())[0]:
            with contextlib.suppress(HarnessError):  # ended meanwhile, or a connection that serves nothing
                if name.startswith(":") and self._ask(message_bus.GetConnectionUnixProcessID(name))[0] == pid:
                    self.call(name, path, interface, method, timeout_s=_PROBE_TIMEOUT_S)
                    return str(name)
        return None

    def _connect(self) -> Any:
        if self._daemon.poll() is not None:
            raise HarnessError(f"dbus-daemon ended with code {self._daemon.poll()}")
        try:
            return open_dbus_connection(self.address)
        except OSError:  # it does not listen yet, or took longer than two seconds to let us in
            return None

    def _ask(self, message: Any, timeout_s: float = CALL_TIMEOUT_S) -> tuple[Any, ...]:
        try:
            reply = self._connection.send_and_get_reply(message, timeout=timeout_s)
        except TimeoutError as error:
            raise HarnessError(f"no answer within {timeout_s:g} s on the message bus") from error
        if reply.header.message_type is MessageType.error:
            raise GoneError(str(DBusErrorResponse(reply)))
        return tuple(unwrap_msg(reply))
