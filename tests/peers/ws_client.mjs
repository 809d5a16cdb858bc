// A client on node's `ws`: what picows_client.py does, with the checks of judge.py.

import assert from "node:assert/strict";
import WebSocket from "ws";

const EPOCH_MS = 1_700_000_000_000;
const MINUTE_MS = 60_000;
const SAY_EVERY = 50;
const MOST_OWED = 8;
const MOST_PINGS = 50;

/** Throw what `about` says unless `right`; the text is only made when it is needed. */
function expect(right, about) {
  if (!right) throw new Error(typeof about === "string" ? about : JSON.stringify(about));
}

/** Chance that is the same in every run: mulberry32. */
function dice(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

function numberOfTrades(data) {
  const [number, count] = data[0].id.split(":");
  expect(data.length === Number(count), [data.length, count]);
  for (let index = 1; index < data.length; index++) expect(data[index].id === `${index}/${count}`, data[index]);
  return Number(number);
}

/** What was seen of one stream. */
class Stream {
  epoch = 0;
  seq = 0;
  timestamp = 0;
  closedAt = 0;
  offset = null;
  mayMiss = false; // it was given back and taken again: what came meanwhile is not owed

  constructor(name) {
    this.kind = name.split(".")[2];
  }

  take(message) {
    expect(message.type !== "status", message);
    if (message.type === "gap") return this.gap(message);
    this.place(message, message.type === "snapshot");
    const isJump = this.offset !== null && message.seq > this.seq + 1;
    if (isJump && this.kind === "trade") this.miss(message);
    this.number(message.data, message.seq);
    this.seq = message.seq;
    this.timestamp = message.timestamp;
    return `${this.kind} ${message.type}s${isJump ? " after a jump" : ""}`;
  }

  place(message, isSnapshot) {
    if (this.offset === null && this.kind === "ticker") expect(isSnapshot, message);
    this.epoch ||= message.epoch ?? 0;
    expect((message.epoch ?? this.epoch) === this.epoch, message);
    expect(message.seq > this.seq || (isSnapshot && message.seq === this.seq), [this.seq, message]);
    expect(message.timestamp >= this.timestamp, [this.timestamp, message]);
  }

  gap(message) {
    const hole = message.data;
    expect(this.kind !== "ticker" && hole.reason === "slow", message);
    expect(this.seq < hole.from && hole.from <= hole.to, [this.seq, message]);
    if (hole.from > this.seq + 1 && this.kind === "trade") this.miss(message);
    this.seq = hole.to;
    this.closedAt = 0;
    return "gaps";
  }

  miss(what) {
    expect(this.mayMiss, [this.seq, what]);
    this.mayMiss = false;
  }

  number(data, seq) {
    let number;
    if (this.kind === "trade") number = numberOfTrades(data);
    else if (this.kind === "kline") {
      number = Number(data.close);
      this.candle(data);
    } else number = Number(data.price);
    this.offset ??= number - seq;
    expect(number - seq === this.offset, [number, seq, this.offset]);
  }

  candle(data) {
    if (!data.confirmed) return;
    const before = this.closedAt;
    this.closedAt = data.openTime;
    if (before && before !== data.openTime && before !== data.openTime - MINUTE_MS) this.miss(data);
  }
}

function streamOf(arg) {
  const parts = arg.split(":");
  return `mudrex.futures.${parts[0]}${parts[0] === "kline" ? ".1" : ""}.${parts.at(-1)}`;
}

/** Checks all that the client is sent. */
class Judge {
  streams = new Map();
  counts = {};
  values = 0;
  furthest = 0;
  asked = [];
  pongsDue = 0;

  get owed() {
    return this.asked.length + this.pongsDue;
  }

  asks(op, arg) {
    if (op === "ping") this.pongsDue++;
    else this.asked.push([op, arg]);
  }

  take(message) {
    if (message.op) return this.answer(message);
    const stream = this.streams.get(message.stream);
    expect(stream, message);
    const what = stream.take(message);
    this.counts[what] = (this.counts[what] ?? 0) + 1;
    if (message.type !== "gap") {
      this.values++;
      this.furthest = Math.max(this.furthest, message.timestamp - EPOCH_MS);
    }
  }

  answer(message) {
    if (message.op === "pong") expect(this.pongsDue-- > 0, message);
    else {
      const [op, arg] = this.asked.shift() ?? [];
      expect(message.op === op && message.args.length === 1 && message.args[0] === arg, [op, arg, message]);
      expect(!message.rejected, message);
      if (op === "subscribe") this.joined(streamOf(arg));
    }
    const what = `answers to ${message.op}`;
    this.counts[what] = (this.counts[what] ?? 0) + 1;
  }

  joined(name) {
    const known = this.streams.get(name);
    if (known) known.mayMiss = true;
    else this.streams.set(name, new Stream(name));
  }
}

/** One connection. */
class Reader {
  judge = new Judge();
  random = dice(2);
  held = new Set();
  pinged = 0;
  ponged = 0;
  longest = 0;
  pauses = 0;
  untilPause = 1000;
  ready = false;
  ending = false;
  closing = false;

  constructor(told) {
    this.told = told;
    this.socket = new WebSocket(told.url, { perMessageDeflate: false });
    this.socket.on("open", () => told.steady.forEach((arg) => this.ask("subscribe", arg)));
    this.socket.on("message", (data, isBinary) => this.message(data, isBinary));
    this.socket.on("pong", (data) => this.pong(data));
    this.socket.on("close", (code, reason) => this.closed(code, reason));
  }

  message(data, isBinary) {
    expect(!isBinary, "a binary message");
    this.longest = Math.max(this.longest, data.length);
    const before = this.judge.values;
    this.judge.take(JSON.parse(data));
    if (this.judge.values > before && !this.ending) this.goOn();
    else if (!this.ready && !this.judge.owed) {
      this.ready = true;
      say({ seen: 0 });
    }
    this.endIfDone();
  }

  pong(data) {
    expect(data.toString() === String(this.ponged), [data.toString(), this.ponged]);
    this.ponged++;
    this.endIfDone();
  }

  endIfDone() {
    if (!this.ending || this.closing || this.judge.owed || this.ponged !== this.pinged) return;
    this.closing = true;
    this.socket.close(1000);
  }

  closed(code, reason) {
    expect(this.closing && code === 1000, [code, reason.toString()]);
    const { values, counts } = this.judge;
    const { longest, ponged: pongs, pauses } = this;
    say({ values, longest, pongs, pauses, ...counts });
  }

  goOn() {
    if (this.judge.values >= this.told.messages) {
      this.ending = true;
      [...this.told.steady, ...this.held].forEach((arg) => this.ask("unsubscribe", arg));
      return;
    }
    if (this.judge.values % SAY_EVERY === 0) say({ seen: this.judge.furthest });
    if (this.random() < 0.02) this.talk();
    if (--this.untilPause === 0) this.pause();
  }

  talk() {
    if (this.pinged - this.ponged < MOST_PINGS) this.socket.ping(String(this.pinged++));
    if (this.judge.owed >= MOST_OWED) return;
    this.ask("ping");
    const arg = this.told.fickle[Math.floor(this.random() * this.told.fickle.length)];
    this.ask(this.held.has(arg) ? "unsubscribe" : "subscribe", arg);
    if (!this.held.delete(arg)) this.held.add(arg);
  }

  ask(op, arg) {
    this.judge.asks(op, arg);
    this.socket.send(JSON.stringify(arg ? { op, args: [arg] } : { op }));
  }

  pause() {
    this.untilPause = 100 + Math.floor(this.random() * 900);
    this.pauses++;
    this.socket.pause();
    setTimeout(() => this.socket.resume(), 1 + this.random() * 4);
  }
}

function say(what) {
  process.stdout.write(`${JSON.stringify(what)}\n`);
}

assert.ok(process.argv[2], "one argument: JSON");
new Reader(JSON.parse(process.argv[2]));
