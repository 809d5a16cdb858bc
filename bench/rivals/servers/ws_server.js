// node `ws`: client.send for each client of a topic, as its documentation broadcasts.
//
// The message is encoded once, as a Buffer; ws makes a frame of it for each client. It knows no topics,
// so this server keeps a set of clients for each.
//
// Saturation: a tick per turn of the event loop. After each tick a sixteenth of the clients is looked at;
// one that has more than 64 KiB in bufferedAmount holds the ticks up until it has less. ws drops nothing:
// it buffers without a bound.
"use strict";

const { WebSocketServer } = require("ws");
const { answer, run } = require("./ticks.js");

const HOLDS_UP = 65536;
const SHARE = 16;

const rows = new Map();
const clients = new Set();
let ring = [], at = 0, waitsFor = null;

function full() {
  if (waitsFor && waitsFor.bufferedAmount > HOLDS_UP) return true;
  waitsFor = null;
  for (let left = Math.ceil(ring.length / SHARE); left > 0; left--) {
    const client = ring[at++ % ring.length];
    if (client.bufferedAmount > HOLDS_UP) {
      waitsFor = client;
      return true;
    }
  }
  return false;
}

function join(client, topics) {
  for (const topic of topics) {
    if (!rows.has(topic)) rows.set(topic, new Set());
    rows.get(topic).add(client);
  }
  if (topics.length) ring = [...clients.add(client)];
}

function leave(client) {
  rows.forEach((row) => row.delete(client));
  if (waitsFor === client) waitsFor = null;
  if (clients.delete(client)) ring = [...clients];
}

function publish(topic, message) {
  const payload = Buffer.from(message);
  for (const client of rows.get(topic) ?? []) client.send(payload, { binary: false });
}

const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false, backlog: 4096 }, () =>
  run({
    port: server.address().port,
    publish,
    clients: () => ring.length,
    full,
    now: () => Number(process.hrtime.bigint()),
  }),
);

server.on("connection", (client) => {
  client.on("message", (text) => {
    const answered = answer(text.toString());
    client.send(answered.text);
    join(client, answered.topics);
  });
  client.on("close", () => leave(client));
  client.on("error", () => {}); // "close" follows
});
