// A WebSocket of JSON that is opened again, with growing waits, until the page is left or signed out.

const FIRST_WAIT = 500;
const LONGEST_WAIT = 15000;

// `silence`: the server says something sooner, or the connection counts as lost.
export function stayConnected(path, { silence, onOpen, onMessage, onLost = () => {} }) {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  let wait = FIRST_WAIT;
  let socket = null;
  let timer = 0;
  let left = false;
  const send = (message) => {
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
  };

  function connect() {
    socket = new WebSocket(`${scheme}://${location.host}${path()}`);
    let quiet = 0;
    const listen = () => {
      clearTimeout(quiet);
      quiet = setTimeout(() => socket.close(), silence);
    };
    listen();
    socket.onopen = () => {
      wait = FIRST_WAIT;
      onOpen();
    };
    socket.onmessage = (event) => {
      listen();
      onMessage(JSON.parse(event.data));
    };
    socket.onclose = (event) => {
      clearTimeout(quiet);
      if (left) return;
      onLost(event.code);
      if (event.code === 1008) return; // signed out
      timer = setTimeout(connect, wait * (0.75 + Math.random() / 2));
      wait = Math.min(LONGEST_WAIT, wait * 2);
    };
  }

  connect();
  addEventListener("pagehide", () => {
    left = true;
    clearTimeout(timer);
    socket.close();
  }, { once: true });
  return send;
}
