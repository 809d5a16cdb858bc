"""What a simulated Alpaca answers to one connection, seen by an independent WebSocket client."""

from __future__ import annotations

from support.alpaca_client import AUTHENTICATED, client, running


async def test_who_logs_in_and_subscribes_is_told_the_whole_set_and_then_trades() -> None:
    async with running() as sim, client(sim) as peer:
        assert await peer.log_in() == AUTHENTICATED
        [answer] = await peer.ask("subscribe", trades=["AAPL"], quotes=["AMD"], bars=["*"])
        assert list(answer.items()) == [
            ("T", "subscription"),
            ("trades", ["AAPL"]),
            ("quotes", ["AMD"]),
            ("bars", ["*"]),
            ("updatedBars", []),
            ("dailyBars", []),
            ("statuses", []),
            ("lulds", []),
            ("corrections", ["AAPL"]),
            ("cancelErrors", ["AAPL"]),
        ]
        trades = await peer.data(lambda item: item["T"] == "t", 3)
        assert {trade["S"] for trade in trades} == {"AAPL"}
