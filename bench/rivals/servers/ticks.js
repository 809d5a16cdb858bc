// What the JavaScript servers share: the messages, their times, the commands, the answer to a subscription.
//
// A server gives `run` four functions: publish(topic, message), clients() (how many are subscribed),
// full() (whether a client holds the next tick up) and now() (CLOCK_MONOTONIC in nanoseconds).
// Messages have the shape and the bytes of client_message in native/ws.h.
//
// `rate R` keeps a schedule of intended times, checked by setTimeout, whose resolution is 1 ms: what
// is due goes out in one turn, each message with its own intended time. `saturate` is one tick per turn
// of the event loop (setImmediate), skipped while full().
"use strict";

const SATURATED_BATCH = 10; // messages per tick over random topics, the same in floor.c
const LONGEST_TURN = 1e7; // ns: then clients and commands have their turn, and the rest goes after
const PADDED_FOR = 100000; // the seq that --client-bytes counts with

function readOptions(argv) {
  const given = { "--symbols": "BTCUSDT", "--topics": "0", "--client-bytes": "420" };
  for (let i = 0; i < argv.length; i += 2) {
    if (!(argv[i] in given)) throw new Error(`unknown option ${argv[i]}; known: ${Object.keys(given).join(" ")}`);
    given[argv[i]] = argv[i + 1];
  }
  const topics = Number(given["--topics"]);
  const random = topics > 0;
  const symbols = random
    ? Array.from({ length: topics }, (_, i) => `S${String(i).padStart(3, "0")}USDT`)
    : given["--symbols"].split(",");
  return { symbols, random, bytes: Number(given["--client-bytes"]) };
}

function makeStream(symbol, bytes) {
  const stream = {
    topic: `trade:${symbol}`,
    seq: 0,
    head: `{"stream":"mudrex.futures.trade.${symbol}","type":"update","data":[{"id":"`,
    middle: `","symbol":"${symbol}","price":"80682.00","quantity":"0.015","side":"buy","time":`,
  };
  const bare = message(stream, 0, "1700000000000", PADDED_FOR).length;
  const pad = Math.max(0, bytes - bare);
  stream.middle = (pad ? "-" : "") + "x".repeat(Math.max(0, pad - 1)) + stream.middle;
  return stream;
}

function message(stream, intended, ms, seq) {
  const id = String(Math.round(intended)).padStart(17, "0");
  return `${stream.head}${id}${stream.middle}${ms},"isBlockTrade":false}],"timestamp":${ms},"source":"mudrex","seq":${seq}}`;
}

// The answer to one text of a client, and the topics it asked for.
function answer(text) {
  const request = JSON.parse(text);
  if (request.op !== "subscribe") return { topics: [], text: '{"op":"pong","timestamp":0}' };
  const told = { op: "subscribe", success: true, args: request.args, message: "Subscribed", rejected: null };
  return { topics: request.args, text: JSON.stringify(told) };
}

function run(server) {
  const options = readOptions(process.argv.slice(2));
  const streams = options.symbols.map((symbol) => makeStream(symbol, options.bytes));
  const counted = { ticks: 0, messages: 0, latest_by_ns: 0 };
  let mode = "stop"; // or "rate", "saturate"
  let next = 0, step = 0, batch = 1, turn = 0;

  function send(stream, intended, ms) {
    server.publish(stream.topic, message(stream, intended, ms, ++stream.seq));
    counted.messages++;
  }

  function tick(intended) {
    const ms = String(Date.now());
    counted.latest_by_ns = Math.max(counted.latest_by_ns, Math.round(server.now() - intended));
    if (options.random)
      for (let i = 0; i < batch; i++) send(streams[Math.floor(Math.random() * streams.length)], intended, ms);
    else for (const stream of streams) send(stream, intended, ms);
    counted.ticks++;
  }

  function sendDue(started) {
    if (started !== turn) return;
    const now = server.now();
    for (; next <= now && server.now() - now < LONGEST_TURN; next += step) tick(next);
    const left = (next - server.now()) / 1e6;
    if (left > 0) setTimeout(sendDue, left, started);
    else setImmediate(sendDue, started);
  }

  function saturated(started) {
    if (mode !== "saturate" || started !== turn) return;
    if (server.clients() && !server.full()) tick(server.now());
    setImmediate(saturated, started);
  }

  function statistics() {
    const line = { ...counted, clients: server.clients(), ...(server.statistics ? server.statistics() : {}) };
    process.stdout.write(JSON.stringify(line) + "\n");
  }

  function obey(line) {
    const [word, value] = line.trim().split(" ");
    if (word === "stats") return statistics();
    if (word === "quit") return process.exit(0);
    if (!["rate", "saturate", "stop"].includes(word)) return console.error(`unknown command: ${line}`);
    turn++;
    mode = word;
    if (mode === "saturate") {
      batch = SATURATED_BATCH;
      saturated(turn);
    } else if (mode === "rate") {
      const rate = Number(value);
      batch = options.random && rate > 2000 ? Math.floor(rate / 2000 + 0.5) : 1;
      step = (batch * 1e9) / rate;
      next = server.now() + step;
      sendDue(turn);
    }
  }

  let held = "";
  process.stdin.setEncoding("utf8");
  process.stdin.on("data", (text) => {
    const lines = (held + text).split("\n");
    held = lines.pop();
    lines.forEach(obey);
  });
  process.stdin.on("end", () => process.exit(0)); // no server outlives the process that started it
  process.stdout.write(JSON.stringify({ port: server.port }) + "\n");
}

module.exports = { run, answer };
