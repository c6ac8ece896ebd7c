"""Live views of figures, which are computed when they are asked for: queue metrics and rate limits."""

from collections.abc import Mapping

from filaviva.errors import InvalidRequest
from filaviva.live.callback import OnChange
from filaviva.live.context import LiveContext
from filaviva.live.polled import PolledView
from filaviva.models import RateLimitStatus, from_row
from filaviva.operator_models import QueueMetrics
from filaviva.rpc import Row


class LiveQueueMetrics(PolledView[list[QueueMetrics]]):
    """The metrics of one queue or of all; for operators. Made by `FilaViva.queue_metrics`.

    The properties say it in one number each, over all queues of the view; all are 0 before the first answer.
    """

    def __init__(
        self,
        context: LiveContext,
        queue: str | None,
        refresh_interval: float,
        on_change: OnChange[list[QueueMetrics]] | None = None,
    ) -> None:
        async def fetch() -> list[QueueMetrics]:
            return [from_row(QueueMetrics, row) for row in await context.rpc.queue_metrics(queue)]

        super().__init__(context, fetch, refresh_interval, on_change)

    @property
    def queue_size(self) -> int:
        """Jobs that wait."""
        return sum(each.size for each in self._known)

    @property
    def processing_rate(self) -> float:
        """Jobs that ended a minute, over the last 5 minutes."""
        return sum(each.processing_rate for each in self._known)

    @property
    def error_rate(self) -> float:
        """Percent of them that ended badly; each queue counts by its processing rate."""
        return self._by_rate([each.error_rate for each in self._known])

    @property
    def queue_trend(self) -> int:
        """Growth of `queue_size` over 5 minutes; a queue without an older sample counts as unchanged."""
        return sum(each.queue_trend or 0 for each in self._known)

    @property
    def processing_trend(self) -> float:
        """Growth of `processing_rate` against the 5 minutes before."""
        return sum(each.processing_trend for each in self._known)

    @property
    def error_trend(self) -> float:
        """Growth of `error_rate` in percentage points; each queue counts by its processing rate."""
        return self._by_rate([each.error_trend for each in self._known])

    @property
    def _known(self) -> list[QueueMetrics]:
        return self.current if self.has_value else []

    def _by_rate(self, values: list[float]) -> float:
        rate = self.processing_rate
        weighted = (value * each.processing_rate for value, each in zip(values, self._known, strict=True))
        return sum(weighted) / rate if rate else 0.0


class LiveRateLimits(PolledView[Mapping[str, RateLimitStatus]]):
    """How the caller stands under rate limits, by the limiter's name. Made by `FilaViva.rate_limits`."""

    def __init__(
        self,
        context: LiveContext,
        keys: Mapping[str, str] | None,
        refresh_interval: float,
        on_change: OnChange[Mapping[str, RateLimitStatus]] | None = None,
    ) -> None:
        if keys is None and context.user_id is None:
            raise InvalidRequest(
                "keys: whose limits? There is no signed-in user.",
                code="invalid_field",
                hint="Sign in, or name each limiter with a key, such as {'instance': '<id>'}.",
            )

        async def fetch() -> Mapping[str, RateLimitStatus]:
            return await (self._own() if keys is None else self._of(keys))

        super().__init__(context, fetch, refresh_interval, on_change)

    async def _own(self) -> Mapping[str, RateLimitStatus]:
        """The user's limits; a limit on an account has the rest of its key, such as the platform, after a colon."""
        rows = await self._context.rpc.my_rate_limits()
        return {self._name(row): from_row(RateLimitStatus, row) for row in rows}

    def _name(self, row: Row) -> str:
        rest = str(row["key"]).removeprefix(f"{self._context.user_id}").removeprefix(":")
        return f"{row['limiter']}:{rest}" if rest else str(row["limiter"])

    async def _of(self, keys: Mapping[str, str]) -> Mapping[str, RateLimitStatus]:
        return {
            limiter: from_row(RateLimitStatus, await self._context.rpc.rate_limit_status(limiter, key))
            for limiter, key in keys.items()
        }
