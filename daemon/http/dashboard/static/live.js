// The live log over a WebSocket: history from a cursor, then every new line, over restarts too.
//
//   follow({ after: 0, onLines: (lines) => …, onState: (state) => … });
//
// A line is {id, at, kind, level, ref, turn, symbol, line}. States: "live", "waiting".

import { setOffline } from "./http.js";
import { stayConnected } from "./socket.js";

const SILENCE = 45000; // the server says something every 20 s

export function follow({ after = 0, history = 200, onLines, onState = () => {} }) {
  let cursor = after;
  stayConnected(() => `/dashboard/api/logs?after=${cursor}&history=${history}`, {
    silence: SILENCE,
    onOpen: () => {
      setOffline(false);
      onState("live");
    },
    onMessage: (message) => {
      if (message.type !== "lines") return;
      const fresh = message.lines.filter((line) => line.id > cursor);
      if (!fresh.length) return;
      cursor = fresh[fresh.length - 1].id;
      onLines(fresh);
    },
    onLost: (code) => {
      if (code === 1008) {
        location.reload(); // signed out: the page leads to the login
        return;
      }
      onState("waiting");
      if (code !== 1013) setOffline(true); // 1013: we were too slow, and may come back at once
    },
  });
}
