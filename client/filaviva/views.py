"""The live views that a client opens."""

from collections.abc import AsyncGenerator, Iterable, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from filaviva.errors import InvalidRequest
from filaviva.filters import check_filter, check_id
from filaviva.live.callback import OnChange
from filaviva.live.context import LiveContext
from filaviva.live.conversation import ConversationState, LiveConversation
from filaviva.live.figures import LiveQueueMetrics, LiveRateLimits
from filaviva.live.jobs import LiveJobs, select_jobs, watch_job
from filaviva.live.polled import PolledView
from filaviva.live.presence import LivePresence, PresenceState
from filaviva.live.publications import PUBLICATION_KIND, LivePublications, PublicationStatus
from filaviva.models import Job, JobStatus, RateLimitStatus
from filaviva.operator_models import QueueMetrics
from filaviva.realtime.metrics import ConnectionMetrics

_A_YEAR_IN_MINUTES = 525_600


class Views:
    """A client's views; all of them share its connection. A base of `FilaViva`."""

    _live: LiveContext

    def watch(self, job_id: UUID | str) -> AsyncGenerator[Job, None]:
        """Follow a job: its state now, then every newer one, until it ends.

        What is yielded never goes backwards, and the final status is never missed: without a socket
        the job is polled. Leaving the loop leaves the channel; to do so at an exact moment, wrap the
        watch in `contextlib.aclosing`.

        Raises:
            NotFound: there is no such job that you may see, or it was deleted meanwhile.
            NotSignedIn: the access token is no longer accepted.
            InvalidRequest: the URL is not that of a Supabase project.
        """
        return watch_job(self._live, check_id(job_id))

    def live_jobs(
        self,
        *,
        queue: str | None = None,
        kind: str | None = None,
        status: JobStatus | str | Iterable[JobStatus | str] | None = None,
        job_ids: Iterable[UUID | str] | None = None,
        company_id: UUID | str | None = None,
        everyone: bool = False,
        limit: int = 100,
        on_change: OnChange[list[Job]] | None = None,
    ) -> LiveJobs:
        """A live list of jobs, the newest (by order of enqueue) first::

            async with fila.live_jobs(status=["pending", "processing"]) as view:
                async for jobs in view:
                    show(jobs)

        Whose jobs: those of the signed-in user; with `company_id` those of that company; with `everyone` (for operators
        and the service key) all of a `queue`; with `job_ids` exactly those, as far as they may be seen, and then no
        other argument counts.

        Args:
            queue: only those of this queue.
            kind: only those of this kind.
            status: only those in this status, or in one of several.
            job_ids: these jobs, up to 10,000.
            company_id: those of this company.
            everyone: those of all owners; `queue` must be given.
            limit: the newest so many, up to 10,000; when one leaves the list, the next older one is read and takes its
                place.
            on_change: called with each new list, as `filaviva.live.callback.Callback` says.

        Raises:
            InvalidRequest: an argument is wrong, or nothing says whose jobs are meant.
        """
        ids = None if job_ids is None else list(job_ids)
        checked = check_filter({"queue": queue, "kind": kind, "ids": ids, "company_id": company_id})
        selection = select_jobs(self._live, checked, status=status, everyone=everyone, limit=limit)
        return LiveJobs(self._live, selection, on_change)

    def publication_status(
        self,
        job_ids: Iterable[UUID | str] | None = None,
        *,
        auto_fetch: bool = True,
        tracking_duration_minutes: float = 10,
        on_change: OnChange[PublicationStatus] | None = None,
    ) -> LivePublications:
        """The signed-in user's publications, live: the jobs, and the status of each platform::

            async with fila.publication_status(job_ids) as view:
                async for status in view:
                    print(status.completed_jobs, "of", status.total_jobs, status.status_by_platform)

        Args:
            job_ids: these jobs, for as long as the view is open. Without them: the user's newest 200 publications that
                are not over, or were enqueued within the last `tracking_duration_minutes`.
            auto_fetch: False: the view asks for nothing until its `fetch()` is called.
            tracking_duration_minutes: how long after its enqueue a publication that is over is shown: more than 0, and
                at most a year.
            on_change: called with each new state, as `filaviva.live.callback.Callback` says.

        Raises:
            InvalidRequest: an argument is wrong, or nobody is signed in and no jobs are named.
        """
        if not 0 < tracking_duration_minutes <= _A_YEAR_IN_MINUTES:
            raise InvalidRequest(
                "tracking_duration_minutes: expected more than 0 and at most a year, found"
                f" {tracking_duration_minutes!r}.",
                code="invalid_field",
                hint="Leave it out for 10 minutes.",
            )
        ids = None if job_ids is None else list(job_ids)
        wanted = {"ids": ids} if ids is not None else {"kind": PUBLICATION_KIND}
        selection = select_jobs(self._live, check_filter(wanted), limit=200)
        tracking = timedelta(minutes=tracking_duration_minutes) if ids is None else None
        return LivePublications(self._live, selection, tracking, auto_fetch=auto_fetch, on_change=on_change)

    def presence(
        self, company_id: UUID | str, *, name: str | None = None, on_change: OnChange[PresenceState] | None = None
    ) -> LivePresence:
        """Who is online in a company that the signed-in user belongs to, live::

            async with fila.presence(company_id, name="Ana") as view:
                await view.go_online()
                async for state in view:
                    print(state.online_users)

        Args:
            company_id: the company.
            name: shown to the others with the presence and while typing.
            on_change: called with each new state, as `filaviva.live.callback.Callback` says.

        Raises:
            InvalidRequest: `company_id` is no uuid.
        """
        return LivePresence(self._live, check_id(company_id, "company_id"), name=name, on_change=on_change)

    def conversation(
        self,
        conversation_id: UUID | str,
        *,
        name: str | None = None,
        on_message: OnChange[Mapping[str, Any]] | None = None,
        on_change: OnChange[ConversationState] | None = None,
    ) -> LiveConversation:
        """Who is typing in a conversation, live, and what the others notify of.

        Args:
            conversation_id: the conversation.
            name: shown to the others while typing.
            on_message: called with what another client hands to `notify_new_message`.
            on_change: called with each new state; both as `filaviva.live.callback.Callback` says.

        Raises:
            InvalidRequest: `conversation_id` is no uuid.
        """
        checked = check_id(conversation_id, "conversation_id")
        return LiveConversation(self._live, checked, name=name, on_message=on_message, on_change=on_change)

    def queue_metrics(
        self,
        queue: str | None = None,
        refresh_interval: float = 10.0,
        on_change: OnChange[list[QueueMetrics]] | None = None,
    ) -> LiveQueueMetrics:
        """Size, rate, error rate and trends of a queue, or of all, every `refresh_interval` seconds; for operators."""
        return LiveQueueMetrics(self._live, queue, refresh_interval, on_change)

    def rate_limits(
        self,
        keys: Mapping[str, str] | None = None,
        refresh_interval: float = 5.0,
        on_change: OnChange[Mapping[str, RateLimitStatus]] | None = None,
    ) -> LiveRateLimits:
        """How the caller stands under rate limits, by the limiter's name, every `refresh_interval` seconds.

        Args:
            keys: for each limiter the key that is meant, such as the id of an instance. Default: the limits on the
                signed-in user, such as ``api``, and on the accounts they have connected, such as
                ``account_posts:instagram``.
            refresh_interval: seconds between two looks.
            on_change: called with each new state, as `filaviva.live.callback.Callback` says.

        Raises:
            InvalidRequest: nobody is signed in and no keys are named.
        """
        return LiveRateLimits(self._live, keys, refresh_interval, on_change)

    def connection_metrics(
        self, refresh_interval: float = 10.0, on_change: OnChange[ConnectionMetrics] | None = None
    ) -> PolledView[ConnectionMetrics]:
        """How this client's live connection does, every `refresh_interval` seconds. Looking opens no connection."""

        async def look() -> ConnectionMetrics:
            return self._live.connection.meter.snapshot()

        return PolledView(self._live, look, refresh_interval, on_change)
