"""Notifications in JSON."""

from typing import TYPE_CHECKING

from pydantic import Field

from exporter.core.alerts.notification import NotificationState, next_try
from exporter.presentation.moments import rfc3339
from exporter.resources.model import NextCursor, ResponseModel, clean, when

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.core.alerts.notification import Hold
    from exporter.storage.delivery.notifications import Notification


class NotificationAnswer(ResponseModel):
    """One notification to one notifier, and its delivery."""

    id: int
    idempotency_key: str = Field(description="Idempotency key sent with every attempt.")
    notifier: str
    event: str = Field(description="TRIGGERED, REPEATED or RESOLVED.")
    state: NotificationState
    created_at: str
    attempts: int
    next_attempt_at: str | None = Field(description="Null if there is none.")
    held_until: str | None = Field(
        description="Time until which the receiver asked the notifier to wait; null if it does not wait."
    )
    failure: str | None = Field(description="Reason for the failure of the last attempt, such as `timeout`.")
    error: str | None = Field(description="Description of that failure.")
    ended_at: str | None

    @classmethod
    def of(cls, notification: "Notification", holds: "Mapping[str, Hold]") -> "NotificationAnswer":
        pending = notification.state is NotificationState.PENDING
        hold = holds.get(notification.notifier) if pending else None
        until = None if hold is None else hold.until
        next_attempt = next_try(notification.next_attempt_at, notification.expires_at, until)
        return cls(
            id=notification.id,
            idempotency_key=notification.key,
            notifier=clean(notification.notifier),
            event=notification.event,
            state=notification.state,
            created_at=rfc3339(notification.created_at),
            attempts=notification.attempts,
            next_attempt_at=when(next_attempt if pending else None),
            held_until=when(until),
            failure=notification.failure,
            error=None if notification.error is None else clean(notification.error),
            ended_at=when(notification.ended_at),
        )


class NotificationsAnswer(ResponseModel):
    """Newest first."""

    notifications: list[NotificationAnswer]
    next_cursor: NextCursor
