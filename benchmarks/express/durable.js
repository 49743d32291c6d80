// Express and better-sqlite3: the event and its message are on the disk before the 200.
//
// Usage: node durable.js PORT FOLDER each|together. "each" is the plain way, a commit for each
// webhook; "together" commits what has come in one pass of the event loop, written by hand.
// The settings are those of Recado's store.
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import express from "express";

const [port, parent, way] = process.argv.slice(2);
const folder = mkdtempSync(join(parent, "express-"));
process.on("SIGTERM", () => {
  rmSync(folder, { recursive: true });
  process.exit();
});
const store = new Database(join(folder, "store.db"));
store.pragma("journal_mode = WAL");
store.pragma("synchronous = FULL");
store.exec("CREATE TABLE events (id INTEGER PRIMARY KEY, at REAL, body BLOB)");
store.exec("CREATE TABLE messages (id TEXT PRIMARY KEY, chat TEXT, message TEXT)");
const event = store.prepare("INSERT INTO events (at, body) VALUES (?, ?)");
const message = store.prepare("INSERT INTO messages VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING");

const insert = store.transaction((calls) => {
  for (const { request } of calls) {
    event.run(Date.now() / 1000, request.raw);
    for (const one of request.body.messages) message.run(one.id, one.chat_id, one.text.body);
  }
});

function answer({ response }) {
  response.json({
    received: true,
    timestamp: new Date().toISOString(),
    environment: "development",
  });
}

let waiting = [];

function commit() {
  const calls = waiting;
  waiting = [];
  insert(calls);
  calls.forEach(answer);
}

const app = express();
const keep = (request, _response, bytes) => { request.raw = bytes; };
app.use(express.json({ limit: "50mb", verify: keep }));
app.post("/hook", (request, response) => {
  waiting.push({ request, response });
  if (way === "each") commit();
  else if (waiting.length === 1) setImmediate(commit);
});
app.listen(Number(port), "127.0.0.1");
