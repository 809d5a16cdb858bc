// A server on node's `ws`: what websockets_server.py does.

import WebSocket, { WebSocketServer } from "ws";

const told = JSON.parse(process.argv[2]);

function say(what) {
  process.stdout.write(`${JSON.stringify(what)}\n`);
}

/** Send one frame, and wait until it is on its way. */
function send(socket, data, options = {}) {
  return new Promise((resolve, reject) => socket.send(data, options, (error) => (error ? reject(error) : resolve())));
}

/** Send a PING; resolves to the payload of the PONG that answers it. */
function ping(socket, payload) {
  return new Promise((resolve) => {
    const take = (data) => {
      if (data.toString() !== payload) return;
      socket.off("pong", take);
      resolve(payload);
    };
    socket.on("pong", take);
    socket.ping(payload);
  });
}

/** The methods of JSON-RPC requests. */
const METHODS = {
  echo: (socket, params) => params,
  subscribe: (socket, params) => params.channels,
  publish: (socket, params) =>
    send(socket, JSON.stringify({ jsonrpc: "2.0", method: "subscription", params })).then(() => null),
  fill: (socket, params) => send(socket, "x".repeat(params.bytes)).then(() => null),

  async fragments(socket, { parts, text }) {
    const pongs = [];
    for (const [number, part] of parts.entries()) {
      await send(socket, Buffer.from(part, "hex"), { binary: !text, fin: number === parts.length - 1 });
      pongs.push(ping(socket, `part ${number}`));
    }
    return (await Promise.all(pongs)).length;
  },

  ping: (socket, params) => ping(socket, params.payload),
  agreed: (socket) => ({ offered: socket.offered, agreed: socket.extensions }),
  close: (socket, { code, reason }) => (code === null ? socket.close() : socket.close(code, reason)),
  cut: (socket) => socket.terminate(),
  raw: (socket, params) => void socket._socket.write(Buffer.from(params.bytes, "hex")),
};

/** A request; null when it is something else. */
function read(data, isBinary) {
  if (isBinary) return null;
  try {
    const request = JSON.parse(data);
    return request?.method ? request : null;
  } catch {
    return null;
  }
}

async function take(socket, data, isBinary) {
  const request = read(data, isBinary);
  if (!request) return send(socket, data, { binary: isBinary });
  const method = METHODS[request.method.split("/").at(-1)];
  const answer = { jsonrpc: "2.0", id: request.id };
  if (method) answer.result = (await method(socket, request.params)) ?? null;
  else answer.error = { code: -32601, message: "Method not found" };
  if ("id" in request && socket.readyState === WebSocket.OPEN) await send(socket, JSON.stringify(answer));
}

const server = new WebSocketServer({ host: "127.0.0.1", port: told.port, perMessageDeflate: told.deflate });
server.on("listening", () => say({ port: server.address().port }));
server.on("headers", (headers) => {
  if (told.claims) headers.push(`Sec-WebSocket-Extensions: ${told.claims}`);
});
server.on("connection", (socket, request) => {
  socket.offered = request.headers["sec-websocket-extensions"] ?? "";
  socket.on("error", () => {}); // "close" follows, and says it
  socket.on("message", (data, isBinary) => take(socket, data, isBinary));
  socket.on("close", (code, reason) => say({ code, reason: reason.toString() }));
});
