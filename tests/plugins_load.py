"""A user's load that never brings a request."""


class SilentLoad:
    max_concurrency = 1

    def start(self, num_requests: int) -> None:
        pass

    def due(self, now_s: float, num_finished: int) -> int:
        return 0

    def scheduled_s(self, index: int, now_s: float) -> float:
        return now_s

    def next_event_s(self, now_s: float, num_started: int) -> float | None:
        return None
