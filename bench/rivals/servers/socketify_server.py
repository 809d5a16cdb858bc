"""socketify: ``app.publish``, the native publish of uWebSockets.

socketify turns two event loops by turns, asyncio's and its own, and never waits while messages flow: at a
fixed rate its CPU time is that of a whole core, whatever it sends.

Saturation: a tick per turn. After each tick a sixteenth of the clients is looked at; one that has more
than half of what uWebSockets lets wait before it drops (64 KiB, socketify's default) holds the ticks up
until it has less. What is dropped all the same is seen by the load alone, as a jump of seq.
"""

from __future__ import annotations

import ticks
from socketify import App, AppListenOptions, OpCode

_LIMIT = 64 * 1024


def main() -> None:
    """Serve until the commands end."""
    app = App()
    made = ticks.Ticks()
    rows = ticks.Rows(lambda client: 2 * client.get_buffered_amount())
    by_socket: dict[object, object] = {}

    def message(client, text, _opcode) -> None:
        topics, told = ticks.answer(text)
        client.send(told, OpCode.TEXT)
        for topic in topics:
            client.subscribe(topic)
        rows.join(by_socket.setdefault(client.ws, client), topics[:1])

    def close(client, _code, _reason) -> None:
        rows.leave(by_socket.pop(client.ws, None))

    async def publish(batch: ticks.Batch) -> None:
        for topic, text in batch:
            app.publish(topic, text, OpCode.TEXT)

    async def run(port: int) -> None:
        await ticks.Driver(made, publish, rows.__len__, rows.full).run(port)

    app.ws("/*", {"max_backpressure": _LIMIT, "message": message, "close": close})
    listening = AppListenOptions(port=0, host="127.0.0.1")
    app.listen(listening, lambda socket: app.loop.create_background_task(lambda: run(socket.port)))
    app.run()


if __name__ == "__main__":
    main()
