"""What is asked of Vespa's config server: what is active, and to make something else active. Without I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from lateint import errors
from lateint.engine import doors
from lateint_vespa import package
from lateint_vespa.answers import Answer
from lateint_vespa.application import Application, schema_in
from lateint_vespa.calls import Call, Door, Steps, Together
from lateint_vespa.errors import Refused, said
from lateint_vespa.schema import ENGINE

TENANT = "/application/v2/tenant/default"
APPLICATION = f"{TENANT}/application/default/environment/prod/region/default/instance/default"

_CHANGE_S = 60.0
"""Seconds that preparing and activating may take at least, whatever the time for other calls."""

_LOOKS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigServer:
    """The config server of an application.

    Attributes:
        place: where it is, to show.
        timeout_s: seconds for one call.
    """

    place: str
    timeout_s: float

    def generation(self) -> Steps[int | None]:
        """Of the active application; None if nothing was deployed.

        Raises:
            ConnectionFailed: it cannot be reached.
            UnexpectedResponse: it is no config server.
        """
        answer = yield from self._asked("GET", APPLICATION)
        told = _told(answer)
        if answer.status == 404 and "error-code" in told:
            return None
        if (answer.status == 200 and "generation" not in told) or answer.status in {400, 404, 405}:
            raise self._strange(f"asked for the active application, it says {said(answer.body)!r:.120}")
        checked(answer)
        return int(told["generation"])

    def application(self) -> Steps[Application | None]:
        """What is active, as of one moment; None if nothing was deployed.

        Raises:
            Timeout: others deploy again and again.
        """
        for _ in range(_LOOKS):
            generation = yield from self.generation()
            if generation is None:
                return None
            files = yield from self._files()
            if (yield from self.generation()) == generation:
                if files is None:
                    raise self._strange("it does not give the files that it lists")
                return Application(generation=generation, files=files)
        raise errors.Timeout(
            f"whenever the active application was read, another one was active: {_LOOKS} times.",
            hint="Try again when those who deploy are done.",
        )

    def file(self, path: str, query: str = "") -> Steps[Answer | None]:
        """A file of the active application, or the addresses of those in a folder; None if there is none."""
        answer = yield from self._asked("GET", f"{APPLICATION}/content/{quote(path)}{query}")
        return None if answer.status == 404 else checked(answer)

    def late(self, generation: int) -> Steps[list[str]]:
        """Services that do not have a generation, nor a later one, in words; nothing if all have."""
        state = _json(checked((yield from self._asked("GET", f"{APPLICATION}/serviceconverge"))))
        if int(state.get("currentGeneration", -1)) >= generation:
            return []
        return [
            f"{each.get('type')} at {each.get('host')}:{each.get('port')} has {each.get('currentGeneration')}"
            for each in state.get("services", ())
            if int(each.get("currentGeneration", -1)) < generation
        ] or ["no service tells its own"]

    def activated(self, files: Mapping[str, str], *, over: int | None) -> Steps[int | None]:
        """Make an application active, unless another one than that of generation `over` is.

        Returns:
            Its generation; None if it was overtaken.

        Raises:
            SchemaMismatch: Vespa refuses it, or it would take more than a deployment.
        """
        created = yield from self._asked("POST", f"{TENANT}/session", package.zipped(files))
        session = int(_json(checked(created))["session-id"])
        prepared = yield from self._asked("PUT", f"{TENANT}/session/{session}/prepared")
        # What is refused for lack of a schema may have been made before somebody else added that.
        if (yield from self.generation()) != over:
            return None
        if prepared.status == 400:
            raise errors.SchemaMismatch(
                f"Vespa refuses to deploy that: {said(prepared.body)}", hint="Nothing was changed.", status=400
            )
        _check_actions(_json(checked(prepared)))
        try:
            activated = yield from self._asked("PUT", f"{TENANT}/session/{session}/active")
        except errors.BackendError as error:
            # The answer was lost: was the request, too?
            if error.retryable and (yield from self.generation()) == session:
                return session
            raise
        if activated.status == 409:
            return None
        checked(activated)
        return session

    def _files(self) -> Steps[dict[str, str] | None]:
        """See `Application.files`; None if one of them is gone."""
        services = yield from self.file(package.SERVICES)
        listing = yield from self.file("", "?recursive=true")
        if services is None or listing is None:
            return None
        paths = [unquote(str(url).partition("/content/")[2]) for url in _json(listing)]
        paths = [path for path in paths if path and not path.endswith("/") and not path.startswith(".")]
        if not package.is_ours(text(services)):
            paths = [path for path in paths if schema_in(path) is not None]
        replies = yield Together([self._call("GET", f"{APPLICATION}/content/{quote(path)}") for path in paths])
        files = {package.SERVICES: text(services)}
        for path, reply in zip(paths, replies, strict=True):
            if isinstance(reply, Exception):
                raise reply
            if reply.status == 404:
                return None
            files[path] = text(checked(reply))
        return files

    def _asked(self, method: str, target: str, body: bytes | None = None) -> Steps[Answer]:
        try:
            answer: Answer = yield self._call(method, target, body)
        except errors.ConnectionFailed as error:
            raise errors.ConnectionFailed(
                f"the config server at {self.place} cannot be asked: {doors.said(error)}.",
                hint="Indexes are created, listed and dropped through it: name its port in the URL, config_port=….",
                retryable=error.retryable,
            ) from error
        return answer

    def _call(self, method: str, target: str, body: bytes | None = None) -> Call:
        time_s = self.timeout_s if method == "GET" else max(self.timeout_s, _CHANGE_S)
        return Call(method, target, body, timeout_s=time_s, door=Door.CONFIG, content="application/zip")

    def _strange(self, what: str) -> errors.UnexpectedResponse:
        return errors.UnexpectedResponse(
            f"{self.place} is no config server that lateint knows: {what}.",
            hint="Name the port of the config server in the URL, config_port=….",
        )


def text(answer: Answer) -> str:
    """The file that came.

    Raises:
        UnsupportedFeature: it is not text.
    """
    try:
        return answer.body.decode()
    except UnicodeDecodeError as error:
        raise errors.UnsupportedFeature(
            "the active application has a file that is no text, which lateint cannot carry over.",
            backend=ENGINE,
            feature="binary files in an application",
            alternative="Deploy by hand, from what `lateint schema` writes.",
        ) from error


def _check_actions(prepared: Mapping[str, Any]) -> None:
    """Refuse what a deployment alone does not bring about.

    Raises:
        SchemaMismatch: in Vespa's own words.
    """
    told = [
        f"{kind}: {' '.join(message for each in found for message in each.get('messages', ()))}"
        for kind, found in (prepared.get("configChangeActions") or {}).items()
        if found
    ]
    if told:
        raise errors.SchemaMismatch(
            f"Vespa would want more than this deployment, {'; '.join(told):.1000}",
            hint="Nothing was changed. Deploy it by hand, from what `lateint schema` writes.",
        )


def checked(answer: Answer) -> Answer:
    """An answer that is no error.

    Raises:
        Refused: it is one, for the table of errors.
    """
    if answer.status != 200:
        raise Refused(answer.status, answer.body, headers=answer.headers)
    return answer


def _json(answer: Answer) -> Any:  # noqa: ANN401
    return json.loads(answer.body)


def _told(answer: Answer) -> Mapping[str, Any]:
    """The object in an answer that may be anybody's."""
    try:
        data = json.loads(answer.body)
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}
