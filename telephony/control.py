"""What the client can ask the Call Manager for; ``Client`` inherits it."""

from __future__ import annotations

from typing import Any, Iterable, Mapping

from telephony.call import Call
from telephony.config import Options
from telephony.errors import InvalidArgumentError
from telephony.protocol import commands
from telephony.protocol.commands import checked_seconds, checked_text, checked_word
from telephony.protocol.session import Session
from telephony.protocol.states import ConnectionState
from telephony.runtime.connection import Connection


class CallControl:
    """The commands, as methods.

    All of them block until the CM's response, at most ``command_timeout`` seconds (the one
    given, else the client's). They raise ``InvalidArgumentError`` before anything is sent,
    ``NotSentError`` if nothing was, ``CommandRefusedError`` if the CM says no, and
    ``OutcomeUnknownError`` if no answer came. Nothing is ever sent twice.

    ``call_id`` may be a ``Call`` too. ``app_id`` is needed by a client made for MULTI where
    the call is not one it knows: it is sent as given, else as the call's, else the client's.
    """

    options: Options
    _session: Session[Call]
    _connection: Connection[Call]

    def _check_process(self) -> None:
        """Raise ``ForkedClientError`` in a child of the process that the client connected in."""
        self._connection.check_process()

    def call(self, call_id: str) -> Call | None:
        """The tracked call with this id, or None; blocks for nothing.

        Raises ``ForkedClientError`` in a child process.
        """
        self._connection.check_process()
        with self._connection.lock:
            return self._session.calls.get(call_id)

    def dial(
        self,
        *,
        to: str,
        from_: str,
        channel: str,
        uid: str | int,
        token: str | None = None,
        region: str,
        timeout: float | str | None = None,
        sip: str | None = None,
        sip_domain: str | None = None,
        app_id: str | None = None,
        video: bool = False,
        sdk_options: str | Mapping[str, Any] | None = None,
        audio_scenario: str | int | None = None,
        prompt: str | None = None,
        webhook_url: str | None = None,
        command_timeout: float | None = None,
    ) -> Call:
        """Place a call from *from_* to *to* and join its audio to *channel* as *uid*.

        *to* may carry digits to send after the answer (``+1555…;dtmf=1234#``). *token* is the
        RTC token for channel and uid (else the ``token_provider`` is asked). *region* is an
        area code such as ``AREA_CODE_NA``. *timeout* is how long it may ring, in seconds (None:
        the CM's default). *sip* is a trunk's URI, which may hold credentials, *sip_domain* its
        domain. *app_id*: for a MULTI client. *video*: with video too. *sdk_options*: JSON, or a
        dict. *audio_scenario*: ``"0"`` people (the default), ``"10"`` AI agents. *prompt* and
        *webhook_url* are passed on.

        Blocks until the CM answers, which may be only when the callee picks up: at most
        *command_timeout* seconds, else the client's ``dial_timeout``. Returns the call (ended,
        if it ended meanwhile). Raises ``DialFailedError`` if it was refused, an
        ``OutcomeUnknownError`` whose ``.call`` is the handle of what may be a call (see
        ``orphan_policy`` for what becomes of it), a ``NotSentError``, or
        ``InvalidArgumentError``. Never sent twice.
        """
        seconds = self._seconds(command_timeout, self.options.dial_timeout)
        app = self._app_id(app_id, None, needed=True)
        command = commands.Dial(
            to=to,
            from_=from_,
            channel=channel,
            uid=uid,
            token=self._token(token, channel, uid, app),
            region=region,
            timeout=timeout,
            sip=sip,
            sip_domain=sip_domain,
            app_id=app,
            video=video,
            sdk_options=sdk_options,
            audio_scenario=audio_scenario,
            prompt=prompt,
            webhook_url=webhook_url,
        )
        _, call = self._connection.execute(command, None, seconds)
        assert call is not None
        return call

    def accept(
        self,
        call_id: str | Call,
        *,
        token: str | None = None,
        channel: str,
        uid: str | int,
        app_id: str | None = None,
        webhook_url: str | None = None,
        sdk_options: str | Mapping[str, Any] | None = None,
        audio_scenario: str | int | None = None,
        video: bool = False,
        command_timeout: float | None = None,
    ) -> None:
        """Answer an incoming call and join its audio to *channel* as *uid*.

        See ``dial`` for the arguments. The gateway holds the call for about 15 s. Blocks until
        the CM answers, at most *command_timeout* seconds. Raises ``CallNotFoundError`` or another
        ``CommandRefusedError`` when it is too late or another client was first, and what every
        command may raise.
        """
        name, call = self._resolve(call_id)
        app = self._app_id(app_id, call, needed=True)
        command = commands.Accept(
            call_id=name,
            token=self._token(token, channel, uid, app),
            channel=channel,
            uid=uid,
            app_id=app,
            webhook_url=webhook_url,
            sdk_options=sdk_options,
            audio_scenario=audio_scenario,
            video=video,
        )
        self._claim(call)
        self._execute(command, call, command_timeout)

    def reject(
        self,
        call_id: str | Call,
        reason: str = "",
        *,
        app_id: str | None = None,
        command_timeout: float | None = None,
    ) -> None:
        """Refuse an incoming call; its gateway answers the caller 404.

        *reason* is sent with it. Blocks until the CM answers, at most *command_timeout* seconds.
        Raises ``CallNotFoundError`` when the call has gone, and what every command may raise.
        """
        name, call = self._resolve(call_id)
        app = self._app_id(app_id, call)
        command = commands.Reject(call_id=name, app_id=app, reason=reason)
        self._claim(call)
        self._execute(command, call, command_timeout)

    def hangup(
        self,
        call_id: str | Call,
        *,
        direction: str | None = None,
        app_id: str | None = None,
        command_timeout: float | None = None,
    ) -> None:
        """End a call: ``endcall`` on the wire for those that were dialled, else ``hangup``.

        A call this client does not know can be given its *direction* (``inbound``,
        ``outbound`` or ``outbound_sip``). When the CM took it the call is over at once; its
        ``hangup_cause`` and ``billsec`` come with the ``CallHangup`` event.

        Blocks until the CM answers, at most *command_timeout* seconds. Raises
        ``CallNotFoundError`` when the call has ended, and what every command may raise.
        """
        if direction not in (None, "inbound", "outbound", "outbound_sip"):
            raise InvalidArgumentError(
                f"direction must be inbound, outbound or outbound_sip, not {direction!r}"
            )
        name, call = self._resolve(call_id)
        command = self._hang_up(call or name, direction, app_id)
        self._execute(command, call, command_timeout)

    def _hang_up(
        self, call: Call | str, direction: str | None = None, app_id: str | None = None
    ) -> commands.CallCommand:
        if isinstance(call, Call):
            app = self._app_id(app_id, call)
            return commands.hang_up(call.call_id, direction or call.direction, app)
        return commands.hang_up(call, direction or "", self._app_id(app_id, None))

    def send_dtmf(
        self,
        call_id: str | Call,
        digits: str,
        *,
        app_id: str | None = None,
        command_timeout: float | None = None,
    ) -> None:
        """Send *digits* (``0-9 * #``) to the far end.

        The CM echoes them as ``DtmfReceived`` events with ``echo`` true. Blocks until the CM
        answers, at most *command_timeout* seconds, and not until they were heard. Raises
        ``CallNotFoundError`` when the call has ended, and what every command may raise.
        """
        name, call = self._resolve(call_id)
        app = self._app_id(app_id, call)
        command = commands.SendDtmf(call_id=name, app_id=app, digits=digits)
        self._execute(command, call, command_timeout)

    def bridge(
        self,
        call_id: str | Call,
        *,
        token: str | None = None,
        channel: str,
        uid: str | int,
        app_id: str | None = None,
        sdk_options: str | Mapping[str, Any] | None = None,
        audio_scenario: str | int | None = None,
        video: bool = False,
        command_timeout: float | None = None,
    ) -> None:
        """Join the call's audio to *channel* as *uid*; see ``dial`` for the arguments.

        Blocks until the CM answers, at most *command_timeout* seconds; ``wait_bridged`` of the
        call waits until it is there. Raises ``CallNotFoundError`` when the call has ended, and what
        every command may raise.
        """
        name, call = self._resolve(call_id)
        app = self._app_id(app_id, call, needed=True)
        command = commands.Bridge(
            call_id=name,
            token=self._token(token, channel, uid, app),
            channel=channel,
            uid=uid,
            app_id=app,
            sdk_options=sdk_options,
            audio_scenario=audio_scenario,
            video=video,
        )
        self._execute(command, call, command_timeout)

    def unbridge(
        self,
        call_id: str | Call,
        *,
        app_id: str | None = None,
        command_timeout: float | None = None,
    ) -> None:
        """Take the call's audio out of its channel; the SIP leg stays up.

        Blocks until the CM answers, at most *command_timeout* seconds. Raises
        ``CallNotFoundError`` when the call has ended, and what every command may raise.
        """
        name, call = self._resolve(call_id)
        command = commands.Unbridge(call_id=name, app_id=self._app_id(app_id, call))
        self._execute(command, call, command_timeout)

    def rebridge(
        self,
        call_id: str | Call,
        *,
        token: str | None = None,
        channel: str,
        uid: str | int,
        app_id: str | None = None,
        sdk_options: str | Mapping[str, Any] | None = None,
        audio_scenario: str | int | None = None,
        current_channel: str | None = None,
        current_uid: str | int | None = None,
        command_timeout: float | None = None,
    ) -> None:
        """Move the call's audio from the channel it is in to another one.

        Where it is now comes from the call; for a call this client does not know, pass
        *current_channel* and *current_uid*. See ``dial`` for the other arguments.

        Blocks until the CM answers, at most *command_timeout* seconds. Raises
        ``CommandRefusedError`` when the call is not where it was thought to be, or cannot join
        the new channel (``BridgeFailed`` follows: it is in none then), ``CallNotFoundError`` when
        it has ended, and what every command may raise.
        """
        name, call = self._resolve(call_id)
        app = self._app_id(app_id, call)
        if call is not None:
            current_channel = call.channel if current_channel is None else current_channel
            current_uid = call.uid if current_uid is None else current_uid
        if current_channel in (None, "") or current_uid in (None, ""):
            raise InvalidArgumentError(
                "current_channel and current_uid are needed: it is not known where the call is"
            )
        command = commands.Rebridge(
            call_id=name,
            token=self._token(token, channel, uid, app),
            channel=channel,
            uid=uid,
            app_id=app,
            sdk_options=sdk_options,
            audio_scenario=audio_scenario,
            current_channel=current_channel,
            current_uid=current_uid,
        )
        self._execute(command, call, command_timeout)

    def transfer(
        self,
        call_id: str | Call,
        destination: str,
        leg: str | None = None,
        *,
        app_id: str | None = None,
        command_timeout: float | None = None,
    ) -> None:
        """Hand a leg of the call (``A`` or ``B``; None: the CM's default) to *destination*.

        On the SIP side that is a REFER. Blocks until the CM answers, at most *command_timeout*
        seconds, and not until anybody has picked up there. Raises ``CallNotFoundError`` when the
        call has ended, and what every command may raise.
        """
        name, call = self._resolve(call_id)
        app = self._app_id(app_id, call)
        command = commands.Transfer(call_id=name, app_id=app, destination=destination, leg=leg)
        self._execute(command, call, command_timeout)

    def subscribe(
        self, numbers: Iterable[str], *, command_timeout: float | None = None
    ) -> None:
        """Be offered calls for these DIDs from now on, and no others; ``[]``: for all.

        Before the first connect they are kept for the registration. Later the list is kept,
        and registered again after a reconnect, once the CM took it. Blocks until the CM answers,
        at most *command_timeout* seconds. Raises what every command may raise.
        """
        command = commands.Subscribe(numbers=numbers)
        seconds = self._seconds(command_timeout, self.options.command_timeout)
        self._connection.check_process()
        with self._connection.lock:
            if self._connection.state is ConnectionState.IDLE:
                self._session.subscriptions = command.numbers
                return
        self._connection.execute(command, None, seconds)

    def command(
        self, action: str, *, command_timeout: float | None = None, **fields: Any
    ) -> dict[str, Any]:
        """Send any other command with these fields as they are; returns the whole response.

        *action* and *fields* are the wire's words. With the ``callid`` of a tracked call it carries
        the call's ``appid`` too, unless given. Blocks until the CM answers, at most
        *command_timeout* seconds. Raises ``CallNotFoundError`` when the CM does not know the call,
        and what every command may raise.
        """
        for name in ("action", "request_id"):
            if name in fields:
                raise InvalidArgumentError(f"{name} is set by the library")
        call_id = fields.get("callid")
        call = self.call(call_id) if isinstance(call_id, str) else None
        if call is not None and call.app_id:
            fields.setdefault("appid", call.app_id)
        command = commands.OtherCommand(action=action, fields=fields)
        return self._execute(command, None, command_timeout)

    def _execute(
        self, command: commands.Command, call: Call | None, command_timeout: float | None
    ) -> dict[str, Any]:
        seconds = self._seconds(command_timeout, self.options.command_timeout)
        response, _ = self._connection.execute(command, call, seconds)
        return response

    @staticmethod
    def _seconds(given: float | None, default: float) -> float:
        return default if given is None else checked_seconds("command_timeout", given)

    def _resolve(self, call_id: str | Call) -> tuple[str, Call | None]:
        """The id to send and the call it is of, if that is known."""
        if isinstance(call_id, Call):
            if not call_id.call_id:
                raise InvalidArgumentError(
                    "call_id is not known: the CM has not told the id of this call"
                )
            return call_id.call_id, call_id
        return checked_text("call_id", call_id), self.call(call_id)

    def _app_id(self, given: str | None, call: Call | None, *, needed: bool = False) -> str | None:
        if given is not None:
            checked_text("app_id", given)
        return self._session.app_id_for(given, call, needed=needed)

    def _token(
        self, given: str | None, channel: str, uid: str | int, app_id: str | None
    ) -> str:
        """The RTC token: the one given, else the provider's."""
        if given is not None:
            return checked_text("token", given)
        provider = self.options.token_provider
        if provider is None:
            raise InvalidArgumentError("token is needed: the client has no token_provider")
        token = provider(checked_text("channel", channel), checked_word("uid", uid), app_id)
        if not isinstance(token, str) or not token:
            raise InvalidArgumentError("token is needed: the token_provider returned none")
        return token

    @staticmethod
    def _claim(call: Call | None) -> None:
        if call is not None:
            call._claimed = True
