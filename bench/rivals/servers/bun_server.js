// Bun: server.publish, the native publish of uWebSockets.
//
// Saturation: a tick per turn of the event loop. After each tick a sixteenth of the clients is looked at;
// one that has more than 64 KiB waiting in Bun holds the ticks up until it has less. Publishing says nothing
// of single clients, so what Bun drops above its own limit (backpressureLimit, left as it comes) is
// seen by the load alone, as a jump of seq.
"use strict";

const { dlopen, ptr } = require("bun:ffi");
const { answer, run } = require("./ticks.js");

const HOLDS_UP = 65536;
const SHARE = 16;

// Bun's own clock begins with the process; the load's is CLOCK_MONOTONIC.
function monotonicOffset() {
  const libc = dlopen("libc.so.6", { clock_gettime: { args: ["i32", "ptr"], returns: "i32" } });
  const time = new BigInt64Array(2);
  let offset = Infinity;
  for (let i = 0; i < 100; i++) {
    const before = Bun.nanoseconds();
    libc.symbols.clock_gettime(1, ptr(time));
    offset = Math.min(offset, Number(time[0] * 1000000000n + time[1]) - before);
  }
  return offset;
}

const offset = monotonicOffset();
const clients = new Set();
let ring = [], at = 0, waitsFor = null;

function full() {
  if (waitsFor && waitsFor.readyState === 1 && waitsFor.getBufferedAmount() > HOLDS_UP) return true;
  waitsFor = null;
  for (let left = Math.ceil(ring.length / SHARE); left > 0; left--) {
    const client = ring[at++ % ring.length];
    if (client.getBufferedAmount() > HOLDS_UP) {
      waitsFor = client;
      return true;
    }
  }
  return false;
}

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch: (request, server) => (server.upgrade(request) ? undefined : new Response("", { status: 400 })),
  websocket: {
    message(client, text) {
      const answered = answer(text);
      client.send(answered.text);
      answered.topics.forEach((topic) => client.subscribe(topic));
      if (answered.topics.length) ring = [...clients.add(client)];
    },
    close(client) {
      if (clients.delete(client)) ring = [...clients];
    },
  },
});

run({
  port: server.port,
  publish: (topic, message) => server.publish(topic, message),
  clients: () => ring.length,
  full,
  now: () => Bun.nanoseconds() + offset,
});
