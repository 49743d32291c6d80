// The live log: only visible lines are in the page, so ten thousand scroll like ten.

import { getJson, toast } from "./http.js";
import { follow } from "./live.js";
import { number, t } from "./words.js";

const ROW = 36; // log.css gives .line this height
const SPARE = 12; // rows kept ready above and below the view
const MOST = 10000;
const PAGE = 500;
const AGENT = new Set(["an agent writes", "taken over", "chat handed to a person"]);
const PICTURES = new URL("./icons.svg", import.meta.url).pathname;
const SVG = "http://www.w3.org/2000/svg";
const FALLBACK = { warning: "alert", error: "alert", critical: "alert" };
const ICONS = {
  message: "person",
  voice: "mic",
  image: "picture",
  media: "file",
  "new conversation": "hello",
  response: "robot",
  "voice response": "robot",
  "an agent writes": "agent",
  "taken over": "agent",
  "chat handed to a person": "agent",
  ready: "start",
  stopping: "stop",
  "model server is back": "check",
  "channel is back, sends go on": "check",
};
const BOT = new Set(["response", "voice response"]);

const view = document.querySelector("[data-lines]");
const room = document.querySelector("[data-room]");
const filters = document.querySelector("[data-filters]");
const pauseButton = document.querySelector("[data-pause]");
const newer = document.querySelector("[data-newer]");
const { lang, dataset: { zone: timeZone } } = document.documentElement;
const clock = new Intl.DateTimeFormat(lang, { timeZone, hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const exact = new Intl.DateTimeFormat(lang, { timeZone, dateStyle: "full", timeStyle: "medium" });

let lines = []; // oldest first, those that pass the filters
let held = []; // lines that came while paused
let rows = new Map(); // index of a line -> its element
let paused = false;
let sticking = true; // the view stays at the newest line
let unseen = 0;
let complete = false; // there is nothing older
let loading = null;
let open = 0; // id of the line that is shown in full

// -- filters ------------------------------------------------------------------------------------

function chosen() {
  const fields = new FormData(filters);
  return Object.fromEntries([...fields].filter(([, value]) => value));
}

function passes(line) {
  const wanted = chosen();
  return (!wanted.kind || line.kind === wanted.kind)
    && (!wanted.chat || line.ref === wanted.chat)
    && (!wanted.turn || line.turn === wanted.turn)
    && (!wanted.text || line.line.toLowerCase().includes(wanted.text.toLowerCase()));
}

async function load(before = 0) {
  const query = new URLSearchParams({ ...chosen(), limit: PAGE });
  if (before) query.set("before", before);
  return getJson(`/dashboard/logs?${query}`);
}

let asked = 0;
async function filter() {
  const mine = ++asked;
  const wanted = new URLSearchParams(chosen()).toString();
  history.replaceState(null, "", wanted ? `?${wanted}` : location.pathname);
  for (const chip of document.querySelectorAll("[data-drop]")) chip.hidden = !filters.elements[chip.dataset.drop].value;
  try {
    const answer = await load();
    if (mine !== asked) return;
    const newest = answer.lines.at(-1)?.id ?? 0;
    const come = lines.filter((line) => line.id > newest && passes(line));
    lines = [...answer.lines, ...come];
    complete = answer.before === null;
    sticking = true;
    unseen = 0;
    draw(true);
  } catch (error) {
    toast(error.message, "bad");
  }
}

let typing = 0;
filters.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(filter, 200);
});
filters.addEventListener("submit", (event) => {
  event.preventDefault();
  filter();
});
filters.addEventListener("click", (event) => {
  const chip = event.target.closest("[data-drop]");
  if (!chip) return;
  filters.elements[chip.dataset.drop].value = "";
  filter();
});

// -- lines --------------------------------------------------------------------------------------

function add(fresh) {
  if (paused) {
    held.push(...fresh);
    if (held.length > MOST) held = held.slice(-MOST);
    showNewer(held.filter(passes).length);
    return;
  }
  const last = lines.at(-1)?.id ?? 0;
  const passing = fresh.filter((line) => line.id > last && passes(line));
  if (!passing.length) return;
  lines.push(...passing);
  if (lines.length > MOST) {
    const dropped = lines.length - MOST;
    lines.splice(0, dropped);
    complete = false;
    if (!sticking) view.scrollTop -= dropped * ROW;
    clear();
  }
  unseen = sticking ? 0 : unseen + passing.length;
  draw();
}

async function older() {
  if (complete || loading || !lines.length) return;
  loading = load(lines[0].id);
  try {
    const answer = await loading;
    complete = answer.before === null;
    lines = [...answer.lines, ...lines];
    view.scrollTop += answer.lines.length * ROW;
    clear();
    draw();
  } catch (error) {
    toast(error.message, "bad");
  } finally {
    loading = null;
  }
}

function clear() {
  for (const row of rows.values()) row.remove();
  rows.clear();
}

function draw(anew = false) {
  if (anew) clear();
  room.style.setProperty("height", `${lines.length * ROW}px`);
  document.querySelector("[data-nothing]").hidden = lines.length > 0;
  if (sticking) view.scrollTop = view.scrollHeight;
  const first = Math.max(0, Math.floor(view.scrollTop / ROW) - SPARE);
  const end = Math.min(lines.length, Math.ceil((view.scrollTop + view.clientHeight) / ROW) + SPARE);
  for (const [index, row] of rows) {
    if (index < first || index >= end) {
      row.remove();
      rows.delete(index);
    }
  }
  for (let index = first; index < end; index++) {
    if (!rows.has(index)) {
      const row = show(lines[index]);
      row.style.setProperty("top", `${index * ROW}px`);
      rows.set(index, row);
      room.append(row);
    }
  }
  showNewer(paused ? held.filter(passes).length : unseen);
}

function show(line) {
  const row = document.createElement("div");
  const voice = BOT.has(line.kind) ? "bot" : AGENT.has(line.kind) ? "agent" : "";
  row.className = `line ${line.level} ${voice} ${line.id === open ? "open" : ""}`;
  row.dataset.id = line.id;
  row.dataset.testid = "line";
  const date = new Date(line.at * 1000);
  const at = document.createElement(line.ref && line.turn ? "a" : "span");
  at.className = "at";
  at.title = exact.format(date);
  if (line.ref && line.turn) at.href = `/dashboard/chats/${line.ref}?turn=${encodeURIComponent(line.turn)}`;
  else if (line.ref) at.href = `/dashboard/chats/${line.ref}`;
  const seconds = document.createElement("span");
  seconds.className = "seconds";
  seconds.textContent = `:${String(date.getSeconds()).padStart(2, "0")}`;
  at.append(clock.format(date), seconds);
  const symbol = document.createElementNS(SVG, "svg");
  symbol.setAttribute("class", "icon symbol");
  symbol.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `${PICTURES}#${ICONS[line.kind] ?? FALLBACK[line.level] ?? "log"}`);
  symbol.append(use);
  const text = document.createElement("span");
  text.className = "text";
  text.title = line.line;
  const cut = line.ref ? line.line.indexOf(": ") : -1;
  if (cut > 0 && cut < 120 && !voice) {
    const who = document.createElement("button");
    who.type = "button";
    who.className = "who";
    who.dataset.chat = line.ref;
    who.title = t("Only this chat");
    who.textContent = line.line.slice(0, cut);
    text.append(who, line.line.slice(cut));
  } else {
    text.textContent = line.line;
  }
  row.append(at, symbol, text);
  return row;
}

room.addEventListener("click", (event) => {
  const who = event.target.closest("[data-chat]");
  if (who) {
    filters.elements.chat.value = who.dataset.chat;
    filter();
    return;
  }
  const row = event.target.closest(".line");
  if (!row || event.target.closest("a") || String(getSelection())) return;
  open = open === Number(row.dataset.id) ? 0 : Number(row.dataset.id);
  draw(true);
});

// -- the view -----------------------------------------------------------------------------------

let frame = 0;
view.addEventListener("scroll", () => {
  if (frame) return;
  frame = requestAnimationFrame(() => {
    frame = 0;
    sticking = view.scrollTop + view.clientHeight >= view.scrollHeight - ROW;
    if (sticking) unseen = 0;
    if (view.scrollTop < 20 * ROW) older();
    draw();
  });
});
new ResizeObserver(() => draw()).observe(view);

function showNewer(count) {
  newer.hidden = count === 0;
  const words = count === 1 ? t("1 new line") : t("{count} new lines", { count: number.format(count) });
  newer.querySelector("[data-newer-words]").textContent = words;
}

function toNewest() {
  if (paused) setPaused(false);
  sticking = true;
  unseen = 0;
  draw();
}

function setPaused(pause) {
  paused = pause;
  pauseButton.setAttribute("aria-pressed", String(pause));
  pauseButton.querySelector("span").textContent = pause ? t("Resume") : t("Pause");
  pauseButton.querySelector("use").setAttribute("href", `${PICTURES}#${pause ? "play" : "pause"}`);
  if (!pause) {
    const waiting = held;
    held = [];
    add(waiting);
    draw();
  }
}

pauseButton.addEventListener("click", () => setPaused(!paused));
newer.addEventListener("click", toNewest);
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
  if (event.key === "/") {
    event.preventDefault();
    filters.elements.text.focus();
  } else if (event.key === " " && !event.target.closest("button, a")) {
    event.preventDefault();
    setPaused(!paused);
  } else if (event.key === "End") {
    toNewest();
  }
});

// -- begin --------------------------------------------------------------------------------------

const live = document.querySelector("[data-live]");
function showState(state) {
  live.dataset.state = state;
  const words = document.createElement("span");
  words.className = `state ${state === "live" ? "busy" : "wait"}`;
  words.textContent = state === "live" ? t("live") : t("connecting");
  live.replaceChildren(words);
}

await filter();
let after = 0;
try {
  after = (await getJson("/dashboard/logs?limit=1")).after;
} catch { /* the connection begins with what is newest then */ }
follow({ after, history: 0, onLines: add, onState: showState });
