// The live log over a WebSocket: history from a cursor, then every new line, over restarts too.
//
//   const stop = follow({ after: 0, onLines: (lines) => …, onState: (state) => … });
//
// A line is {id, at, kind, level, ref, turn, symbol, line}. States: "live", "waiting".

import { setOffline } from "./http.js";

const FIRST_WAIT = 500;
const LONGEST_WAIT = 15000;
const SILENCE = 45000; // the server says something every 20 s

export function follow({ after = 0, history = 200, onLines, onState = () => {} }) {
  let cursor = after;
  let wait = FIRST_WAIT;
  let socket = null;
  let timer = 0;
  let ended = false;

  function connect() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    socket = new WebSocket(`${scheme}://${location.host}/dashboard/api/logs?after=${cursor}&history=${history}`);
    let quiet = 0;
    const listen = () => {
      clearTimeout(quiet);
      quiet = setTimeout(() => socket.close(), SILENCE);
    };
    listen();
    socket.onopen = () => {
      wait = FIRST_WAIT;
      setOffline(false);
      onState("live");
    };
    socket.onmessage = (event) => {
      listen();
      const message = JSON.parse(event.data);
      if (message.type !== "lines") return;
      const fresh = message.lines.filter((line) => line.id > cursor);
      if (!fresh.length) return;
      cursor = fresh[fresh.length - 1].id;
      onLines(fresh);
    };
    socket.onclose = (event) => {
      clearTimeout(quiet);
      if (ended) return;
      if (event.code === 1008) {
        location.reload(); // signed out: the page leads to the login
        return;
      }
      onState("waiting");
      if (event.code !== 1013) setOffline(true); // 1013: we were too slow, and may come back at once
      timer = setTimeout(connect, wait * (0.75 + Math.random() / 2));
      wait = Math.min(LONGEST_WAIT, wait * 2);
    };
  }

  connect();
  const leave = () => {
    ended = true;
    clearTimeout(timer);
    socket.close();
  };
  addEventListener("pagehide", leave, { once: true });
  return leave;
}
