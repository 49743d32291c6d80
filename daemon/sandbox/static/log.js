// The conversation: one bubble a message.

import { openActions } from "./actions.js";
import { contentsOf, wordsOf } from "./contents.js";
import { presenceText } from "./list.js";
import { $, button, element, icon, isAgent, isGroup, isMine, openChat, state } from "./state.js";
import { CLOCK, T } from "./texts.js";

const MORE = "M6 10a2 2 0 1 1 0 4 2 2 0 0 1 0-4zm6 0a2 2 0 1 1 0 4 2 2 0 0 1 0-4zm6 0a2 2 0 1 1 0 4 2 2 0 0 1 0-4z";
const NEAR_END = 120; // pixels from the end at which a reader counts as reading the newest

export function drawTicks(node, status) {
  node.textContent = { pending: " ·", sent: " ✓", failed: " !" }[status] ?? " ✓✓";
  node.className = { read: "read", played: "read", failed: "failed" }[status] ?? "";
  node.setAttribute("role", "img");
  node.setAttribute("aria-label", T.ticks[status] ?? status);
}

// Whose a bubble is, where its side does not say: a human agent's always, our assistant's when we
// are the business, and in groups everybody's.
function writerOf(chat, message, mine) {
  if (message.from_me && message.source !== "api") return T.agent;
  if (message.from_me && isAgent()) return T.assistant;
  if (isGroup(chat) && !mine) return message.from_me ? state.business : message.from_name;
  return "";
}

function quoteOf(chat, message) {
  const context = message.context;
  if (!context?.quoted_id) return [];
  const original = chat.byId.get(context.quoted_id);
  const quoted = context.quoted_content ?? {};
  const words = original ? wordsOf(original) : quoted.body ?? quoted.caption ?? "";
  return [element("span", "quote", typeof words === "string" ? words : "")];
}

function meta(message, mine) {
  const made = element("span", "meta", message.editedBody === undefined ? "" : `${T.edited} `);
  const time = element("time", "", CLOCK.format(message.timestamp * 1000));
  time.dateTime = new Date(message.timestamp * 1000).toISOString();
  made.append(time);
  if (mine) {
    const ticks = element("span");
    ticks.id = `ticks-${message.id}`;
    drawTicks(ticks, message.status ?? "sent");
    made.append(ticks);
  }
  return made;
}

function bubble(chat, message, previous) {
  const mine = isMine(chat, message);
  const made = element("div", mine ? "bubble mine" : "bubble");
  made.dataset.kind = message.type;
  if (!previous || previous.from_me !== message.from_me || previous.from !== message.from || previous.source !== message.source) made.classList.add("turn");
  const writer = writerOf(chat, message, mine);
  if (writer && made.classList.contains("turn")) made.append(element("span", "author", writer));
  made.append(...quoteOf(chat, message), ...contentsOf(chat, message), meta(message, mine));
  const reactions = [...new Set(message.reactions?.values() ?? [])];
  if (reactions.length) {
    made.classList.add("reacted");
    made.append(element("span", "reaction", reactions.join("")));
  }
  if (!message.deleted) {
    const more = button("more", T.options, () => openActions(chat, message, more));
    more.setAttribute("aria-haspopup", "menu");
    more.append(icon(MORE));
    made.append(more);
  }
  return made;
}

// An empty conversation says what to do; with the simulated model, what it understands.
function emptyLog() {
  const made = element("div", "empty");
  made.append(element("p", "", isAgent() ? T.emptyAgent : T.emptyCustomer));
  if (isAgent() || state.model) return made;
  made.append(element("p", "", T.simulatedModel));
  for (const words of T.suggestions) made.append(button("suggestion", words, () => {
    $("text").value = words;
    $("compose").requestSubmit();
  }, words));
  return made;
}

// Draw the open chat; `newId` is a message that just came, so that reading further up is not
// disturbed unless the reader is at the end. Bubbles that did not change are kept: a voice that
// plays goes on.
export function drawLog(newId) {
  const chat = openChat();
  const log = $("log");
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < NEAR_END;
  if (!chat) return log.replaceChildren();
  if (log.dataset.of !== `${chat.id} ${state.role} ${chat.author}`) {
    log.dataset.of = `${chat.id} ${state.role} ${chat.author}`;
    for (const message of chat.messages) delete message.node;
  }
  const nodes = chat.messages.map((message, i) => {
    if (message.node && !message.stale) return message.node;
    message.stale = false;
    message.node = bubble(chat, message, chat.messages[i - 1]);
    if (message.id === newId) message.node.classList.add("new");
    return message.node;
  });
  if (!nodes.length) nodes.push(emptyLog());
  const wanted = new Set(nodes);
  for (const node of [...log.childNodes]) if (!wanted.has(node)) node.remove();
  nodes.forEach((node, i) => { if (log.childNodes[i] !== node) log.insertBefore(node, log.childNodes[i] ?? null); });
  drawDots(chat);
  if (atEnd || !newId) toEnd();
}

export function toEnd() {
  const log = $("log");
  log.scrollTop = log.scrollHeight;
}

export function drawDots(chat) {
  const log = $("log");
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < NEAR_END;
  log.querySelector(".dots")?.remove();
  if (!presenceText(chat)) return;
  const dots = element("div", `bubble turn dots ${chat.presence}${isAgent() ? " mine" : ""}`);
  dots.setAttribute("aria-hidden", "true");
  dots.append(element("i"), element("i"), element("i"));
  log.append(dots);
  if (atEnd) toEnd();
}
